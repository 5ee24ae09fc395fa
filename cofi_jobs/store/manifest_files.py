"""What a manifest says of the files of a run."""

from pathlib import Path
from typing import NotRequired, TypedDict

import pyarrow.parquet as pq

from cofi_jobs.store.files import sha256


class FileRecord(TypedDict):
    """A file of a manifest; the path is below the run's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str
    first_id: NotRequired[int | str]  # of a file that is sorted by its first column, an id
    last_id: NotRequired[int | str]


def describe(path: Path, folder: Path) -> FileRecord:
    """The record of a Parquet file of the run whose folder is `folder`."""
    metadata = pq.read_metadata(path)
    record = FileRecord(
        path=str(path.relative_to(folder)),
        rows=metadata.num_rows,
        bytes=path.stat().st_size,
        sha256=sha256(path),
    )
    if bounds := _id_range(metadata):
        record["first_id"], record["last_id"] = bounds
    return record


def _id_range(metadata: pq.FileMetaData) -> tuple[int | str, int | str] | None:
    """First and last id of a file that is sorted by its first column: a look-up opens one file."""
    if not metadata.num_rows or not metadata.schema.column(0).path.endswith("_id"):
        return None
    first, last = (
        metadata.row_group(n).column(0).statistics for n in (0, metadata.num_row_groups - 1)
    )
    if first.min is None or last.max is None:  # Parquet keeps no bounds of very long texts
        return None
    return first.min, last.max
