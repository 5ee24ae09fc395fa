"""Damaged files of a published run: readers get what was published, or an error that names it."""

import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cofi_jobs import read
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.store import Store
from torture.fuzz_data import FuzzData

Look = Callable[[read.Run], pd.DataFrame]


def readers(root: Path, data: FuzzData) -> None:
    """Damage one file, read everything, and repair the file."""
    expected = _as_published(root)
    path = data.one_of(_files(root))
    content = path.read_bytes()
    path.write_bytes(data.mangled(content))
    try:
        # A look-up may stay away from what is damaged.
        for name, look in _looks(root).items():
            assert look(read.current_run(root)).equals(expected[name]), f"{name} are wrong"
    finally:
        path.write_bytes(content)


@functools.cache
def _files(root: Path) -> list[Path]:
    run = (root / "current").resolve()
    return [path for path in parquet_files(run) if path.relative_to(run).parts[0] != "trial"]


@functools.cache
def _as_published(root: Path) -> dict[str, pd.DataFrame]:
    run = read.current_run(root)
    return {name: look(run) for name, look in _looks(root).items()}


@functools.cache
def _looks(root: Path) -> dict[str, Look]:
    """What readers look at: tables, and rows of the first and the last user and item."""
    run = Store(root).current() or ""
    tables = [Store(root).table(run, name) for name in ("recommendations", "similar_items")]
    users, items = (pd.read_parquet(path).iloc[:, 0].astype(str) for path in tables)
    looks: dict[str, Look] = {
        "popular items": read.Run.popular_items,
        "items": read.Run.items,
        "users": read.Run.users,
    }
    for user in (users.iloc[0], users.iloc[-1]):
        looks[f"lists of {user}"] = functools.partial(read.Run.recommendations, user_id=user)
        looks[f"ratings of {user}"] = functools.partial(read.Run.rated, user_id=user)
    for item in (items.iloc[0], items.iloc[-1]):
        looks[f"items similar to {item}"] = functools.partial(read.Run.similar_items, item_id=item)
    return looks
