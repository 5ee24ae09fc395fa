"""Lines of the last text file that are no records: DuckDB's reject_errors, and those kept out.

DuckDB is told to note malformed lines. Those of a file that is no clean text (see clean_text.py)
are kept out of what DuckDB reads.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.records import MARKS, Record

NONE_KEPT_OUT = "CREATE OR REPLACE TEMP TABLE kept_out (line BIGINT, raw VARCHAR, reason VARCHAR)"
# A line may have several errors.
LINES = """(
    SELECT line, first(csv_line) AS raw,
        'line is malformed: ' || lower(first(error_type)::VARCHAR) AS reason
    FROM reject_errors WHERE error_type != 'CAST' GROUP BY line
    UNION ALL FROM kept_out)"""


def keep_out(connection: duckdb.DuckDBPyConnection, batch: Sequence[Record]) -> None:
    """Note records as rejected that are kept out of what DuckDB reads."""
    if batch:
        columns = {
            "line": [record.line for record in batch],
            "raw": [MARKS.sub("\ufffd", record.text) for record in batch],
            "reason": [record.reason for record in batch],
        }
        connection.register("batch", pa.table(columns))
        connection.execute("INSERT INTO kept_out FROM batch")
        connection.unregister("batch")


def check_quotes(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise DataError if an unclosed quotation mark took an unknown number of rows after it."""
    [(line,)] = connection.execute(r"""
        SELECT min(line) FROM reject_errors
        WHERE error_type = 'UNQUOTED VALUE' AND trim(csv_line, E'\r\n') LIKE E'%\n%'""").fetchall()
    if line is not None:
        raise unclosed_quote(path, line)


def unclosed_quote(path: Path, line: int) -> DataError:
    """The error for a quotation mark that is not closed in its line."""
    return DataError(
        f'{path}: the quotation mark (") that opens in line {line} is not closed there'
    )


def forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Empty reject_errors, so that the next reading starts with none."""
    connection.execute("DELETE FROM reject_errors")
