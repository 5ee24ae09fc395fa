"""Recommend: each user's ranked list, with predicted stars and a reason; and one list for users without ratings."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.factors import Factors, predict
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.progress import track
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.objectives import Objective, ranking_objective, ranking_target
from cofi_jobs.model.ridge import alike, places, recency_weights
from cofi_jobs.ranking.explanations import contributions, solved
from cofi_jobs.ranking.lists import allowed_items, choose, first_groups
from cofi_jobs.ranking.top_k import block_size, top_k
from cofi_jobs.settings.fields import Settings, of_run
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import from_column

log = logging.getLogger(__name__)

USERS_PER_FILE = 1 << 17
MOST_USER_FILES = 100_000


@dataclass(frozen=True)
class Items:
    """All items, as every block of users needs them."""

    ids: pa.Array
    rating: np.ndarray
    ranking: np.ndarray
    means: np.ndarray
    gram: np.ndarray  # X'X of the ranking model
    unit: np.ndarray  # of the ranking model, each of length 1
    barred: np.ndarray  # rows of items that are never shown
    groups: np.ndarray | None


@dataclass(frozen=True)
class Users:
    """A block of users, and their ratings sorted by user; `row` is the user's place in the block."""

    ids: pa.Array
    rating: np.ndarray
    ranking: np.ndarray
    bias: np.ndarray
    row: np.ndarray
    item_index: np.ndarray
    stars: np.ndarray


def recommendations(
    users: Users, items: Items, objective: Objective, settings: Settings, scale: Scale, liked: float
) -> pa.Table:
    """The rows of the table `recommendations` for a block of users."""
    scores = users.ranking @ items.ranking.T
    scores[:, items.barred] = -np.inf
    scores[users.row, users.item_index] = -np.inf
    best, values = choose(
        scores, settings.top_n, items.unit, items.groups, settings.max_per_group, settings.diversity
    )
    reasons = because(
        users, items, best, objective, ranking_target(users.stars, scale), users.stars >= liked
    )
    keep = np.isfinite(values)  # a user who has rated nearly everything gets a shorter list
    row, rank = np.nonzero(keep)
    item = best[keep]
    stars = predict(Factors(items.rating, users.rating, users.bias), row, item) + items.means[item]
    columns = [
        users.ids.take(pa.array(row)),
        (rank + 1).astype(np.int32),
        items.ids.take(pa.array(item)),
        values[keep],
        scale.clip(stars).astype(np.float32),
        items.ids.take(pa.array(reasons[keep], mask=reasons[keep] < 0)),
    ]
    return pa.table(columns, schema=tables.recommendations(users.ids.type, items.ids.type))


def because(
    users: Users,
    items: Items,
    best: np.ndarray,
    objective: Objective,
    y: np.ndarray,
    liked: np.ndarray,
) -> np.ndarray:
    """For each recommended item the liked item without which its score would fall most; -1 where none lifts it."""
    reasons, counts = np.full(best.shape, -1, np.int32), np.bincount(users.row, minlength=len(best))
    alpha, penalty = objective.alphas(counts, len(items.ranking)), objective.penalties(counts)
    # The last one is no rating: it fills short users up.
    rated, y = np.append(users.item_index, 0), np.append(y, np.float32(0))
    weights = np.append(recency_weights(counts, objective.recency), np.float32(0))
    liked_ends = np.append(0, np.cumsum(np.bincount(users.row[liked], minlength=len(best))))
    liked_place = np.append(np.flatnonzero(liked), len(liked))

    def ratings(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return items.ranking.take(rated.take(place), axis=0), y.take(place), weights.take(place)

    some = np.flatnonzero(counts)
    for group, place in alike(counts, some[np.argsort(counts[some])]):
        row = solved(*ratings(place), items.gram, alpha[group], penalty[group])
        of_liked = liked_place.take(places(liked_ends, group))
        lift = contributions(*row, *ratings(of_liked), items.ranking.take(best[group], axis=0))
        strongest = lift.argmax(axis=1)
        lifts = np.take_along_axis(lift, strongest[:, None], axis=1)[:, 0] > 0
        reasons[group] = np.where(
            lifts, np.take_along_axis(rated.take(of_liked), strongest, axis=1), -1
        )
    return reasons


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write the tables `recommendations`, a block of users at a time, and `popular_items`."""
    scale = Scale(*store.required_outcome(run_key, "ingest")["scale"])
    trained = store.required_outcome(run_key, "train")
    liked, objective = trained["liked_from"], ranking_objective(of_run(trained["settings"]))
    model, ratings = (
        store.table(run_key, "model"),
        store.table(run_key, "normalized") / "ratings.parquet",
    )
    items = _read_items(store, settings, run_key)
    user_factors = pq.ParquetFile(model / "user_factors.parquet")
    n_users = user_factors.metadata.num_rows
    if settings.recommendation_files == "per-user" and n_users > MOST_USER_FILES:
        raise DataError(
            f"found {n_users} users, recommendation_files = per-user allows at most {MOST_USER_FILES}"
        )
    size = block_size(len(items.means))
    users = track(
        _blocks(user_factors, ratings, size), "recommendations", total=-(-n_users // size)
    )
    blocks = in_parallel(
        lambda block: recommendations(block, items, objective, settings, scale, liked), users
    )
    with store.replace_folder(store.table(run_key, "recommendations")) as folder:
        write = write_whole if settings.recommendation_files == "whole" else write_per_user
        n_rows = write(blocks, folder)
    popular = popular_items(ratings, items, liked, settings.popular_n)
    with store.replace_folder(store.table(run_key, "popular_items")) as folder:
        pq.write_table(popular, folder / "part-00000.parquet", compression="zstd")
    log.info("%d recommendations for %d users, %d popular items", n_rows, n_users, len(popular))
    return {
        "rows": n_rows,
        "users": n_users,
        "popular_items": len(popular),
        "barred_items": len(items.barred),
    }


def popular_items(ratings: Path, items: Items, liked: float, n: int) -> pa.Table:
    """The items that most users liked, for users without ratings."""
    likes = np.zeros(len(items.ids), np.float32)
    for batch in pq.ParquetFile(ratings).iter_batches(columns=["item_index", "rating"]):
        item_index, stars = (column.to_numpy() for column in batch.columns)
        likes += np.bincount(item_index[stars >= liked], minlength=len(likes)).astype(np.float32)
    likes[items.barred] = -np.inf
    best, values = top_k(likes[None, :], min(n, len(likes) - len(items.barred)))
    columns = [
        np.arange(1, best.size + 1, dtype=np.int32),
        items.ids.take(pa.array(best[0])),
        values[0],
    ]
    return pa.table(columns, schema=tables.popular_items(items.ids.type))


def _read_items(store: Store, settings: Settings, run_key: str) -> Items:
    table = pq.read_table(store.table(run_key, "model") / "item_factors.parquet")
    ids = table["item_id"].combine_chunks()
    rating, ranking = (from_column(table[f"{head}_factors"]) for head in ("rating", "ranking"))
    allowed = allowed_items(store, ids)
    shown = allowed & (table["n_ratings"].to_numpy() >= settings.min_item_ratings)
    if not shown.any():
        raise DataError(
            f"found no item that may be shown with {settings.min_item_ratings} ratings, the setting min_item_ratings; "
            f"the most rated has {table['n_ratings'].to_numpy()[allowed].max()}"
        )
    if not shown.all():
        few = int((allowed & ~shown).sum())
        log.info("%d items are barred by lists/, %d by min_item_ratings", (~allowed).sum(), few)
    groups = None
    if settings.max_per_group:
        catalogue = pq.read_table(
            store.table(run_key, "normalized") / "items.parquet", columns=["groups"]
        )
        groups = first_groups(catalogue["groups"])
        if (groups < 0).all():
            log.warning(
                "max_per_group limits nothing: no item has a group in the files of %s",
                store.catalogue,
            )
    means, gram = table["mean"].to_numpy(), ranking.T @ ranking
    return Items(
        ids, rating, ranking, means, gram, to_unit_length(ranking), np.flatnonzero(~shown), groups
    )


def _blocks(user_factors: pq.ParquetFile, ratings: Path, size: int) -> Iterator[Users]:
    """Users in blocks, each with its ratings. Both files are in order of user and read once."""
    file, names = pq.ParquetFile(ratings), ["user_index", "item_index", "rating"]
    batches, rated = file.iter_batches(columns=names), file.schema_arrow.empty_table().select(names)
    start = 0
    for batch in user_factors.iter_batches(batch_size=size):
        n_ratings, read = pc.sum(batch["n_ratings"]).as_py(), [rated]
        while sum(map(len, read)) < n_ratings:
            read.append(pa.Table.from_batches([next(batches)]))
        rated = pa.concat_tables(read)
        row, item_index, stars = (column.to_numpy() for column in rated.slice(0, n_ratings).columns)
        rated = rated.slice(n_ratings)
        rating, ranking = (from_column(batch[f"{head}_factors"]) for head in ("rating", "ranking"))
        yield Users(
            batch["user_id"],
            rating,
            ranking,
            batch["bias"].to_numpy(),
            row - start,
            item_index,
            stars,
        )
        start += len(batch)


def write_whole(blocks: Iterator[pa.Table], folder: Path) -> int:
    """Files of many users; a row group for each block, so that a look-up of one user reads little."""
    n_rows = 0
    with ExitStack() as stack:
        writer, users_left, number = None, 0, 0
        for table in blocks:
            n_users = len(table["user_id"].unique())
            if writer is None or users_left < n_users:
                stack.close()
                path = folder / f"part-{number:05d}.parquet"
                writer = stack.enter_context(
                    pq.ParquetWriter(path, table.schema, compression="zstd")
                )
                users_left, number = USERS_PER_FILE, number + 1
            writer.write_table(table)
            users_left -= n_users
            n_rows += len(table)
    return n_rows


def write_per_user(blocks: Iterator[pa.Table], folder: Path) -> int:
    """One file for each user; the folder's name carries the user_id, as Hive partitioning has it."""
    n_rows = 0
    for table in blocks:
        for user_id in table["user_id"].unique():
            own = table.filter(pc.field("user_id") == user_id).drop_columns("user_id")
            name = tables.folder_of("user_id", user_id.as_py())
            if len(name) > 255:
                raise DataError(
                    f"found the user_id {str(user_id)!r}, too long for the name of a folder"
                )
            target = folder / name
            target.mkdir()
            pq.write_table(own, target / "part-0.parquet", compression="zstd")
            n_rows += len(own)
    return n_rows
