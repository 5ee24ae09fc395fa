"""The code in the documents runs as it stands there."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import random_ratings, run_night, write_ratings

ROOT = Path(__file__).parents[1]


def blocks(file: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("file", ["README.md", "docs/outputs.md"])
def test_ways_to_read_the_outputs(file: str, store, quick, capsys):
    ratings = random_ratings()
    ratings.loc[ratings["userId"] == 10, "userId"] = 42
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(store, quick, "n1")
    names: dict[str, Any] = {}
    for code in blocks(file):
        exec(code.replace("STORE", str(store.root)), names)
        if "one" in names:
            assert [int(str(user)) for user in names["one"]["user_id"]] == [42] * 5
    for code in blocks(file, "sql"):
        rows = duckdb.execute(code.replace("STORE", str(store.root))).fetchall()
        assert [row[0] for row in rows] == [42] * 5
    assert set(names["lists"]["user_id"]) == set(ratings["userId"])


def test_the_textbooks_loop(capsys):
    [code] = blocks("docs/model.md")
    exec(code, {})
    first, last = map(float, capsys.readouterr().out.split())
    assert last < first / 5
