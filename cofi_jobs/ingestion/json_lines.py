"""JSON lines: one object a line. Its values are read as text.

Lines that are no object are broken records.
"""

import json
from itertools import islice
from pathlib import Path

from cofi_jobs.ingestion.columns import ABSENT, choose_rating_columns
from cofi_jobs.ingestion.known_columns import RATING_COLUMNS
from cofi_jobs.ingestion.packed import open_unpacked
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.text_table import text_table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

EXTENSIONS = (".jsonl", ".ndjson", ".json")
SAMPLE = 100  # lines in which the keys are looked for
NO_SEPARATOR = "\x01"  # JSON escapes it, so a line is one cell
LINE = "c0"


def ratings(path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a file of JSON lines.

    Raises DataError if it has no keys of ratings.
    """
    chosen = choose_rating_columns(path, _keys(path), settings)
    lines = text_table(path, (LINE,), NO_SEPARATOR, header=False, quote="").relation()
    return RatingFile(
        cells=f"(FROM {lines} WHERE trim({LINE}) != '')",
        fields={
            name: _value(chosen[name]) if name in chosen else ABSENT for name in RATING_COLUMNS
        },
        raw=LINE,
        chosen=chosen,
        broken=f"CASE WHEN json_valid({LINE}) THEN json_type({LINE}) != 'OBJECT' ELSE true END",
    )


def _value(key: str) -> str:
    path = sql.quote('$."' + key.replace('"', '\\"') + '"')
    return f"CASE WHEN json_valid({LINE}) THEN json_extract_string({LINE}, {path}) END"


def _keys(path: Path) -> tuple[str, ...]:
    """Keys of the first objects. Broken lines are ignored here and rejected later."""
    keys: dict[str, None] = {}
    with open_unpacked(path) as file:
        for line in islice(file, SAMPLE):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                keys.update(dict.fromkeys(record))
    return tuple(keys)
