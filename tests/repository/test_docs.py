"""The code in the documents runs as it stands there."""

from typing import Any

import duckdb
import pytest

from tests.support.data import random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import blocks


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
