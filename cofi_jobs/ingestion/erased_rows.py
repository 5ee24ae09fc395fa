"""Rows of erased users among the staged ones: they are rejected without ids and texts."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

import duckdb
import pyarrow as pa

from cofi_jobs.ingestion.staging import StagedFile

LINES_AT_A_TIME = 10_000
ERASED = "erased"  # the reason of rows of erased users


class ErasedUsers(Protocol):
    """Who was erased."""

    @property
    def users(self) -> Collection[str]:
        """Digests of the erased users."""

    def until(self, user_ids: Iterable[str]) -> dict[str, datetime]:
        """For each erased one of the users the time up to which ratings stay away."""

    def may_be_in(self, text: str) -> bool:
        """Whether a word of the text is the id of an erased user."""


def reject_erased(
    connection: duckdb.DuckDBPyConnection, staged: StagedFile, erased: ErasedUsers
) -> None:
    """Reject what erased users rated until their erasure, and keep neither ids nor texts."""
    nameless = f"[NULL, NULL, '{ERASED}', NULL, texts[5]]"
    user_id = "coalesce(texts[1], user_number::VARCHAR)"
    users = connection.execute(
        f"SELECT DISTINCT {user_id} AS id FROM {staged.table} WHERE id IS NOT NULL"
    ).fetchall()
    until = erased.until(user for (user,) in users)
    if until:
        columns = {
            "user_id": pa.array(until, pa.string()),
            "until": pa.array(until.values(), pa.timestamp("us", "UTC")),
        }
        connection.register("erased", pa.table(columns))
        connection.execute(f"""
            UPDATE {staged.table}
            SET user_number = NULL, item_number = NULL, texts = {nameless} FROM erased
            WHERE {user_id} = erased.user_id AND (time IS NULL OR time <= until)""")
        connection.unregister("erased")
    # Lines that could not be taken apart: whose they are is unknown.
    lines = connection.execute(f"""
        SELECT rowid, texts[4] FROM {staged.table}
        WHERE user_number IS NULL AND texts[1] IS NULL AND texts[4] IS NOT NULL""")
    of_erased = []
    while batch := lines.fetchmany(LINES_AT_A_TIME):
        of_erased += [str(row) for row, raw in batch if erased.may_be_in(raw)]
    rows = ", ".join(of_erased)
    if rows:
        connection.execute(f"UPDATE {staged.table} SET texts = {nameless} WHERE rowid IN ({rows})")
