"""Users' ids in the columns of any Parquet file, whatever their types, some rows at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.erasure.matching import as_word
from cofi_jobs.store import parquet

# Columns that hold no user, some only in tables of older versions: a user 17 is not found in an
# item 17 or a rank 17.
NO_USERS = {
    *("item_id", "similar_item_id", "because_item_id", "title", "groups", "user_index"),
    *("item_index", "row", "rank", "n_ratings", "n_known", "n_held_out", "n_wanted"),
    *("epoch", "step", "fit", "head", "batch", "file", "trust", "n_trusted", "draw"),
}
NUMBER = re.compile(r"0|-?[1-9][0-9]{0,37}")  # a column of numbers holds no 01003
ROWS = 1 << 16  # that are searched at once


@dataclass(frozen=True)
class _Wanted:
    """The ids to find. `fractions`: also in columns of fractions other than `user_id`."""

    texts: list[bytes]
    numbers: list[int]
    pattern: str
    fractions: bool


@parquet.reading()
def hold_users(path: Path, users: Sequence[str], fractions: bool = True) -> bool:
    """Whether a column of a Parquet file that may hold users has one of them.

    Without `fractions`, numbers with a fraction are none: in the store's tables they are scores.
    Raises UnreadableError for a file that cannot be read.
    """
    numbers = [int(user) for user in users if NUMBER.fullmatch(user)]
    texts = [user.encode() for user in users]
    wanted = _Wanted(texts, numbers, as_word(users).pattern, fractions)
    file = parquet.open_file(path)
    names = list(dict.fromkeys(f.name for f in file.schema_arrow if _is_searched(f, fractions)))
    groups = _groups(file, names, numbers)
    if not names or not groups:
        return False
    return any(
        _has(name, values, wanted)
        for batch in file.iter_batches(ROWS, row_groups=groups, columns=names)
        for name, values in zip(batch.schema.names, batch.columns, strict=True)
    )


def _is_searched(field: pa.Field, fractions: bool) -> bool:
    """Whether a column can hold users. Factors and scores need not be read to know that."""
    is_list = pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
    kind = field.type.value_type if is_list else field.type
    is_score = pa.types.is_floating(kind) and not fractions and field.name != "user_id"
    return field.name not in NO_USERS and not is_score and not pa.types.is_temporal(kind)


def _groups(file: parquet.ParquetFile, names: list[str], numbers: Sequence[int]) -> list[int]:
    """The row groups to read: most tables have one such column, whose bounds leave few groups."""
    groups = range(file.num_row_groups)
    columns = [file.schema.column(place).path for place in range(len(file.schema))]
    is_only = len(names) == 1 and columns.count(names[0]) == 1
    if not (is_only and pa.types.is_integer(file.schema_arrow.field(names[0]).type)):
        return list(groups)
    place = columns.index(names[0])
    bounds = {group: file.metadata.row_group(group).column(place).statistics for group in groups}
    return [
        group
        for group, of in bounds.items()
        if of is None or not of.has_min_max or any(of.min <= n <= of.max for n in numbers)
    ]


def _has(name: str, values: pa.Array, wanted: _Wanted) -> bool:
    """Whether a column, or what is nested in it, has one of the ids."""
    kind = values.type
    if name in NO_USERS or not len(values):
        return False
    if (parts := _parts(name, values)) is not None:
        return any(_has(part, inner, wanted) for part, inner in parts)
    if pa.types.is_integer(kind):
        return _has_number(values, wanted.numbers)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return (wanted.fractions or name == "user_id") and _has_fraction(values, wanted.numbers)
    if _is_text(kind):
        return _has_text(values, wanted, is_id=name == "user_id")
    return False  # times and truth values; 17 o'clock is no user


def _parts(name: str, values: pa.Array) -> list[tuple[str, pa.Array]] | None:
    """The columns that a column consists of, with their names; None if it is a simple one."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return [(name, values.storage)]
    if isinstance(values, pa.DictionaryArray):
        return [(name, values.dictionary)]
    if isinstance(values, pa.MapArray):
        return [("key", values.keys), (name, values.items)]
    if pa.types.is_struct(kind):
        return [(kind.field(n).name, values.field(n)) for n in range(kind.num_fields)]
    return [(name, values.flatten())] if pa.types.is_nested(kind) else None  # kinds of lists


def _has_number(values: pa.Array, numbers: Sequence[int]) -> bool:
    limits = np.iinfo(values.type.to_pandas_dtype())
    fitting = [number for number in numbers if limits.min <= number <= limits.max]
    return _any(pc.is_in(values, value_set=pa.array(fitting, values.type)))


def _has_fraction(values: pa.Array, numbers: Sequence[int]) -> bool:
    """Ids that went through a column of fractions: 17.0. Of long ones it has kept the start."""
    if pa.types.is_decimal(values.type):  # all its digits count
        texts = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
        return _any(pc.is_in(texts, value_set=pa.array(list(map(str, numbers)), pa.string())))
    wanted = pa.array(list(map(float, numbers)), pa.float64())
    return _any(pc.is_in(values.cast(pa.float64()), value_set=wanted))


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _has_text(values: pa.Array, wanted: _Wanted, is_id: bool) -> bool:
    """In `user_id` an id stands alone: "anna," is not "anna"."""
    is_short = pa.types.is_string(values.type) or pa.types.is_binary(values.type)
    cells = values.cast(pa.binary() if is_short else pa.large_binary())
    if _any(pc.is_in(cells, value_set=pa.array(wanted.texts, cells.type))):
        return True
    return not is_id and _any(pc.match_substring_regex(cells, wanted.pattern))


def _any(hits: pa.Array) -> bool:
    return bool(pc.any(hits).as_py())
