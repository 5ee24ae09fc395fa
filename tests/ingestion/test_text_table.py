"""Text tables: lines longer than DuckDB would read."""

from pathlib import Path

import pytest

from cofi_jobs.ingestion.formats import rating_file
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from tests.support.rating_files import write


@pytest.mark.parametrize(("length", "is_long"), [(100, False), (100_000, False), (3_000_000, True)])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_only_lines_that_duckdb_would_not_read_are_given_a_bound(
    name: str, length: int, is_long: bool, tmp_path: Path
) -> None:
    lines = [f"9,{number},3,978300762,{'x' * length}" for number in range(1 + 5_000_000 // length)]
    path = write(tmp_path / name, "userId,movieId,rating,timestamp,review\n" + "\n".join(lines))
    settings = load_settings()
    with sql.connect(settings, tmp_path) as connection:
        table = rating_file(connection, path, settings).table
    assert table is not None
    assert table.longest >= length if is_long else table.longest == 0
