"""Clean text: what DuckDB reads well and fast. Of any other text a clean copy is made.

Clean is UTF-8 with one kind of line ends, without NUL, with lines of usual length, of which few are
malformed: DuckDB keeps about 5 KB in memory for each malformed one.
"""

import codecs
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import rejects
from cofi_jobs.ingestion.packed import Unpacked, compression, open_unpacked
from cofi_jobs.ingestion.records import Record, Shape, UnclosedQuoteError, records
from cofi_jobs.ingestion.text_encoding import (
    BLOCK,
    BROKEN,
    UTF8,
    WINDOWS,
    Encoding,
    encoding_of_lines,
)
from cofi_jobs.ingestion.text_lines import first_line, lines, read_encoding
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

log = logging.getLogger(__name__)

# A line may have this share of the memory limit: DuckDB holds it a few times.
LINE_SHARE = 24
DUCKDB_UNPACKS = ("none", "gzip", "zstd")
EVERY = 1 << 16  # bytes between two samples
SAMPLE = 1 << 10  # bytes
# What DuckDB may keep of malformed lines, in bytes.
MOST_KEPT = 100_000_000
PER_MALFORMED = 5000
BATCH = 10_000  # records that are kept out, at a time
BATCH_CHARACTERS = 1 << 22


@dataclass(frozen=True)
class CleanText:
    """A file that DuckDB can read: the original or a copy.

    `longest` is a bound in bytes for the longest line, 0 if all are of usual length.
    """

    path: Path
    longest: int = 0


def clean_text(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    shape: Shape,
    header: bool,
    settings: Settings,
) -> CleanText:
    """The file itself if it is clean, else a copy where the connection spills.

    Records that are kept out of the copy are in the table kept_out. Raises DataError if the file is
    no text, cannot be unpacked, or a quotation mark in it is not closed.
    """
    encoding = read_encoding(path, settings.encoding)
    _, n_above = first_line(path, encoding)
    stat = path.stat()
    if not n_above and _is_clean(path, stat.st_size, stat.st_mtime_ns, shape, encoding):
        return CleanText(path)
    if not encoding.is_certain:
        with open_unpacked(path) as file:
            encoding = encoding_of_lines(file)
        if encoding == WINDOWS:
            log.warning("%s is not UTF-8: it is read as Windows-1252 (setting encoding)", path)
    copy = _copy(connection, path)
    longest = settings.memory_limit_mb * 1_000_000 // LINE_SHARE
    with open_unpacked(path) as file:
        numbered = islice(enumerate(lines(file, encoding, longest), start=1), n_above, None)
        names = [Record(*next(numbered), "")] if header else []
        judged = chain(names, records(numbered, shape, encoding))
        try:
            longest_line = _write(connection, copy, judged)
        except UnclosedQuoteError as error:
            raise rejects.unclosed_quote(path, error.args[0]) from None
    return CleanText(copy, longest_line + BLOCK if longest_line > BLOCK else 0)


def utf8_text(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> Path:
    """The file itself if DuckDB unpacks it and its encoding is UTF-8, else a copy.

    Raises DataError if it is no text of its encoding.
    """
    encoding = read_encoding(path, settings.encoding)
    if encoding.is_utf8 and compression(path) in DUCKDB_UNPACKS:
        return path
    copy, decoder = _copy(connection, path), encoding.decoder()
    with open_unpacked(path) as file, copy.open("w", encoding="utf-8", newline="") as target:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            if BROKEN in text:
                raise DataError(f"{path} is not valid {encoding.name}")
            target.write(text)
    return copy


@lru_cache(maxsize=1024)
def _is_clean(path: Path, size: int, mtime_ns: int, shape: Shape, encoding: Encoding) -> bool:
    """Whether DuckDB can read the file itself.

    Ingest asks twice, before and after it decides between ratings and events. Size and time tell a
    file from what it was.
    """
    if compression(path) not in DUCKDB_UNPACKS:
        return False
    with open_unpacked(path) as file:
        return is_clean(file, shape, encoding)


def is_clean(file: Unpacked, shape: Shape, encoding: Encoding) -> bool:
    """Whether DuckDB reads the text well and in bounded memory as it is. It is read to its end."""
    if not encoding.extends_ascii:
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    line_ends: set[str] = set()
    n_open = n_kept = 0
    while block := file.read(BLOCK):
        if block.endswith(b"\r"):
            block += file.read(1)
        if not block.isascii() or decoder.getstate()[0]:
            if not encoding.is_utf8:
                return False
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return False
        line_ends |= _line_ends(block)
        n_open = 0 if b"\n" in block else n_open + len(block)
        n_kept += _kept_of_malformed(block, shape)
        if len(line_ends) > 1 or n_open >= BLOCK or b"\0" in block or n_kept > MOST_KEPT:
            return False
    return not decoder.getstate()[0]


def _line_ends(block: bytes) -> set[str]:
    """The kinds of line ends in a block that does not end within one."""
    if b"\r" not in block:
        return {"\n"} if b"\n" in block else set()
    n_pairs = block.count(b"\r\n")
    n_returns, n_newlines = block.count(b"\r"), block.count(b"\n")
    return {"\r\n"} if n_pairs == n_returns == n_newlines else {"\r", "\n"}


def _kept_of_malformed(block: bytes, shape: Shape) -> int:
    """What DuckDB would keep of the malformed lines of a block, in bytes, by samples."""
    n_kept = 0
    for start in range(0, len(block), EVERY):
        begin = block.find(b"\n", start) + 1
        end = block.find(b"\n", begin + SAMPLE) if begin else -1
        sample = block[begin:end] if begin else b""
        if _are_regular(sample, shape):  # as nearly all are; faster than to look at each line
            continue
        lines = sample.decode("utf-8", "replace").split("\n")
        malformed = [line for line in lines if _is_malformed(line.removesuffix("\r"), shape)]
        if malformed:
            n_bytes = (end if end > 0 else len(block)) - begin
            kept = sum(PER_MALFORMED + len(line) for line in malformed)
            n_kept += kept * min(EVERY, len(block)) // n_bytes
    return n_kept


def _are_regular(sample: bytes, shape: Shape) -> bool:
    """Whether each line has as many separators as it should, and no quotation mark."""
    separator = shape.separator.encode()
    n_separators = {line.count(separator) for line in sample.split(b"\n")}
    has_quotes = shape.quote != "" and shape.quote.encode() in sample
    return n_separators <= {shape.n_columns - 1} and not has_quotes


def _is_malformed(line: str, shape: Shape) -> bool:
    if not shape.quote or shape.quote not in line:
        return line != "" and shape.flaw(line) != ""
    try:
        [record] = records(iter([(1, line)]), shape, UTF8)
    except UnclosedQuoteError:
        return True
    return record.reason != ""


def _copy(connection: duckdb.DuckDBPyConnection, path: Path) -> Path:
    """Where the copy of a file goes."""
    return sql.spill_folder(connection) / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _write(connection: duckdb.DuckDBPyConnection, copy: Path, judged: Iterator[Record]) -> int:
    """Write good records to a file, the others to the table kept_out; the longest line in bytes."""
    batch: list[Record] = []
    longest = n_characters = 0
    with copy.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for record in judged:
            if not record.reason:
                if 4 * len(record.text) > longest:
                    longest = max(longest, len(record.text.encode("utf-8", "replace")))
                file.write(record.text)
                file.write("\n")
                continue
            batch.append(record)
            n_characters += len(record.text)
            if len(batch) >= BATCH or n_characters >= BATCH_CHARACTERS:
                rejects.keep_out(connection, batch)
                batch, n_characters = [], 0
    rejects.keep_out(connection, batch)
    return longest
