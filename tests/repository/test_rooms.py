"""What import-linter cannot check: only `store` knows the names of what lies in a store."""

import re

from cofi_jobs.store import layout
from tests.support.repository import ROOT

FOLDERS = (layout.RATINGS, layout.REJECTED, layout.RUNS, layout.TASKS, layout.MANIFESTS)
RECORDS = (
    *(layout.PROPERTIES, layout.ORDER, layout.TUNED, layout.COMPACTED),
    *(layout.CURRENT, layout.TOMBSTONES),
)


MODULES = [path for path in (ROOT / "cofi_jobs").rglob("*.py") if path.parent.name != "store"]


def test_only_store_knows_the_names_in_a_store():
    names = "|".join(map(re.escape, FOLDERS + RECORDS))
    join = re.compile(rf"""/ f?["']({names})["'/]|\bjoinpath\(f?["']({names})["'/]""")
    assert len(MODULES) > 50
    assert [path for path in MODULES if join.search(path.read_text())] == []


def test_only_store_joins_names_to_a_stores_root():
    join = re.compile(r"\.root\s*/|\.root\)?\.(r?glob|joinpath|iterdir)\(")
    assert [path for path in MODULES if join.search(path.read_text())] == []


def test_only_one_module_tells_duckdb_which_files_to_read():
    """Elsewhere a path could be taken for a pattern, and the name of a folder for a column."""
    read = re.compile(
        r"\b(read_\w+|parquet_scan)\(\s*(\[|\{|\$|\?|')|(FROM|JOIN)\s+\{(sql\.)?(file|quote)\("
    )
    sources = [*(ROOT / "cofi_jobs").rglob("*.py"), *(ROOT / "dags").glob("*.py")]
    texts = {path: path.read_text() for path in sources if path.name != "sql.py"}
    assert len(texts) > 100
    assert {
        (path.name, match[0])
        for path, text in texts.items()
        for match in read.finditer(text)
        if "hive_partitioning = false" not in text[match.start() : match.end() + 40]
    } == set()
