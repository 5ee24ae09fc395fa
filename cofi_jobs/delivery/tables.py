"""The tables that are delivered: their schemas and their rows."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from cofi_jobs.store import parquet
from cofi_jobs.store import schemas as published
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.store import Store

KEYS = {  # each table's primary key
    "recommendations": ("user_id", "rank"),
    "similar_items": ("item_id", "rank"),
    "popular_items": ("rank",),
}
TABLES = tuple(KEYS)
BLOCK_ROWS = 65_536


def schemas(manifest: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """The Arrow schema of each table of a published run."""
    user_id, item_id = (
        published.ID_TYPES[manifest["id_types"][column]] for column in ("user_id", "item_id")
    )
    measure = "distance" if manifest["settings"]["similarity"] == "distance" else "similarity"
    return {
        "recommendations": published.recommendations(user_id, item_id),
        "similar_items": published.similar_items(item_id, measure),
        "popular_items": published.popular_items(item_id),
    }


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """A digest of the tables' published files: it tells one delivery from another."""
    files = [file for file in manifest["files"] if file["path"].split("/")[0] in TABLES]
    lines = "".join(f"{file['path']} {file['sha256']}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def published_rows(manifest: Mapping[str, Any], table: str) -> int:
    """How many rows a table has, as the manifest says."""
    return sum(file["rows"] for file in manifest["files"] if file["path"].split("/")[0] == table)


def rows(store: Store, manifest: Mapping[str, Any], table: str) -> pa.RecordBatchReader:
    """A table of a run, in the contract's columns; one block of rows at a time is in memory.

    Raises DamageError if a file is not as it was written.
    """
    schema, folder = schemas(manifest)[table], store.checked_table(manifest["run_key"], table)
    blocks = (
        block
        for path in parquet_files(folder)
        for block in _blocks(path, folder, schema, users_in_names=table == "recommendations")
    )
    return pa.RecordBatchReader.from_batches(schema, blocks)


def _blocks(
    path: Path, folder: Path, schema: pa.Schema, users_in_names: bool
) -> Iterator[pa.RecordBatch]:
    """The rows of a file. A file of one user has the user's id in its folder's name."""
    in_name: dict[str, Any] = {}
    if users_in_names:
        folder_names = ds.partitioning(pa.schema([schema.field("user_id")]), flavor="hive")
        in_name = ds.get_partition_keys(folder_names.parse(str(path.relative_to(folder))))
    # A scanner of the dataset would read ahead of the database as far as memory allows.
    for block in parquet.open_file(path).iter_batches(BLOCK_ROWS):
        for name, value in in_name.items():
            constant = pa.repeat(pa.scalar(value, schema.field(name).type), len(block))
            block = block.append_column(name, constant)
        yield block.select(schema.names).cast(schema)
