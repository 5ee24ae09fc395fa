"""The columns of rating files and catalogues: known names, and which column holds what."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cofi_jobs.core.errors import DataError

# Accepted column names, compared without case and punctuation. The first is what messages call the
# column.
RATING_COLUMNS = {
    "user_id": ("userid", "user", "uid", "customerid", "memberid"),
    "item_id": ("itemid", "movieid", "item", "movie", "productid", "iid"),
    "rating": ("rating", "ratings", "stars", "score"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "ratedat", "createdat"),
    "op": ("op", "operation"),
}
CATALOGUE_COLUMNS = {
    "item_id": RATING_COLUMNS["item_id"],
    "title": ("title", "movietitle", "name", "itemname"),
    "groups": ("genres", "genre", "groups", "group", "categories", "category"),
}
FORMATS = (
    "CSV (also .tsv, .dat with '::', u.data), JSON lines or Parquet, text files also as .gz or .zst"
)
ABSENT = "NULL::VARCHAR"  # a column that a file does not have, in SQL


def choose_rating_columns(path: Path, columns: Sequence[str]) -> dict[str, str]:
    """For each column of ratings the file's column that holds it.

    Raises DataError without users, items or ratings.
    """
    return choose(path, columns, RATING_COLUMNS, required=("user_id", "item_id", "rating"))


def choose(
    path: Path,
    columns: Sequence[str],
    accepted: Mapping[str, Sequence[str]],
    required: Sequence[str],
) -> dict[str, str]:
    """For each accepted column the file's column that holds it.

    Raises DataError if a required one is missing.
    """
    by_name = {_simplified(column): column for column in reversed(columns)}
    chosen = {
        column: next(by_name[name] for name in names if name in by_name)
        for column, names in accepted.items()
        if any(name in by_name for name in names)
    }
    missing = [column for column in required if column not in chosen]
    if missing:
        present = ", ".join(map(repr, columns)) or "none"
        names = "; ".join(f"{column}: {', '.join(accepted[column])}" for column in missing)
        raise DataError(
            f"{path}: found the columns {present}, expected one for each of {', '.join(required)} "
            f"({names}, written with any case or punctuation); readable are {FORMATS}"
        )
    return chosen


def unique(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns with a name of its own for each.

    Raises DataError if a column with a known name is there twice.
    """
    known = {name for names in (RATING_COLUMNS | CATALOGUE_COLUMNS).values() for name in names}
    repeated = {
        column for column in columns if columns.count(column) > 1 and _simplified(column) in known
    }
    if repeated:
        raise DataError(
            f"{path}: found the column {', '.join(map(repr, sorted(repeated)))} twice, "
            "expected it once"
        )
    return tuple(
        name if name and name not in columns[:index] else f"{name} (column {index + 1})"
        for index, name in enumerate(columns)
    )


def _simplified(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())
