"""What the rows of a staged file show a first run: its ratings, and what the other rows are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from cofi_jobs.ingestion.staging import StagedFile


@dataclass(frozen=True)
class RatingCounts:
    """Different ratings in order, and how many rows have each."""

    values: np.ndarray
    n_rows: np.ndarray

    def __add__(self, other: "RatingCounts") -> "RatingCounts":
        """Those of both."""
        both = np.append(self.values, other.values)
        values, place = np.unique(both, return_inverse=True)
        n_rows = np.zeros(len(values), np.int64)
        np.add.at(n_rows, place, np.append(self.n_rows, other.n_rows))
        return RatingCounts(values, n_rows)

    @property
    def ends(self) -> np.ndarray:
        """The lowest and the highest rating, if there is one."""
        return self.values[[0, -1]] if len(self.values) else self.values


NO_RATINGS = RatingCounts(np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True)
class RowKind:
    """Rows that are no ratings for the same reason: how many, and the first one's text."""

    why: str
    n_rows: int
    example: str | None


def count_ratings(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> RatingCounts:
    """The ratings of a staged file, those that are outside the scale too."""
    columns = connection.execute(f"""
        SELECT value::DOUBLE AS value, count(*) AS n FROM ({staged.ratings})
        GROUP BY value ORDER BY value""").fetchnumpy()
    return RatingCounts(columns["value"], columns["n"])


def count_kinds(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> list[RowKind]:
    """What the rows of a staged file are; a plain file's good ones are not among them."""
    rows = connection.execute(f"""
        SELECT coalesce(split_part(reason, ':', 1), 'op is a delete') AS why, count(*),
            first(shown(raw))
        FROM {staged.view} GROUP BY why""").fetchall()
    return [RowKind(*row) for row in rows]


def joined_kinds(kinds: Iterable[Sequence[RowKind]]) -> list[RowKind]:
    """The kinds of rows of several files, that of most rows first; the first file's examples."""
    of_all: dict[str, RowKind] = {}
    for kind in (kind for of_file in kinds for kind in of_file):
        first = of_all.get(kind.why, RowKind(kind.why, 0, kind.example))
        of_all[kind.why] = RowKind(kind.why, first.n_rows + kind.n_rows, first.example)
    return sorted(of_all.values(), key=lambda kind: (-kind.n_rows, kind.why))
