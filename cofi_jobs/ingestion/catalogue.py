"""Catalogues: files with the titles and groups of items, as SQL over one file."""

from pathlib import Path

import duckdb

from cofi_jobs.ingestion.columns import ABSENT, choose_catalogue_columns
from cofi_jobs.ingestion.csv_files import U_ITEM_COLUMNS, U_ITEM_GENRES, csv_table
from cofi_jobs.ingestion.packed import extension
from cofi_jobs.ingestion.parquet_files import EXTENSIONS, parquet_table
from cofi_jobs.ingestion.rating_file import clean, clean_id
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql


def catalogue(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> str:
    """SELECT of item_id, title and groups (separated by "|"), all text, from a file of items."""
    if extension(path) in EXTENSIONS:
        relation, columns = parquet_table(connection, path)
    else:
        table = csv_table(path, ("item_id", "title", "groups"))
        relation, columns = table.relation(), table.columns
    if columns == U_ITEM_COLUMNS:
        flags = ", ".join(
            f"CASE WHEN {sql.name(genre)} = '1' THEN '{genre}' END" for genre in U_ITEM_GENRES
        )
        return f"SELECT item_id, title, concat_ws('|', {flags}) AS groups FROM {relation}"
    chosen = choose_catalogue_columns(path, columns, settings)
    item_id, title = clean_id(sql.name(chosen["item_id"])), clean(sql.name(chosen["title"]))
    groups = clean(sql.name(chosen["groups"])) if "groups" in chosen else ABSENT
    return f"SELECT {item_id} AS item_id, {title} AS title, {groups} AS groups FROM {relation}"
