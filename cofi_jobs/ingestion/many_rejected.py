"""Too many rejected rows: then nothing is taken, and the error says what they have instead."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.batch import reasons
from cofi_jobs.ingestion.erased_rows import ERASED
from cofi_jobs.ingestion.verdicts import NOT_RATED
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import show_rejected
from cofi_jobs.store.run_shapes import TakenFile
from cofi_jobs.store.store import Store


def check_rejected(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    settings: Settings,
    run_key: str,
    records: Sequence[TakenFile],
    rejected: Path,
) -> None:
    """Raise DataError if too many of a run's rows were rejected.

    Rows of erased users, and rows that say that there is no rating, are no errors.
    """
    counts = reasons(records)
    n_aside = sum(counts.pop(reason, 0) for reason in (ERASED, NOT_RATED))
    n_read = sum(record["rows_read"] for record in records) - n_aside
    if counts.total() <= settings.max_rejected * n_read:
        return
    example = _example(connection, rejected, counts.most_common(1)[0][0])
    if run_key not in store.batches():
        show_rejected(store, run_key, rejected)
    why = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common(5))
    worst = max(records, key=lambda record: record["rows_refused"])
    raise DataError(
        f"found {counts.total()} of {n_read} rows to be rejected, "
        f"expected at most {settings.max_rejected:g} of them (setting max_rejected): {why}"
        f"{example}; most are in {worst['path']}; nothing was taken"
    )


def _example(connection: duckdb.DuckDBPyConnection, rejected: Path, reason: str) -> str:
    """What the first row that was rejected for a reason has instead, as a part of a sentence."""
    if reason.startswith(
        "user_id"
    ):  # an id of a user stays in rejected/, where an erasure finds it
        return ""
    start = f"{reason}: "
    examples = connection.execute(f"""
        SELECT substr(reason, {len(start) + 1}) FROM {sql.parquet([*rejected.iterdir()])}
        WHERE starts_with(reason, {sql.quote(start)}) LIMIT 1""").fetchall()
    expected = f" ({times.EXPECTED})" if reason.startswith("timestamp") else ""
    return "".join(f", such as {example}{expected}" for (example,) in examples)
