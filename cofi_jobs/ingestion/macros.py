"""What a cell means as a time, a rating or a number as an id, as macros of DuckDB.

What an id is: core/ids.py.

Each macro takes a cell's text, and as its second argument the same text as a number, NULL if it is
none. The caller works the number out once for all rows. A table of cases for each macro is in the
tests.
"""

import duckdb

SECONDS = 1e11  # smaller numbers are times in seconds since 1970, larger ones in smaller units

MACROS = rf"""
-- 17 of "17"; NULL of "007" and " 17", which are text
CREATE OR REPLACE TEMP MACRO integer_id(cell, number) AS
    CASE WHEN number::VARCHAR = cell THEN number END;

-- 4.5 of "4.5" and of "4,5"; one or two decimals: "1,000" may be a thousand
CREATE OR REPLACE TEMP MACRO rating_value(cell, number) AS
    coalesce(number, try_cast(CASE WHEN regexp_full_match(trim(cell), '[+-]?[0-9]+,[0-9]{{1,2}}')
        THEN replace(cell, ',', '.') END AS FLOAT));

-- A number of seconds since 1970; of milli-, micro- or nanoseconds if it is too large for that.
CREATE OR REPLACE TEMP MACRO seconds_of(number) AS
    CASE WHEN abs(number) < {SECONDS:g} THEN number WHEN abs(number) < 1e14 THEN number / 1e3
        WHEN abs(number) < 1e17 THEN number / 1e6 ELSE number / 1e9 END;

-- Such a number, or an ISO 8601 time, UTC if it names no zone. The usual case first, for speed.
CREATE OR REPLACE TEMP MACRO rating_time(cell, number) AS
    CASE WHEN abs(number) < {SECONDS:g} THEN to_timestamp(number)
        ELSE coalesce(TRY(to_timestamp(seconds_of(number))),
            try_cast(trim(cell) AS TIMESTAMPTZ)) END;
"""


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the macros known to a connection, whose time zone must be UTC."""
    connection.execute(MACROS)
