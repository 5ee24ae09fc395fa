"""What a manifest says of the files of a run."""

import hashlib
import os
from pathlib import Path
from typing import IO

from cofi_jobs.store import parquet
from cofi_jobs.store.digests import digest_of
from cofi_jobs.store.record_shapes import FileDigest
from cofi_jobs.store.run_shapes import IdRange, PublishedFile


def describe(path: Path, folder: Path, digest: FileDigest | None = None) -> PublishedFile:
    """The record of a Parquet file of the run whose folder is `folder`.

    `digest` is that of the file, if it is known.
    """
    metadata = parquet.read_metadata(path)
    with path.open("rb") as content:
        footer = footer_sha256(content)
    record = PublishedFile(
        path=str(path.relative_to(folder)),
        rows=metadata.num_rows,
        **(digest or digest_of(path)),
        footer_sha256=footer,
    )
    record.update(id_range(metadata))
    return record


def footer_sha256(content: IO[bytes]) -> str:
    """Hex digest of a Parquet file's footer: its metadata, their length, and the last "PAR1".

    Of all that is there, if that is shorter than a footer: a power cut can leave an empty file.
    """
    size = content.seek(0, os.SEEK_END)
    content.seek(max(size - 8, 0))
    length = int.from_bytes(content.read(4), "little")
    content.seek(max(size - 8 - length, 0))
    return hashlib.sha256(content.read()).hexdigest()


def id_range(metadata: parquet.FileMetaData) -> IdRange:
    """First and last id of a file that is sorted by its first column; empty for others.

    By these a look-up opens one file of many.
    """
    if not metadata.num_rows or not metadata.schema.column(0).path.endswith("_id"):
        return {}
    first, last = (
        metadata.row_group(n).column(0).statistics for n in (0, metadata.num_row_groups - 1)
    )
    if first.min is None or last.max is None:  # Parquet keeps no bounds of very long texts
        return {}
    return {"first_id": first.min, "last_id": last.max}
