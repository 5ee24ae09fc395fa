"""Catalogues: files with the titles and groups of items, as SQL over one file."""

from pathlib import Path

import duckdb

from cofi_jobs.ingestion.columns import ABSENT, choose_catalogue_columns
from cofi_jobs.ingestion.csv_files import U_ITEM_COLUMNS, U_ITEM_GENRES, csv_table
from cofi_jobs.ingestion.json_records import is_json, json_records, pointer
from cofi_jobs.ingestion.packed import is_parquet
from cofi_jobs.ingestion.parquet_files import is_nested, parquet_table
from cofi_jobs.ingestion.rating_file import clean, clean_id
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql


def catalogue(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> str:
    """SELECT of item_id, title and groups (separated by "|"), all text, from a file of items."""
    if is_parquet(path):
        return _of_parquet(connection, path, settings)
    if is_json(path):
        return _of_json(connection, path, settings)
    table = csv_table(connection, path, ("item_id", "title", "groups"), settings)
    relation, columns = table.relation(), table.columns
    if columns == U_ITEM_COLUMNS:
        flags = ", ".join(
            f"CASE WHEN {sql.name(genre)} = '1' THEN '{genre}' END" for genre in U_ITEM_GENRES
        )
        return f"SELECT item_id, title, concat_ws('|', {flags}) AS groups FROM {relation}"
    chosen = choose_catalogue_columns(path, columns, settings)
    return _select(relation, **{name: sql.name(column) for name, column in chosen.items()})


def _of_parquet(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> str:
    table = parquet_table(connection, path)
    chosen = choose_catalogue_columns(path, list(table.types), settings)
    cells = {name: sql.name(column) for name, column in chosen.items()}
    if "groups" in chosen and is_nested(table.types[chosen["groups"]]):
        cells["groups"] = _joined(f"to_json({cells['groups']})")
    return _select(table.relation, **cells)


def _of_json(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> str:
    records = json_records(connection, path, settings)
    keys, _ = records.shapes(connection, path, lambda _: False)
    chosen = choose_catalogue_columns(path, keys, settings)
    cells = {name: f"json_extract_string(object, {pointer(key)})" for name, key in chosen.items()}
    if "groups" in chosen:
        cells["groups"] = _joined(f"json_extract(object, {pointer(chosen['groups'])})")
    return _select(f"(FROM {records.table} WHERE object IS NOT NULL)", **cells)


def _joined(value: str) -> str:
    """Groups of a JSON value in one text: of a list of texts, or of objects with a name."""
    name = "coalesce(json_extract_string(item, '/name'), json_extract_string(item, '$'))"
    items = (
        f"list_transform(from_json({value}, '[\"JSON\"]'), lambda item: replace({name}, '|', '/'))"
    )
    return f"""CASE json_type({value}) WHEN 'ARRAY' THEN array_to_string({items}, '|')
        ELSE json_extract_string({value}, '$') END"""


def _select(relation: str, item_id: str, title: str, groups: str = ABSENT) -> str:
    return (
        f"SELECT {clean_id(item_id)} AS item_id, {clean(title)} AS title, "
        f"{clean(groups)} AS groups FROM {relation}"
    )
