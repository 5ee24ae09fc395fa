"""The columns of rating files and catalogues: which column holds what."""

import functools
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.known_columns import CATALOGUE_COLUMNS, RATING_COLUMNS, Tiers
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.lists import texts

FORMATS = (
    "CSV (also .tsv, .dat with '::', u.data), JSON (lines or an array) or Parquet, "
    "text files also as .gz, .zst, .bz2 or .xz"
)
ABSENT = "NULL::VARCHAR"  # a column that a file does not have, in SQL
# The setting that names the file's column.
SETTINGS = {
    "user_id": "user_column",
    "item_id": "item_column",
    "rating": "rating_column",
    "count": "count_column",
    "timestamp": "time_column",
    "op": "op_column",
}
MOST_SHOWN = 20  # columns in a message
LONGEST_SHOWN = 60  # characters of a column's name in a message
EXAMPLES = 4  # known names in a message
POSITION = re.compile(r" \(column \d+\)$")  # what `unique` appends


def choose_rating_columns(path: Path, columns: Sequence[str], settings: Settings) -> dict[str, str]:
    """For each column of ratings the file's column that holds it.

    A column that a setting names is the one. A file of events has no ratings. Raises DataError if
    the file has no column that a setting names, has no users or items, or has two columns of which
    each may be the one.
    """
    simplified = {column: _simplified(column) for column in columns}
    named = {
        column: _column_by_setting(path, simplified, setting, names)
        for column, setting in SETTINGS.items()
        if (names := texts(getattr(settings, setting)))
    }
    if len(set(named.values())) < len(named):
        listed = ", ".join(f"{SETTINGS[column]}={name!r}" for column, name in named.items())
        raise DataError(f"{path}: found {listed}, expected a column of its own for each")
    others = {name: simplified[name] for name in columns if name not in named.values()}
    known = {column: tiers for column, tiers in RATING_COLUMNS.items() if column not in named}
    candidates = {column: _candidates(others, tiers) for column, tiers in known.items()}
    if ("rating" in named or candidates["rating"]) and len(candidates.get("count", ())) > 1:
        del candidates["count"]  # beside ratings: only events need to know which one it is
    chosen = named | {
        column: _only(path, column, names) for column, names in candidates.items() if names
    }
    if "user_id" not in chosen or "item_id" not in chosen:
        _check_required(path, columns, chosen, ("user_id", "item_id", "rating"), RATING_COLUMNS)
    return chosen


def no_ratings(path: Path) -> str:
    """The message for a file without a column of ratings where ratings are expected."""
    return (
        f"{path}: found no column of ratings, expected one "
        f"({', '.join(RATING_COLUMNS['rating'][0][:EXAMPLES])}..., or set rating_column)"
    )


def choose_rating_keys(
    path: Path, keys: Sequence[str], shapes: Sequence[Sequence[str]], settings: Settings
) -> dict[str, list[str]]:
    """For each column of ratings the keys that hold it: of an object's keys the first counts.

    `shapes` are the sets of keys that objects have together. Names may differ from object to
    object. Raises DataError if one object has two keys of which each may be the one, and as
    `choose_rating_columns`.
    """
    groups = _groups(path, keys, settings)
    has_ratings = any(groups["rating"])
    chosen = {}
    for column, of_column in groups.items():
        first = [_first_present(of_column, shape) for shape in shapes]
        if column == "count" and has_ratings and any(len(candidates) > 1 for candidates in first):
            continue  # beside ratings: only events need to know which one it is
        for candidates in filter(None, first):
            _only(path, column, candidates)
        if flat := [key for group in of_column for key in group]:
            chosen[column] = flat
    if "user_id" not in chosen or "item_id" not in chosen:
        _check_required(path, keys, chosen, ("user_id", "item_id", "rating"), RATING_COLUMNS)
    return chosen


def _first_present(groups: Sequence[Sequence[str]], shape: Sequence[str]) -> list[str]:
    """The keys of a shape that are in the first of the groups that has any."""
    present = ([key for key in group if key in shape] for group in groups)
    return next(filter(None, present), [])


def _groups(path: Path, keys: Sequence[str], settings: Settings) -> dict[str, list[list[str]]]:
    """For each column the keys that may hold it; a key counts before those of later groups."""
    simplified = {key: _simplified(key) for key in keys}
    named = {}
    for column, setting in SETTINGS.items():
        if names := texts(getattr(settings, setting)):
            _column_by_setting(path, simplified, setting, names)  # raises DataError without one
            named[column] = [_with_name(simplified, [name]) for name in names]
    taken = {key for groups in named.values() for group in groups for key in group}
    others = {key: name for key, name in simplified.items() if key not in taken}
    known = {
        column: [_candidates(others, (names,)) for names in tiers]
        for column, tiers in RATING_COLUMNS.items()
    }
    return known | named


def choose_catalogue_columns(
    path: Path, columns: Sequence[str], settings: Settings
) -> dict[str, str]:
    """For item_id, title and groups the catalogue's column that holds it.

    The setting item_column counts if the catalogue has such a column. Raises DataError if it has no
    items or titles, or has two columns of ids.
    """
    simplified = {column: _simplified(column) for column in columns}
    candidates = {name: _candidates(simplified, tiers) for name, tiers in CATALOGUE_COLUMNS.items()}
    named = _with_name(simplified, texts(settings.item_column))
    chosen = {name: among[0] for name, among in candidates.items() if among}
    if ids := named or candidates["item_id"]:
        chosen["item_id"] = _only(path, "item_id", ids)
    _check_required(path, columns, chosen, ("item_id", "title"), CATALOGUE_COLUMNS)
    return chosen


def unique(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns with a name of its own for each: "rating", "rating (column 4)", "column 5"."""
    names: dict[str, None] = {}
    in_lower_case = set()  # DuckDB takes no two names that differ in case only
    for number, column in enumerate(columns, start=1):
        name = column or f"column {number}"
        while name.lower() in in_lower_case:
            name += f" (column {number})"
        names[name] = None
        in_lower_case.add(name.lower())
    return tuple(names)


def is_known(column: str, settings: Settings) -> bool:
    """Whether a setting names the column, or it is one of ratings or of a catalogue by its name."""
    named = [name for setting in SETTINGS.values() for name in texts(getattr(settings, setting))]
    known = (RATING_COLUMNS | CATALOGUE_COLUMNS).values()
    simplified = {column: _simplified(column)}
    return bool(
        _with_name(simplified, named) or any(_candidates(simplified, tiers) for tiers in known)
    )


def _column_by_setting(
    path: Path, simplified: Mapping[str, str], setting: str, names: Sequence[str]
) -> str:
    candidates = _with_name(simplified, names)
    if not candidates:
        expected = " or ".join(map(repr, names))
        raise DataError(
            f"{path}: found the columns {_listed([*simplified])}, "
            f"expected {expected} (setting {setting})"
        )
    if len(candidates) > 1:
        raise DataError(
            f"{path}: found the columns {_listed(candidates)}, "
            f"expected one of the name {names[0]!r} (setting {setting})"
        )
    return candidates[0]


def _with_name(simplified: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """The columns with the first of the names that a column has; the exact name before others."""
    for name in names:
        if name in simplified:
            return [name]
        wanted = _simplified(name)
        if wanted and (candidates := [c for c, text in simplified.items() if text == wanted]):
            return candidates
    return []


def _candidates(simplified: Mapping[str, str], tiers: Tiers) -> list[str]:
    """The columns with known names of the first tier of which there are any, as the tier lists."""
    places = _places(tiers)
    known = {column: places[name] for column, name in simplified.items() if name in places}
    first = min((tier for tier, _ in known.values()), default=0)
    return sorted((column for column in known if known[column][0] == first), key=known.__getitem__)


@functools.cache
def _places(tiers: Tiers) -> dict[str, tuple[int, int]]:
    """For each known name its tier, and its place in the tier."""
    return {
        name: (tier, place)
        for tier, names in reversed([*enumerate(tiers)])
        for place, name in enumerate(names)
    }


def _only(path: Path, column: str, candidates: Sequence[str]) -> str:
    if len(candidates) > 1:
        raise DataError(
            f"{path}: found the columns {_listed(candidates)}, each of which may be {column}, "
            f"expected one: set {SETTINGS[column]}"
        )
    return candidates[0]


def _check_required(
    path: Path,
    columns: Sequence[str],
    chosen: Collection[str],
    required: Sequence[str],
    known: Mapping[str, Tiers],
) -> None:
    missing = [column for column in required if column not in chosen]
    if missing:
        names = "; ".join(
            f"{column}: {', '.join(known[column][0][:EXAMPLES])}..., "
            + (f"or set {SETTINGS[column]}" if column in SETTINGS else "with any case")
            for column in missing
        )
        raise DataError(
            f"{path}: found the columns {_listed(columns)}, expected one for each of "
            f"{', '.join(required)} ({names}); readable are {FORMATS}"
        )


def _listed(columns: Sequence[str]) -> str:
    """Columns in a message."""
    shown = ", ".join(repr(column[:LONGEST_SHOWN]) for column in columns[:MOST_SHOWN]) or "none"
    more = len(columns) - MOST_SHOWN
    return shown + (f" and {more} more" if more > 0 else "")


def _simplified(column: str) -> str:
    """A name without case, blanks and punctuation, and without what `unique` appended."""
    name = unicodedata.normalize("NFKC", POSITION.sub("", column)).casefold()
    return re.sub(r"[\W_]", "", name)
