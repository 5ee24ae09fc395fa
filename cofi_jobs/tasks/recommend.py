"""Recommend: each user's ranked list, with predicted ratings and reasons.

And one list of popular items, for users without ratings.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.factors import ItemFactors, UserBlock
from cofi_jobs.core.progress import track
from cofi_jobs.core.scale import scale_of
from cofi_jobs.engine.engines import in_parallel
from cofi_jobs.model.objectives import ranking_objective
from cofi_jobs.ranking.recommendations import (
    Candidates,
    Recommendations,
    most_liked,
    recommend,
)
from cofi_jobs.ranking.top_k import block_size
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store import parquet
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.id_folders import HIVE_NULL, LONGEST_NAME, folder_of
from cofi_jobs.store.item_lists import read_item_lists
from cofi_jobs.store.run_tables import (
    count_ratings_from,
    n_users,
    read_item_factors,
    read_item_groups,
    user_blocks,
)
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

USERS_PER_FILE = 1 << 17
MOST_USER_FILES = 100_000


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write the tables `recommendations`, a block of users at a time, and `popular_items`."""
    candidates = read_candidates(store, settings, run_key)
    users, n_rows = write_recommendations(store, settings, run_key, candidates)
    popular = write_popular_items(store, settings, run_key, candidates)
    log.info("%d recommendations for %d users, %d popular items", n_rows, users, popular)
    return {
        "rows": n_rows,
        "users": users,
        "popular_items": popular,
        "barred_items": len(candidates.excluded),
    }


def read_candidates(store: Store, settings: Settings, run_key: str) -> Candidates:
    """All items of the run, and which of them may be shown. Raises DataError if none may."""
    items = read_item_factors(store.checked_table(run_key, "model"))
    group_names = read_item_groups(store.checked_table(run_key, "normalized"))
    candidates = Candidates.of(items, read_item_lists(store), group_names, settings)
    if candidates.groups is not None and (candidates.groups < 0).all():
        log.warning(
            "max_per_group limits nothing: no item has a group in the files of %s", store.catalogue
        )
    return candidates


def write_recommendations(
    store: Store, settings: Settings, run_key: str, candidates: Candidates
) -> tuple[int, int]:
    """Write the users' lists; returns the numbers of users and of rows."""
    model, normalized = (store.checked_table(run_key, name) for name in ("model", "normalized"))
    users = n_users(model)
    if settings.recommendation_files == "per-user":
        ids = parquet.read_table(model / "user_factors.parquet", columns=["user_id"])
        check_folders(ids["user_id"])
    trained = store.required_outcome(run_key, "train")
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    objective = ranking_objective(from_record(trained["settings"]), scale)
    items = candidates.items
    size = block_size(len(items.item_id))

    def rows(block: UserBlock) -> pa.Table:
        lists = recommend(block, candidates, objective, settings, scale, trained["liked_from"])
        return to_table(lists, block, items)

    blocks = user_blocks(model, normalized, len(items.item_id), size)
    blocks = track(blocks, "recommendations", total=-(-users // size))
    with store.replace_folder(store.table(run_key, "recommendations")) as folder:
        write = write_whole if settings.recommendation_files == "whole" else write_per_user
        return users, write(in_parallel(settings, rows, blocks), folder)


def to_table(lists: Recommendations, users: UserBlock, items: ItemFactors) -> pa.Table:
    """Rows of the table `recommendations`."""
    columns = [
        users.user_id.take(pa.array(lists.user)),
        lists.rank,
        items.item_id.take(pa.array(lists.item)),
        lists.score,
        pa.array(lists.predicted_rating, from_pandas=True),  # NaN becomes null
        items.item_id.take(pa.array(lists.reason, mask=lists.reason < 0)),
    ]
    schema = tables.recommendations(users.user_id.type, items.item_id.type)
    return pa.table(columns, schema=schema)


def write_popular_items(
    store: Store, settings: Settings, run_key: str, candidates: Candidates
) -> int:
    """Write the items that most users liked; returns how many these are."""
    relevant_from = store.required_outcome(run_key, "train")["liked_from"]
    item_id = candidates.items.item_id
    likes = count_ratings_from(
        store.checked_table(run_key, "normalized"), relevant_from, len(item_id)
    )
    best, n_likes = most_liked(likes, candidates.excluded, settings.popular_n)
    ranks = np.arange(1, best.size + 1, dtype=np.int32)
    columns = [ranks, item_id.take(pa.array(best)), n_likes]
    table = pa.table(columns, schema=tables.popular_items(item_id.type))
    with store.replace_folder(store.table(run_key, "popular_items")) as folder:
        parquet.write_table(table, folder / "part-00000.parquet")
    return len(table)


def write_whole(blocks: Iterator[pa.Table], folder: Path) -> int:
    """Files of many users; a row group for each block, so that a look-up of a user reads little."""
    n_rows = 0
    with ExitStack() as stack:
        writer, users_left, number = None, 0, 0
        for table in blocks:
            n_users = len(table["user_id"].unique())
            if writer is None or users_left < n_users:
                stack.close()
                path = folder / f"part-{number:05d}.parquet"
                writer = stack.enter_context(parquet.writer(path, table.schema))
                users_left, number = USERS_PER_FILE, number + 1
            writer.write_table(table)
            users_left -= n_users
            n_rows += len(table)
    return n_rows


def check_folders(user_ids: pa.ChunkedArray) -> None:
    """Raise DataError unless each user can have a folder that every reader of Hive's folders takes.

    At most `MOST_USER_FILES` users, none with an id too long for a name or one that means null.
    """
    if len(user_ids) > MOST_USER_FILES:
        raise DataError(
            f"found {len(user_ids)} users, recommendation_files = per-user allows at most "
            f"{MOST_USER_FILES}"
        )
    for user_id in user_ids.to_pylist():
        problem = ""
        if len(folder_of("user_id", user_id)) > LONGEST_NAME:
            problem = "is too long for the name of a folder"
        elif user_id == HIVE_NULL:
            problem = "means no value as the name of a folder"
        if problem:
            raise DataError(
                f"found the user_id {str(user_id)!r}, which {problem}; "
                "expected recommendation_files = whole, which takes every id"
            )


def write_per_user(blocks: Iterator[pa.Table], folder: Path) -> int:
    """One file for each user; the folder's name carries the user_id, as in Hive partitioning."""
    n_rows = 0
    for table in blocks:
        for user_id in table["user_id"].unique():
            user_rows = table.filter(pc.field("user_id") == user_id).drop_columns("user_id")
            target = folder / folder_of("user_id", user_id.as_py())
            target.mkdir()
            parquet.write_table(user_rows, target / "part-0.parquet")
            n_rows += len(user_rows)
    return n_rows
