"""The unit of a file's times, found from all of its values. A folder of parts is one file."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.formats import forget_lines, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

# What each of some parts answers to a question.
Ask = Callable[[Callable[[duckdb.DuckDBPyConnection, Settings, Path], Any]], Iterator[Any]]


class TimesOfAll(Protocol):
    """The times of all parts of a file."""

    def unit(self, guess: str | None) -> str | None:
        """The unit of the rows of all parts; `guess` is that of the first rows of one part."""


@dataclass(frozen=True)
class FileTimes:
    """The times of a dropped file, or of a dropped folder with its parts."""

    path: Path
    bounds: Bounds
    ask: Ask  # of the parts

    def unit(self, guess: str | None) -> str | None:
        """As in `TimesOfAll`; or the unit that a setting gives.

        Raises DataError if most times are implausible, or if they look like days of a spreadsheet,
        which may as well be an order.
        """
        return self._unit

    @cached_property
    def _unit(self) -> str | None:
        given, latest = self.bounds.time_unit, self.bounds.latest
        kinds: Counter[str] = Counter()
        for of_part in self.ask(partial(_kinds, latest=latest)):
            kinds.update(of_part)
        unit = given or times.choose_unit(kinds)
        n_bad, n_times = times.count_implausible(kinds, unit), kinds.total()
        is_unsure = unit == times.SPREADSHEET_DAYS and not given
        if not is_unsure and 2 * n_bad <= n_times:
            return unit
        rule = times.rule(None if is_unsure else unit, latest)
        column, example = next(filter(None, self.ask(partial(_first_implausible, rule=rule))))
        looks_like = ", which looks like a day of a spreadsheet" if is_unsure else ""
        raise DataError(
            f"{self.path}: found {n_times if is_unsure else n_bad} of {n_times} times in the "
            f"column {column!r} to be implausible, such as {example}{looks_like}; "
            f"{times.EXPECTED} (the setting time_unit says what numbers mean)"
        )


def _kinds(
    connection: duckdb.DuckDBPyConnection, settings: Settings, path: Path, latest: float
) -> Mapping[str, int]:
    """What the times of a part are, as `times.count_kinds`."""
    if is_empty(path):
        return {}
    source = rating_file(connection, path, settings)
    try:
        return times.count_kinds(connection, source, latest) if source.has_times else {}
    except duckdb.Error as error:
        raise sql.unreadable(path, error, "ratings") from None
    finally:
        forget_lines(connection, path)


def _first_implausible(
    connection: duckdb.DuckDBPyConnection, settings: Settings, path: Path, rule: times.TimeRule
) -> tuple[str, str] | None:
    """The column of times of a part, and its first cell that is no time by the rule, if any."""
    if is_empty(path):
        return None
    source = rating_file(connection, path, settings)
    if not source.has_times:
        return None
    cell = connection.execute(f"""
        SELECT shown(timestamp)
        FROM (SELECT timestamp, try_cast(timestamp AS DOUBLE) AS time_number
            FROM (SELECT {source.fields["timestamp"]} AS timestamp FROM {source.cells}))
        WHERE present(timestamp) IS NOT NULL AND ({rule.time}) IS NULL LIMIT 1""").fetchone()
    return (source.chosen["timestamp"], cell[0]) if cell else None
