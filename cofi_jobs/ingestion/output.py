"""Writing staged rows: good ones into the batch, rejected ones with their reasons beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.staging import StagedFile
from cofi_jobs.ingestion.verdicts import OUTSIDE, number_of
from cofi_jobs.store import sql


@dataclass(frozen=True)
class Output:
    """How and where the rows of a run's files are written.

    id_types   of each column of ids, "integer" or "string"
    scale      which the reasons of rejected rows name; None: none
    taken      the folder of good rows, with a file for each one that was read
    rejected   the same of bad ones
    """

    id_types: Mapping[str, str]
    scale: Sequence[float] | None
    taken: Path
    rejected: Path


def write_rows(
    connection: duckdb.DuckDBPyConnection, staged: StagedFile, file: NewFile, output: Output
) -> Counts:
    """Write the good and the bad rows of a file. Returns what became of its rows."""
    bad = _rejected_rows(staged, file.name, output.scale)
    reasons = dict(
        connection.execute(
            f"SELECT split_part(reason, ':', 1) AS why, count(*) FROM ({bad}) "
            "GROUP BY why ORDER BY why"
        ).fetchall()
    )
    [(n_read, n_withdrawn)] = connection.execute(f"""
        SELECT count(*), count(*) FILTER (reason IS NULL AND value IS NULL)
        FROM {staged.view}""").fetchall()
    if staged.plain:
        n_taken = staged.plain.n_taken
        n_read += n_taken
    else:
        good = _good_rows(staged, output.id_types)
        n_taken = sql.write_parquet(connection, good, output.taken / file.part)
    n_rejected = sql.write_parquet(connection, bad, output.rejected / file.part) if reasons else 0
    if n_read != n_taken + n_rejected:
        raise RuntimeError(
            f"{file.name}: {n_read} rows read, but {n_taken} taken and {n_rejected} rejected"
        )
    return {
        "rows_read": n_read,
        "rows_taken": n_taken,
        "rows_refused": n_rejected,
        "rows_withdrawn": n_withdrawn,
        "reasons": reasons,
        "time_unit": staged.time_unit,
    }


def _good_rows(staged: StagedFile, id_types: Mapping[str, str]) -> str:
    ids = ", ".join(f"{id_as(column, kind)} AS {column}" for column, kind in id_types.items())
    return (
        f"SELECT {ids}, value AS rating, time AS timestamp FROM {staged.view} WHERE reason IS NULL"
    )


def _rejected_rows(staged: StagedFile, name: str, scale: Sequence[float] | None) -> str:
    reason = "reason"
    if scale:  # which a first run knows only when all rows are staged
        outside = f"'{OUTSIDE} {scale[0]:g} to {scale[1]:g}' || substr(reason, {len(OUTSIDE) + 1})"
        reason = f"CASE WHEN starts_with(reason, '{OUTSIDE}') THEN {outside} ELSE reason END"
    return f"""SELECT {sql.quote(name)} AS file, row, {reason} AS reason, raw,
        {id_as("user_id", "string")} AS user_id FROM {staged.view} WHERE reason IS NOT NULL"""


def id_as(column: str, id_type: str) -> str:
    """An id of a staged row, as int64 or as the text that it was, in SQL."""
    if id_type == "integer":
        return f"coalesce({number_of(column)}, try_cast({column} AS BIGINT))"
    return f"coalesce({column}, {number_of(column)}::VARCHAR)"
