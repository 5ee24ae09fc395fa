"""What changed in the lists since the run that readers had before."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd

from cofi_jobs.core.errors import CofiError
from cofi_jobs.report.id_tables import n_new
from cofi_jobs.report.lists import counts, tables_of
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

COMPARED_USERS = 20_000  # about so many: a share of more would not be more exact
MOST_MOVED = 3  # items that rose, and that fell
LEAST_MOVED = 0.01  # share of the users in whose lists an item is new, or no longer is


class Moved(NamedTuple):
    """An item that is in more or fewer lists than before: shares of the users with a list."""

    item_id: int | str
    before: float
    now: float


@dataclass(frozen=True)
class Changes:
    """Tonight's lists beside those of an earlier run."""

    since: str  # key of the earlier run
    new_users: int
    new_items: int
    new_places: float | None  # share of the places of users who had a list; None: not counted
    rose: list[Moved]
    fell: list[Moved]


def changes(store: Store, settings: Settings, run_key: str, earlier: str) -> Changes | None:
    """How the lists of a run differ from those of an earlier run; None if those are not to be had.

    Memory is bounded by `memory_limit_mb`: DuckDB joins, and beyond it spills. Raises DamageError
    for a damaged file of the run itself.
    """
    now = _Tables.of(store, run_key)
    try:
        before = _Tables.of(store, earlier)
        if not (now.is_whole and before.is_whole):
            return None
        with sql.connect(settings, store.table(run_key, "")) as connection:
            rose, fell = _moved(connection, now, before)
            return Changes(
                earlier,
                n_new(now.users, before.users, "user_id"),
                n_new(now.items, before.items, "item_id"),
                _new_places(connection, now, before),
                rose,
                fell,
            )
    except (CofiError, duckdb.Error, parquet.UnreadableError) as error:
        # Of the earlier run: it is no part of this one.
        log.warning("the lists are not compared with those of run %s: %s", earlier, error)
        return None


@dataclass(frozen=True)
class _Tables:
    """The lists of a run in SQL, none where it has none; the tables of its users and items."""

    lists: list[str]
    users: Path
    items: Path
    has_user_id: bool  # in the lists: with a file a user, it is in the folder's name

    @staticmethod
    def of(store: Store, run_key: str) -> "_Tables":
        lists = parquet_files(store.checked_table(run_key, "recommendations"))
        normalized = store.checked_table(run_key, "normalized", "users.parquet", "items.parquet")
        users, items = (normalized / f"{name}.parquet" for name in ("users", "items"))
        in_folders = any("=" in path.parent.name for path in lists)
        return _Tables(tables_of(lists), users, items, not in_folders)

    @property
    def is_whole(self) -> bool:
        return bool(self.lists) and self.users.is_file() and self.items.is_file()

    @property
    def n_users(self) -> int:
        return parquet.read_metadata(self.users).num_rows


def _new_places(
    connection: duckdb.DuckDBPyConnection, now: _Tables, before: _Tables
) -> float | None:
    """The share of places with an item that the user's list did not have; of a sample of users."""
    if not (now.has_user_id and before.has_user_id):
        return None
    sample = f"hash(user_id) % {max(1, now.n_users // COMPARED_USERS)} = 0"
    pairs = f"SELECT user_id, item_id FROM {{}} WHERE {sample}"
    for number, lists in enumerate(before.lists):
        into = "INSERT INTO earlier" if number else "CREATE TEMP TABLE earlier AS"
        connection.execute(f"{into} {pairs.format(lists)}")
    n_kept = n_places = 0
    for lists in now.lists:
        [(kept, places)] = connection.execute(
            f"""SELECT count(earlier.item_id), count(*) FROM ({pairs.format(lists)}) AS later
            LEFT JOIN earlier USING (user_id, item_id)
            WHERE later.user_id IN (SELECT user_id FROM earlier)"""
        ).fetchall()
        n_kept, n_places = n_kept + kept, n_places + places
    return 1 - n_kept / n_places if n_places else None


def _moved(
    connection: duckdb.DuckDBPyConnection, now: _Tables, before: _Tables
) -> tuple[list[Moved], list[Moved]]:
    """The items that rose most, and that fell most."""
    earlier, later = (
        counts(connection, tables.lists, "item_id") / max(1, tables.n_users)
        for tables in (before, now)
    )
    shares = pd.concat([earlier, later], axis=1, keys=["before", "now"]).fillna(0).sort_index()
    change = (shares["now"] - shares["before"]).sort_values(kind="stable")
    shares = shares.loc[change.index[change.abs() >= LEAST_MOVED]]
    moved = [
        Moved(item, *row)
        for item, row in zip(shares.index.tolist(), shares.to_numpy().tolist(), strict=True)
    ]
    rose = [item for item in moved[::-1] if item.now > item.before][:MOST_MOVED]
    return rose, [item for item in moved if item.now < item.before][:MOST_MOVED]
