"""The list of what a local copy has: a damaged one is as none, so all is fetched again."""

from pathlib import Path

import pytest

from cofi_jobs.store.local_copy import Index
from cofi_jobs.store.plan import Stamp, Synced


def test_what_is_written_is_read(tmp_path: Path):
    index = Index(tmp_path / "index.json")
    assert index.read() == {}
    index.write({"a/b": Synced("v1", Stamp(1, 2, 3))})
    assert index.read() == {"a/b": Synced("v1", Stamp(1, 2, 3))}


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"a"', '{"a": null}', '{"a": ["v1"]}', '{"a": ["v1", "x", 2, 3]}']
)
def test_a_damaged_list_is_as_none(tmp_path: Path, text: str):
    (tmp_path / "index.json").write_text(text)
    assert Index(tmp_path / "index.json").read() == {}
