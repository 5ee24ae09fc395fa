"""What ingest accepts: the cases that are tested, and the table of docs/operating.md.

After a change, `python -m tests.ingestion.accepted_cases` writes the table anew.
"""

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.repository import ROOT

DOCUMENT = ROOT / "docs" / "operating.md"
START, END = "<!-- accepted -->\n", "\n<!-- /accepted -->"
SETTINGS = ("rating_low=0.5", "rating_high=5", "max_rejected=1")  # before those of a case
Row = tuple[object, object, float, float | None]  # user, item, rating, time in seconds


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it in a store that has no ratings yet.

    `error` is a part of the message with which ingest stops; then nothing is taken.
    """

    kind: str
    what: str
    name: str
    content: bytes | str
    taken: Sequence[Row] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    settings: Sequence[str] = ()

    @property
    def outcome(self) -> str:
        """What becomes of the file, in words."""
        if self.error:
            return f'error: "{self.error}"'
        reasons = ", ".join(
            f"{count} rejected: {reason}" for reason, count in self.rejected.items()
        )
        counted = f"{len(self.taken)} taken" if self.taken else ""
        return "; ".join(filter(None, (counted, reasons)))


TIME = 978300760
ROWS: list[Row] = [(7, 42, 3.5, TIME), (8, 43, 4, TIME + 1)]
UNTIMED: list[Row] = [(*row[:3], None) for row in ROWS]
HEADER = "userId,movieId,rating,timestamp\n"
BODY = f"7,42,3.5,{TIME}\n8,43,4,{TIME + 1}\n"
CSV = HEADER + BODY
OBJECTS = [
    {"userId": user, "movieId": item, "rating": rating, "timestamp": time}
    for user, item, rating, time in ROWS
]
JSON_LINES = "".join(json.dumps(record) + "\n" for record in OBJECTS)


def _parquet(records: Sequence[Mapping[str, object]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(record) for record in records]), file)
    return file.getvalue()


def _renamed(header: str, body: str = BODY) -> str:
    return f"{header}\n{body}"


FORMATS = [
    Case("formats", "CSV with a header", "ratings.csv", CSV, ROWS),
    Case("formats", "semicolons, tabs or bars", "ratings.csv", CSV.replace(",", ";"), ROWS),
    Case("formats", "cells in quotation marks", "ratings.csv", CSV.replace("42", '"42"'), ROWS),
    Case("formats", "MovieLens' `u.data`", "u.data", BODY.replace(",", "\t"), ROWS),
    Case("formats", "MovieLens' `ratings.dat`", "ratings.dat", BODY.replace(",", "::"), ROWS),
    Case("formats", "JSON lines", "ratings.jsonl", JSON_LINES, ROWS),
    Case("formats", "Parquet", "ratings.parquet", _parquet(OBJECTS), ROWS),
    Case("formats", "gzip", "ratings.csv.gz", gzip.compress(CSV.encode()), ROWS),
    Case(
        "formats",
        "a line with too few cells",
        "ratings.csv",
        CSV + "9,44\n",
        ROWS,
        {"line is malformed": 1},
    ),
    Case(
        "formats",
        "a line that is no JSON object",
        "ratings.jsonl",
        JSON_LINES + "[1, 2]\n",
        ROWS,
        {"line is not a JSON object": 1},
    ),
    Case(
        "formats", "no ratings at all", "prices.csv", "name,price\nx,2\n", error="'name', 'price'"
    ),
]
COLUMNS = [
    Case("columns", "Book-Crossing", "a.csv", _renamed("User-ID,ISBN,Book-Rating,Date"), ROWS),
    Case(
        "columns",
        "Amazon reviews",
        "a.csv",
        _renamed("reviewerID,asin,overall,unixReviewTime"),
        ROWS,
    ),
    Case("columns", "a shop", "a.csv", _renamed("customer_id,sku,stars,created_at"), ROWS),
    Case(
        "columns",
        "other columns beside them",
        "a.csv",
        "comment,user_id,book_id,score\nfine,7,42,3.5\nx,8,43,4\n",
        UNTIMED,
    ),
    Case(
        "columns",
        "an id beside the name of the same thing: the id counts",
        "a.csv",
        "user_name,user_id,movie,movie_id,rating\nAnn,7,Heat,42,3.5\nBob,8,Up,43,4\n",
        UNTIMED,
    ),
    Case(
        "columns",
        "`timestamp` beside `date`: `timestamp` counts",
        "a.csv",
        "user,item,rating,date,timestamp\n"
        f"7,42,3.5,2020-01-01,{TIME}\n8,43,4,2020-01-01,{TIME + 1}\n",
        ROWS,
    ),
    Case(
        "columns",
        "two candidates for one column",
        "a.csv",
        _renamed("user,item,rating,score"),
        error="'rating', 'score', each of which may be rating, expected one: set rating_column",
    ),
    Case(
        "columns",
        "the same, decided",
        "a.csv",
        _renamed("user,item,rating,score", "7,42,3.5,1\n8,43,4,1\n"),
        UNTIMED,
        settings=["rating_column=rating"],
    ),
    Case(
        "columns",
        "columns in your own words",
        "a.csv",
        _renamed("Kundin;Ware;Note;Tag", BODY.replace(",", ";")),
        ROWS,
        settings=[
            "user_column=Kundin",
            "item_column=Artikel,Ware",
            "rating_column=Note",
            "time_column=tag",
        ],
    ),
    Case(
        "columns",
        "a setting names a column that the file does not have",
        "a.csv",
        CSV,
        error="expected 'Kundin' (setting user_column)",
        settings=["user_column=Kundin"],
    ),
    Case(
        "columns",
        "inserts and deletes in a column `op`",
        "a.csv",
        "user,item,rating,op\n7,42,3.5,insert\n8,43,4,\n",
        UNTIMED,
    ),
    Case(
        "columns",
        "values that mean no rating",
        "a.csv",
        CSV + f"9,44,0,{TIME}\n9,45,-1,{TIME}\n",
        ROWS,
        {"not rated": 2},
        settings=["not_rated=0,-1"],
    ),
]
IDS = [
    Case(
        "ids",
        "texts, and numbers with leading zeros: they stay as they are",
        "a.csv",
        f"user,item,rating,timestamp\nann,007,3.5,{TIME}\n日本 é,43,4,{TIME + 1}\n",
        [("ann", "007", 3.5, TIME), ("日本 é", "43", 4, TIME + 1)],
        settings=["id_type=string"],
    ),
    Case("ids", "`7.0` from a column of floats is 7", "a.csv", CSV.replace("7,", "7.0,"), ROWS),
    Case(
        "ids",
        "an empty id",
        "a.csv",
        CSV + f",42,3,{TIME}\n7,,3,{TIME}\n",
        ROWS,
        {"user_id is missing": 1, "item_id is missing": 1},
    ),
]
RATINGS = [
    Case("ratings", "`3,5` is 3.5", "a.csv", CSV.replace(",", ";").replace("3.5", "3,5"), ROWS),
    Case(
        "ratings",
        "no number, or none",
        "a.csv",
        CSV + f"9,44,good,{TIME}\n9,45,,{TIME}\n",
        ROWS,
        {"rating is not a number": 1, "rating is missing": 1},
    ),
]
TIMES = [
    Case(
        "times",
        "milliseconds, microseconds or nanoseconds",
        "a.csv",
        CSV.replace("978300760", "978300760000").replace("978300761", "978300761000"),
        ROWS,
    ),
    Case(
        "times",
        "ISO 8601, in UTC if there is no zone",
        "a.csv",
        CSV.replace("978300760", "2000-12-31T22:12:40Z").replace(
            "978300761", "2000-12-31 22:12:41"
        ),
        ROWS,
    ),
    Case(
        "times",
        "an unreadable time",
        "a.csv",
        CSV + "9,44,3,soon\n",
        ROWS,
        {"timestamp is unreadable": 1},
    ),
]
CASES = [*FORMATS, *COLUMNS, *IDS, *RATINGS, *TIMES]


def table() -> str:
    """The cases as a table in Markdown."""
    lines = ["| kind | input | settings | what becomes of it |", "| --- | --- | --- | --- |"]
    kind = ""
    for case in CASES:
        first = case.kind if case.kind != kind else ""
        kind = case.kind
        settings = " ".join(f"`{setting}`" for setting in case.settings)
        lines.append(f"| {first} | {case.what} | {settings} | {case.outcome} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table into the document."""
    text = DOCUMENT.read_text()
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    DOCUMENT.write_text(before + start + table() + end + after)


if __name__ == "__main__":
    main()
