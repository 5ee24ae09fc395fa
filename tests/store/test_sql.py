"""The connection of a task: what it leaves behind."""

from pathlib import Path

import duckdb
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


def test_a_disk_error_of_duckdb_is_one_of_the_system_that_a_retry_may_heal(tmp_path: Path) -> None:
    def fail() -> None:
        with sql.connect(load_settings(), tmp_path):
            raise duckdb.FatalException("FATAL Error: fsync failed!\n\nStack Trace:\n\n0 main")

    with pytest.raises(OSError, match=r"keep its files in .*spill: FATAL Error: fsync failed!$"):
        fail()
