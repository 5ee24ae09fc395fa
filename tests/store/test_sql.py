"""The connection of a task: what it leaves behind."""

from pathlib import Path

import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql


def test_nothing_is_left_where_a_connection_spilled_also_after_an_error(tmp_path: Path) -> None:
    def spill_and_fail() -> None:
        with sql.connect(load_settings(), tmp_path) as connection:
            (sql.spill_folder(connection) / "copy").write_text("a user's rows")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        spill_and_fail()
    assert list(tmp_path.iterdir()) == []
