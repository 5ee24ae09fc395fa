"""Cases: encodings, line ends, compression, and files that are no text."""

import bz2
import gzip

from tests.ingestion.accepted.case import CSV, ROWS, Case

BROKEN = CSV.encode() + b"caf\xc3,44,3,978300762\n"
TEXT = [
    Case("UTF-8 with a byte order mark", "a.csv", CSV.encode("utf-8-sig"), ROWS),
    Case("lines that end in `\\r\\n`", "a.csv", CSV.replace("\n", "\r\n"), ROWS),
    Case("no line end after the last line", "a.csv", CSV.removesuffix("\n"), ROWS),
    Case("blank lines", "a.csv", CSV.replace("\n", "\n\n"), ROWS),
    Case("lines that end in `\\r`", "a.csv", CSV.replace("\n", "\r"), ROWS),
    Case("mixed line ends", "a.csv", CSV.replace("\n", "\r\r\n", 1).replace("\n8", "\r8"), ROWS),
    Case("UTF-16", "a.csv", CSV.encode("utf-16"), ROWS),
    Case("UTF-16 without a byte order mark", "a.csv", CSV.encode("utf-16-be"), ROWS),
    Case(
        "a line that is not valid UTF-8",
        "a.csv",
        BROKEN,
        ROWS,
        {"line is not valid UTF-8": 1},
        settings=["encoding=utf-8"],
    ),
    Case("a first line of data", "a.csv", CSV.partition("\n")[2], error="found no header"),
]
PACKED = [
    Case("gzip", "a.csv.gz", gzip.compress(CSV.encode()), ROWS),
    Case("gzip named `.csv`", "a.csv", gzip.compress(CSV.encode()), ROWS),
    Case("bzip2", "a.csv.bz2", bz2.compress(CSV.encode()), ROWS),
    Case("zip, also `.xlsx`", "a.xlsx", b"PK\x03\x04" + bytes(99), error="is a zip archive"),
    Case(
        "gzip that was cut",
        "a.csv.gz",
        gzip.compress(CSV.encode())[:-9],
        error="ended before the end-of-stream marker was reached",
    ),
]
