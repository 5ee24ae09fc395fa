"""Packed files: which compression a file has, and its bytes without it."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from cofi_jobs.core.errors import DataError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


def compression(path: Path) -> str:
    """The compression that the file's name shows, as DuckDB calls it; "none" without one."""
    return COMPRESSIONS.get(path.suffix.lower(), "none")


def extension(path: Path) -> str:
    """The last extension of a file's name that is not a compression's, in lower case.

    "" without one.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSIONS]
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO | gzip.GzipFile | io.BufferedReader]:
    """The file's bytes, unpacked. Raises DataError where they cannot be."""
    packed = compression(path)
    try:
        with (
            gzip.open(path, "rb")
            if packed == "gzip"
            else io.BufferedReader(pa.input_stream(str(path), compression=packed))
            if packed == "zstd"
            else path.open("rb")
        ) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def is_empty(path: Path) -> bool:
    """Whether there is nothing in the file, or in what it unpacks to, or only an empty array."""
    with open_unpacked(path) as file:
        start = file.read(64)
    return len(start) < 64 and start.strip() in (b"", b"[]")
