"""What a cell means as a rating or a number as an id, as macros of DuckDB.

What an id is: core/ids.py. What a time is: times.py.

The first two take a cell's text, and as their second argument the same text as a number, NULL if
it is none. The caller works the number out once for all rows. A table of cases for each macro is in
the tests.
"""

import duckdb

from cofi_jobs.ingestion import missing
from cofi_jobs.settings.fields import Settings

LONGEST = 100  # characters of a cell in a message

MACROS = rf"""
-- 17 of "17"; NULL of "007" and " 17", which are text
CREATE OR REPLACE TEMP MACRO integer_id(cell, number) AS
    CASE WHEN number::VARCHAR = cell THEN number END;

-- 4.5 of "4.5" and of "4,5"; one or two decimals: "1,000" may be a thousand
CREATE OR REPLACE TEMP MACRO rating_value(cell, number) AS
    coalesce(number, try_cast(CASE WHEN regexp_full_match(trim(cell), '[+-]?[0-9]+,[0-9]{{1,2}}')
        THEN replace(cell, ',', '.') END AS FLOAT));

-- A cell in a message: short, and without the blanks around it
CREATE OR REPLACE TEMP MACRO shown(cell) AS
    CASE WHEN length(trim(cell)) > {LONGEST} THEN left(trim(cell), {LONGEST}) || '…'
        ELSE trim(cell) END;
"""


def create(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Make the macros known to a connection, whose time zone must be UTC."""
    connection.execute(MACROS)
    connection.execute(missing.macro(settings.missing))
