"""Parquet files: columns of any type, read as text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import rating_file
from cofi_jobs.ingestion.columns import unique
from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

# Whole numbers beyond these may be others, rounded.
EXACT = {"DOUBLE": 2**53, "FLOAT": 2**24}
NO_ID = ("BOOLEAN", "STRUCT", "MAP", "UNION", "VARIANT")


@dataclass(frozen=True)
class ParquetTable:
    """A file as a table in SQL, and DuckDB's type of each column by its name in the table."""

    relation: str
    types: Mapping[str, str]


def ratings(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a Parquet file.

    Raises DataError if it has no columns of ratings, or ids of a type that no id has.
    """
    table = parquet_table(connection, path)
    source = rating_file.of_columns(path, table.relation, list(table.types), settings)
    fields, flaws = dict(source.fields), []
    for name in ID_COLUMNS:
        kind = table.types[source.chosen[name]]
        if is_nested(kind) or kind.startswith(NO_ID):
            raise DataError(
                f"{path}: found {name} in the column {source.chosen[name]!r} of type "
                f"{kind[:60]}, expected numbers or texts"
            )
        if kind in EXACT:
            number = f"nullif(try_cast({fields[name]} AS DOUBLE), 'nan')"
            rounded = f"coalesce(abs({number}) > {EXACT[kind]}, false)"
            flaws.append(f"WHEN {rounded} THEN '{name} is rounded: ' || {fields[name]}")
            fields[name] = f"CASE WHEN NOT {rounded} THEN {fields[name]} END"
    flaw = f"CASE {' '.join(flaws)} END" if flaws else source.flaw
    return replace(source, fields=fields, flaw=flaw)


def parquet_table(connection: duckdb.DuckDBPyConnection, path: Path) -> ParquetTable:
    """The file as a table; lists and nested columns are as they are, others may be text."""
    table = sql.parquet([path])
    kinds = [row[1] for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()]
    try:  # DuckDB has names of its own for columns without one, and for repeated ones
        names = unique(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from None
    types = dict(zip(names, kinds, strict=True))
    listed = ", ".join(map(sql.name, names))
    cells = ", ".join(
        f"{text} AS {sql.name(column)}"
        for column, kind in types.items()
        if (text := _text(sql.name(column), kind))
    )
    columns = f"* REPLACE ({cells})" if cells else "*"
    return ParquetTable(f"(SELECT {columns} FROM {table} AS file({listed}))", types)


def is_nested(kind: str) -> bool:
    """Whether a type of DuckDB is a list, a struct or a map."""
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP"))


def _text(column: str, kind: str) -> str:
    """A cell as text, in SQL, where its plain cast to text is another; "" else."""
    if kind in EXACT:  # a missing value is NaN in pandas; large numbers must have no exponent
        return f"""CASE WHEN isnan({column}) THEN NULL
            WHEN abs({column}) BETWEEN 1e15 AND 9e18 AND {column} = trunc({column})
            THEN {column}::BIGINT::VARCHAR ELSE {column}::VARCHAR END"""
    if kind.startswith("DECIMAL") and not kind.endswith(",0)"):
        return rf"regexp_replace({column}::VARCHAR, '\.?0+$', '')"
    if kind == "BLOB":  # text without the mark that it is text, as older writers leave it
        return f"coalesce(TRY(decode({column})), {column}::VARCHAR)"
    return ""
