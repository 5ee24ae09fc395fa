"""Cases: formats, JSON, folders, names."""

import io
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tests.ingestion.accepted.case import BODY, CSV, HEADER, OBJECTS, ROWS, TIME, Case, with_rows


def parquet(records: Sequence[Mapping[str, object]]) -> bytes:
    """A Parquet file of records."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(record) for record in records]), file)
    return file.getvalue()


JSON_LINES = "".join(json.dumps(record) + "\n" for record in OBJECTS)
FORMATS = [
    Case("CSV with a header", "a.csv", CSV, ROWS),
    Case("semicolons", "a.csv", CSV.replace(",", ";"), ROWS),
    Case("tabs", "a.tsv", CSV.replace(",", "\t"), ROWS),
    Case("bars", "a.txt", CSV.replace(",", "|"), ROWS),
    Case("quotation marks around cells", "a.csv", CSV.replace("42", '"42"'), ROWS),
    Case("MovieLens' `u.data`, no header", "u.data", BODY.replace(",", "\t"), ROWS),
    Case("MovieLens' `ratings.dat`, `::`, no header", "r.dat", BODY.replace(",", "::"), ROWS),
    Case("a line with too few cells", "a.csv", with_rows("9,44"), ROWS, {"line is malformed": 1}),
    Case(
        "a quotation mark that is not closed",
        "a.csv",
        with_rows(f'9,"44,3,{TIME}', f"9,45,3,{TIME}"),
        error='the quotation mark (") that opens in line 4 is not closed there',
    ),
    Case("Parquet", "a.parquet", parquet(OBJECTS), ROWS),
    Case("an empty file beside a good one", "b", {"a.csv": CSV, "empty.csv": ""}, ROWS),
    Case(
        "a file of other things",
        "prices.csv",
        "name,price\nx,2\n",
        error="found the columns 'name', 'price', expected one for each of user_id, item_id",
    ),
]
JSON = [
    Case("JSON lines", "a.jsonl", JSON_LINES, ROWS),
    Case(
        "numbers as texts, and other keys",
        "a.jsonl",
        JSON_LINES.replace('"movieId": 42', '"movieId": "42", "tags": ["x"]'),
        ROWS,
    ),
    Case(
        "a line that is no object",
        "a.jsonl",
        JSON_LINES + "[1, 2]\n",
        ROWS,
        {"line is not a JSON object": 1},
    ),
    Case(
        "a line of 1,000 `[`",
        "a.jsonl",
        JSON_LINES + "[" * 1000 + "\n",
        ROWS,
        {"line is not a JSON object": 1},
    ),
    Case("an array on one line", "a.json", json.dumps(OBJECTS), ROWS),
    Case("an array over many lines", "a.json", json.dumps(OBJECTS, indent=2), ROWS),
    Case(
        "objects over many lines",
        "a.json",
        "\n".join(json.dumps(record, indent=2) for record in OBJECTS),
        ROWS,
    ),
    Case(
        "other names of keys in later objects",
        "a.jsonl",
        JSON_LINES.replace("userId", "user", 1).replace("rating", "stars", 1),
        ROWS,
    ),
    Case(
        "two keys of one object that may be the user",
        "a.jsonl",
        JSON_LINES.replace('"userId": 7', '"userId": 7, "uid": 8'),
        error="found the columns 'userId', 'uid', each of which may be user_id",
    ),
    Case(
        "`op` only in a late line: a withdrawal",
        "a.jsonl",
        JSON_LINES * 60 + json.dumps({**OBJECTS[0], "op": "delete"}),
        [*ROWS * 60, (7, 42, None, TIME)],
    ),
    Case(
        "ids that are objects, arrays or booleans",
        "a.jsonl",
        JSON_LINES
        + "".join(
            json.dumps({**OBJECTS[0], "userId": value}) + "\n" for value in ({"id": 7}, [7], True)
        ),
        ROWS,
        {
            "user_id is a JSON array": 1,
            "user_id is a JSON boolean": 1,
            "user_id is a JSON object": 1,
        },
    ),
    Case(
        "a key of ratings that an object has twice",
        "a.jsonl",
        JSON_LINES + '{"userId": 7, "userId": 8, "movieId": 44, "rating": 3}\n',
        ROWS,
        {"a key is there twice": 1},
    ),
    Case(
        "an array that is cut",
        "a.json",
        json.dumps(OBJECTS)[:-9],
        error="Malformed JSON",
    ),
]
PARTS = [HEADER + row + "\n" for row in BODY.splitlines()]
FOLDERS = [
    Case(
        "Spark: `ratings.csv/part-0.csv`, `part-1.csv`, `_SUCCESS`",
        "ratings.csv",
        {"part-0.csv": PARTS[0], "part-1.csv": PARTS[1], "_SUCCESS": "", ".part-0.csv.crc": "x"},
        ROWS,
    ),
    Case(
        "Hive: `ratings/date=2024-06-01/a.csv`; folders' names are no data",
        "ratings",
        {"date=2024-06-01/user=9/a.csv": PARTS[0], "date=2024-06-02/user=9/b.csv": PARTS[1]},
        ROWS,
    ),
    Case(
        "a table of Delta Lake",
        "ratings",
        {"_delta_log/0.json": "{}", "a.parquet": parquet(OBJECTS)},
        error="found a table of Delta Lake",
    ),
    Case(
        "a name with a line break",
        "a\nb.csv",
        CSV,
        error="found a control character, such as a line break",
    ),
    Case("a name with a backslash", "a\\b.csv", CSV, error="found a backslash in the path"),
    Case("a name that is not UTF-8", "a\udcff.csv", CSV, error="found bytes that are not UTF-8 in"),
    Case("a name such as `a[0]*?{b}'%.csv`", "a[0]*?{b}'%.csv", CSV, ROWS),
]
