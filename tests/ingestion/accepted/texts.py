"""Cases: line ends, compression."""

import gzip

from tests.ingestion.accepted.case import CSV, ROWS, Case

TEXT = [
    Case("UTF-8 with a byte order mark", "a.csv", CSV.encode("utf-8-sig"), ROWS),
    Case("lines that end in `\\r\\n`", "a.csv", CSV.replace("\n", "\r\n"), ROWS),
    Case("no line end after the last line", "a.csv", CSV.removesuffix("\n"), ROWS),
    Case("blank lines", "a.csv", CSV.replace("\n", "\n\n"), ROWS),
]
PACKED = [
    Case("gzip", "a.csv.gz", gzip.compress(CSV.encode()), ROWS),
    Case(
        "gzip that was cut",
        "a.csv.gz",
        gzip.compress(CSV.encode())[:-9],
        error="ended before the end-of-stream marker was reached",
    ),
]
