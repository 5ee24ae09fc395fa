"""What import-linter cannot say of the rooms."""

import re

from tests.support.repository import ROOT


def test_only_the_store_knows_where_things_are_below_its_root():
    joins_a_name = re.compile(r"\.root\s*/|\.root\)?\.(r?glob|joinpath|iterdir)\(")
    modules = (path for path in (ROOT / "cofi_jobs").rglob("*.py") if path.parent.name != "store")
    assert [str(path) for path in modules if joins_a_name.search(path.read_text())] == []
