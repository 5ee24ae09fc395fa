"""Packed files: what a file is by its first bytes, whatever its name, and its bytes unpacked."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from cofi_jobs.core.errors import DataError

HEAD = 4096  # bytes that show what a file is
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}
PACKED = {
    "gzip": rb"\x1f\x8b\x08",
    "zstd": rb"\x28\xb5\x2f\xfd",
    "bz2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\x00",
}
PARQUET = b"PAR1"
# Files that people drop by mistake. What they are is a better message than their bytes.
UNREADABLE = {
    "a zip archive (Excel's .xlsx files are such, too)": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "a tar archive": rb".{257}ustar",
    "an old Excel file": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a 7-Zip archive": rb"7z\xbc\xaf\x27\x1c",
    "a RAR archive": rb"Rar!\x1a\x07",
    "a file packed with lz4": rb"\x04\x22\x4d\x18",
    "a file packed with compress": rb"\x1f[\x9d\xa0]",
    "an encrypted Parquet file": rb"PARE",
    "an ORC file": rb"ORC[\x00-\x1f\x80-\xff]",
    "an Avro file": rb"Obj\x01",
    "an Arrow file": rb"(ARROW1\x00|FEA1)",
    "an HDF5 file": rb"\x89HDF\r\n",
    "an SQLite database": rb"SQLite format 3\x00",
    "a Python pickle": rb"\x80[\x02-\x05][\x95c}\]\(K]",
    "a PDF": rb"%PDF-",
    "an image": rb"(\x89PNG\r\n|\xff\xd8\xff|GIF8)",
    "a page of HTML": rb"(?i:(\xef\xbb\xbf)?\s*<(!doctype html|html)\b)",
    "XML": rb"(\xef\xbb\xbf)?\s*<\?xml\b",
    "a pointer of Git LFS": rb"version https://git-lfs",
}
Unpacked = BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile | io.BufferedReader


def compression(path: Path) -> str:
    """The compression of the file: gzip, zstd, bz2, xz, or "none".

    Raises DataError if only the name shows one.
    """
    head = _head(path)
    packed = next((name for name, start in PACKED.items() if re.match(start, head)), "none")
    named = COMPRESSIONS.get(path.suffix.lower())
    if named and packed == "none" and head and not head.startswith(PARQUET):
        raise DataError(f"{path} cannot be read: it is not packed with {named}, as its name says")
    return packed


def is_parquet(path: Path) -> bool:
    """Whether the file is a Parquet file. Of a file without bytes its name decides."""
    head = _head(path)
    return head.startswith(PARQUET) if head else extension(path) in (".parquet", ".pq")


def extension(path: Path) -> str:
    """The last extension of a file's name that is not a compression's, in lower case.

    "" without one.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSIONS]
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_unpacked(path: Path) -> Iterator[Unpacked]:
    """The file's bytes, unpacked. Raises DataError where they cannot be."""
    try:
        with _opened(path, compression(path)) as file:
            yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def is_empty(path: Path) -> bool:
    """Whether there is nothing in the file, or in what it unpacks to, or only an empty array."""
    with open_unpacked(path) as file:
        start = file.read(64)
    return len(start) < 64 and start.strip() in (b"", b"[]")


def check_is_text(path: Path) -> None:
    """Raise DataError if the file, unpacked, is of a known kind that is no text."""
    with open_unpacked(path) as file:
        head = file.read(HEAD)
    kinds = UNREADABLE
    if compression(path) != "none":
        kinds = kinds | {f"packed twice, with {name} inside": PACKED[name] for name in PACKED}
        kinds |= {"Parquet that is packed": PARQUET}
    for kind, start in kinds.items():
        if re.match(start, head, re.DOTALL):
            inside = "" if compression(path) == "none" else ", unpacked,"
            raise DataError(f"{path}{inside} is {kind}, expected text or a Parquet file")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _opened(path: Path, packed: str) -> Unpacked:
    if packed == "gzip":
        return gzip.open(path, "rb")
    if packed == "bz2":
        return bz2.open(path, "rb")
    if packed == "xz":
        return lzma.open(path, "rb")
    if packed == "zstd":
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")
