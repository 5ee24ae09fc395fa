"""How a user's id is recognised: in a column, in a text, in a path."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.erasure.tombstones import BREAKS
from cofi_jobs.store.erasure_key import hash_of
from cofi_jobs.store.id_folders import folder_of, users_in

Matches = Callable[[pa.Array], np.ndarray]  # ids of users -> mask of those that are to go


def ids_among(users: Iterable[str]) -> Matches:
    """Matches these ids, whatever the type of the column."""
    values = pa.array(sorted(users), pa.string())
    return lambda ids: pc.is_in(ids.cast(pa.string()), value_set=values).to_numpy(
        zero_copy_only=False
    )


def hashes_among(hashes: set[str], key: bytes) -> Matches:
    """Matches the ids whose keyed hashes are among these."""

    def mask(ids: pa.Array) -> np.ndarray:
        coded = ids.cast(pa.string()).dictionary_encode()
        matched = [hash_of(user_id, key) in hashes for user_id in coded.dictionary.to_pylist()]
        places = pc.fill_null(coded.indices, len(matched))  # no id: no user
        return np.array([*matched, False], bool)[places.to_numpy(zero_copy_only=False)]

    return mask


def as_word(users: Sequence[str]) -> re.Pattern[str]:
    """Finds any of the ids as a whole word. Without look-around: Arrow's RE2 has none."""
    ids = "|".join(re.escape(user) for user in users)
    return re.compile(f"(^|[{BREAKS}])({ids})(\\.0)?([{BREAKS}]|$)")


def as_folder(users: Sequence[str]) -> re.Pattern[str]:
    """Finds any of the users' own folders in a path."""
    return re.compile("|".join(f"{re.escape(folder_of('user_id', user))}/" for user in users))


def path_is_of(path: PurePath | str, gone: Matches) -> bool:
    """Whether a path goes through the folder of one of the users."""
    return bool(gone(pa.array(sorted(users_in(path)), pa.string())).any())


def without_folders(path: str, gone: Matches) -> str:
    """A path with *** for the names of the users' own folders."""
    if "user_id=" not in path:
        return path
    return "/".join("user_id=***" if path_is_of(part, gone) else part for part in path.split("/"))


def column_of_users(table: pa.Table) -> pa.Array:
    """The column user_id in one piece."""
    ids = table["user_id"].combine_chunks()
    return ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids


def rejected_rows(table: pa.Table, users: Sequence[str]) -> pa.Array:
    """Mask of rejected rows that are the users', or name them where the row's user is unknown."""
    named = pa.array([False] * len(table))
    for column in ("raw", "reason"):
        hit = pc.match_substring_regex(table[column].cast(pa.string()), as_word(users).pattern)
        named = pc.or_(named, pc.fill_null(hit, False))
    if "user_id" not in table.column_names:
        return named
    ids = table["user_id"].cast(pa.string())
    theirs = pc.fill_null(pc.is_in(ids, value_set=pa.array(users)), False)
    return pc.or_(theirs, pc.and_(pc.is_null(table["user_id"]), named))
