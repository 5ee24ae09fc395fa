"""The code in the documents runs as it stands there."""

import re
from typing import Any

import duckdb
import pytest

from cofi_jobs.tasks.declaration import table, table_of_needs
from cofi_jobs.tasks.registry import DECLARED
from tests.support.data import random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import ROOT, blocks

DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
FOLDERS = "benchmarks|cofi_jobs|dags|demo|deploy|docs|e2e|plugins|requirements|tests|torture|\\.ci"
REPOSITORY_PATH = re.compile(
    rf"(?:{FOLDERS})/[\w./-]*|[\w-]+\.(?:toml|yaml|in)|Makefile|Dockerfile"
)
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")


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


@pytest.mark.slow
def test_the_textbooks_loop(capsys):
    [code] = blocks("docs/model.md")
    exec(code, {})
    first, last = map(float, capsys.readouterr().out.split())
    assert last < first / 5


@pytest.mark.parametrize("file", DOCUMENTS)
def test_files_that_documents_name_exist(file: str):
    named = re.findall(r"`([^`\s]+)`", (ROOT / file).read_text())
    paths = {name for name in named if REPOSITORY_PATH.fullmatch(name)}
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


@pytest.mark.parametrize("file", DOCUMENTS)
def test_links_of_documents_lead_somewhere(file: str):
    for path, heading in LINK.findall((ROOT / file).read_text()):
        target = (ROOT / file).parent / path if path else ROOT / file
        assert target.exists(), path
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            anchors = [
                re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings
            ]
            assert heading in anchors, f"{path}#{heading}"


@pytest.mark.parametrize(("mark", "table"), [("tasks", table), ("needs", table_of_needs)])
def test_the_tables_of_tasks_are_what_they_declare(mark: str, table: Any):
    text = (ROOT / "docs" / "operating.md").read_text()
    written = text.partition(f"<!-- {mark} -->\n")[2].partition(f"\n<!-- /{mark} -->")[0]
    assert written == table(DECLARED), f"put this between the marks:\n{table(DECLARED)}"
