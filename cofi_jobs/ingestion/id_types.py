"""The types of ids that the first run fixes: whole numbers, or any text.

A few odd ids among whole numbers are most likely mistakes. They do not make all ids text, for ever:
their rows are rejected, with the setting that would accept them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.staging import StagedFile
from cofi_jobs.ingestion.verdicts import OUTSIDE, is_no_integer

log = logging.getLogger(__name__)

MOST_ODD = 0.05  # share of rows; of random numbers filled up with zeros, 0.1 begin with one
ADVICE = " (id_type=string accepts it)"


@dataclass(frozen=True)
class IdCounts:
    """How many good rows a file has, in how many an id is no whole number, and such an id.

    `are_written`: nearly all rows are written already, with integers as ids.
    """

    n_rows: int
    n_odd: Mapping[str, int]
    examples: Mapping[str, str | None]
    are_written: bool = False


def count_ids(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> IdCounts:
    """Count the ids of a staged file that are no whole numbers."""
    odd = ", ".join(
        f"count(*) FILTER ({is_no_integer(column)}), min({column}) FILTER ({is_no_integer(column)})"
        for column in ID_COLUMNS
    )
    [(n_rows, n_users, user, n_items, item)] = connection.execute(f"""
        SELECT count(*), {odd} FROM {staged.view}
        WHERE reason IS NULL OR starts_with(reason, '{OUTSIDE}')""").fetchall()
    return IdCounts(
        n_rows + (staged.plain.n_taken if staged.plain else 0),
        {"user_id": n_users, "item_id": n_items},
        {"user_id": user, "item_id": item},
        are_written=staged.plain is not None,
    )


def id_types(files: Sequence[IdCounts]) -> dict[str, str]:
    """The type of each column of ids, "integer" if nearly all ids of all files are, or "string"."""
    n_rows = sum(file.n_rows for file in files)
    types = {}
    for column in ID_COLUMNS:
        n_odd = sum(file.n_odd[column] for file in files)
        types[column] = "integer" if n_odd <= MOST_ODD * n_rows else "string"
        if n_odd and types[column] == "integer":
            example = next(file.examples[column] for file in files if file.n_odd[column])
            log.warning(
                "%d of %d rows have a %s that is no whole number, such as %r, so they are "
                "rejected; id_type=string would accept them, and make all ids text",
                *(n_odd, n_rows, column, example),
            )
    return types
