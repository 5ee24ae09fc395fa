"""The unit of a file's times, found from all of its values. A folder of parts is one file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.formats import forget_lines, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class FileTimes:
    """The times of a dropped file, or of a dropped folder with its parts."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    bounds: Bounds
    path: Path
    parts: Sequence[Path]

    @cached_property
    def unit(self) -> str | None:
        """The unit that all rows of all parts show, or the one that a setting gives.

        Raises DataError if most times are implausible, or if they look like days of a spreadsheet,
        which may as well be an order.
        """
        given, latest = self.bounds.time_unit, self.bounds.latest
        kinds: Counter[str] = Counter()
        for source in self._sources():
            kinds.update(times.count_kinds(self.connection, source, latest))
        unit = given or times.choose_unit(kinds)
        n_bad, n_times = times.count_implausible(kinds, unit), kinds.total()
        is_unsure = unit == times.SPREADSHEET_DAYS and not given
        if not is_unsure and 2 * n_bad <= n_times:
            return unit
        rule = times.rule(None if is_unsure else unit, latest)
        column, example = self._first_implausible(rule)
        looks_like = ", which looks like a day of a spreadsheet" if is_unsure else ""
        raise DataError(
            f"{self.path}: found {n_times if is_unsure else n_bad} of {n_times} times in the "
            f"column {column!r} to be implausible, such as {example}{looks_like}; "
            f"{times.EXPECTED} (the setting time_unit says what numbers mean)"
        )

    def _sources(self) -> Iterator[RatingFile]:
        """The parts that have times; the malformed lines of each are forgotten after it."""
        for part in self.parts:
            if is_empty(part):
                continue
            source = rating_file(self.connection, part, self.settings)
            if source.has_times:
                yield source
            forget_lines(self.connection, part)

    def _first_implausible(self, rule: times.TimeRule) -> tuple[str, str]:
        """The column of times, and its first cell that is no time by the rule."""
        for source in self._sources():
            cells = self.connection.execute(f"""
                SELECT shown(timestamp)
                FROM (SELECT timestamp, try_cast(timestamp AS DOUBLE) AS time_number
                    FROM (SELECT {source.fields["timestamp"]} AS timestamp FROM {source.cells}))
                WHERE present(timestamp) IS NOT NULL AND ({rule.time}) IS NULL LIMIT 1""")
            if cell := cells.fetchone():
                return source.chosen["timestamp"], cell[0]
        raise RuntimeError(f"{self.path}: no time is implausible")
