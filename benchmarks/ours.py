"""The project's contestants, and the bare matrix product, which no scoring can beat."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contest import THREADS, TOP_N, Clock, Contestant, joined, main, timed
from benchmarks.data import SCALE, read
from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.machine import in_parallel, limited
from cofi_jobs.ranking.similar import nearest
from cofi_jobs.ranking.top_k import block_size, top_k_unrated
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import to_column
from cofi_jobs.tasks import recommend, similar_items

Options = Mapping[str, Any]
KEY = "night"


def in_a_task(contestant: Contestant, data: Path, output: Path, options: Options) -> None:
    """A contestant of ours, limited to THREADS before its clock starts, as a task is."""
    with limited(THREADS):
        contestant(data, output, options)


def rating(data: Path, output: Path, options: Options) -> None:
    """A whole fit of the rating model, its items' means included; in stars."""
    from cofi_jobs.model.device import set_up_tensorflow
    from cofi_jobs.model.item_means import item_means
    from cofi_jobs.model.models import fit_rating_model
    from cofi_jobs.model.observations import Observations

    ratings, settings = read(data, "known"), _settings(options)
    set_up_tensorflow("cpu")
    clock = Clock(output)
    means = item_means(ratings, settings.damping)
    factors = fit_rating_model(Observations(ratings, means, SCALE), settings).factors
    clock.keep(settings.rating_steps, W=factors.W, X=factors.X, user=factors.b, item=means)


def ranking(data: Path, output: Path, options: Options) -> None:
    """A whole fit of the ranking model."""
    from cofi_jobs.model.device import set_up_tensorflow
    from cofi_jobs.model.models import fit_ranking_model
    from cofi_jobs.model.observations import Observations

    ratings, settings = read(data, "known"), _settings(options)
    set_up_tensorflow("cpu")
    clock = Clock(output)
    factors = fit_ranking_model(Observations(ratings, None, SCALE), settings).factors
    clock.keep(settings.ranking_steps, W=factors.W, X=factors.X)


def lists(data: Path, output: Path, options: Options) -> None:
    """All users' lists as `recommend` makes them, without stars and reasons."""
    W, X, starts, items = (np.load(data / f"{name}.npy") for name in ("W", "X", "starts", "items"))
    size = block_size(len(X))

    def block(start: int) -> tuple[np.ndarray, np.ndarray]:
        ends = starts[start : start + size + 1]
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        return top_k_unrated(W[start : start + size] @ X.T, rows, items[ends[0] : ends[-1]], TOP_N)

    timed(
        output,
        lambda: joined(in_parallel(block, range(0, len(W), size)), output, options),
        lambda: block(0),
    )


def similar(data: Path, output: Path, options: Options) -> None:
    """All items' similar items as `similar_items` makes them."""
    X = np.load(data / "X.npy")
    size, unit = block_size(len(X)), to_unit_length(X)

    def block(start: int) -> tuple[np.ndarray, np.ndarray]:
        return nearest(unit, slice(start, min(start + size, len(X))), TOP_N, "cosine")

    timed(
        output,
        lambda: joined(in_parallel(block, range(0, len(X), size)), output, options),
        lambda: block(0),
    )


def task(
    run: Callable[[Store, Settings, str], Any], data: Path, output: Path, options: Options
) -> None:
    """A whole task of the job: read model and ratings, make lists with reasons, write them."""
    store, settings = _store(data, output), _settings(options)

    def whole() -> None:
        run(store, settings, KEY)

    timed(output, whole, lambda: None)


def product_lists(data: Path, output: Path, options: Options) -> None:
    """The bare product of all users and items, a block at a time into one buffer."""
    _product(np.load(data / "W.npy"), np.load(data / "X.npy"), output, options)


def product_similar(data: Path, output: Path, options: Options) -> None:
    """The bare product of all items and items, a block at a time into one buffer."""
    X = np.load(data / "X.npy")
    _product(X, X, output, options)


def _product(left: np.ndarray, right: np.ndarray, output: Path, options: Options) -> None:
    size = block_size(len(right))
    buffer = np.empty((size, len(right)), np.float32)

    def every() -> None:
        for start in range(0, len(left), size):
            rows = left[start : start + size]
            np.matmul(rows, right.T, out=buffer[: len(rows)])

    timed(output, every, lambda: np.matmul(left[:size], right.T, out=buffer[: len(left[:size])]))


def _settings(options: Options) -> Settings:
    return load_settings(f"{name}={value}" for name, value in options.get("settings", {}).items())


def _store(data: Path, output: Path) -> Store:
    """A store as it is before `recommend`: the ratings, and two models with the same factors."""
    store, settings = Store(output / "store").create(), load_settings()
    W, X, starts, items = (np.load(data / f"{name}.npy") for name in ("W", "X", "starts", "items"))
    stars = np.random.default_rng(0).integers(1, 11, len(items)).astype(np.float32) / 2
    model, normalized = store.table(KEY, "model"), store.table(KEY, "normalized")
    for folder in (model, normalized):
        folder.mkdir(parents=True)
    user = np.repeat(np.arange(len(W), dtype=np.int32), np.diff(starts))
    rated = pa.table({"user_index": user, "item_index": items, "rating": stars})
    pq.write_table(rated, normalized / "ratings.parquet", row_group_size=1 << 20)
    counts = np.bincount(items, minlength=len(X)).clip(1).astype(np.int32)
    groups = pa.table({"groups": pa.nulls(len(X), pa.string()), "n_ratings": counts})
    pq.write_table(groups, normalized / "items.parquet")
    trust = pa.table({"trust": np.ones(len(W), np.float32)})
    pq.write_table(trust, normalized / "users.parquet")
    columns = [
        np.arange(len(X)),
        to_column(X),
        to_column(X),
        np.full(len(X), 3, np.float32),
        counts,
    ]
    schema = tables.item_factors(pa.int64(), X.shape[1])
    pq.write_table(
        pa.table(columns, schema=schema), model / "item_factors.parquet", row_group_size=1 << 14
    )
    rated_by = np.diff(starts).astype(np.int32)
    columns = [
        np.arange(len(W)),
        to_column(W),
        to_column(W),
        np.zeros(len(W), np.float32),
        rated_by,
    ]
    schema = tables.user_factors(pa.int64(), W.shape[1])
    pq.write_table(
        pa.table(columns, schema=schema), model / "user_factors.parquet", row_group_size=1 << 14
    )
    store.records.write_outcome(KEY, "ingest", {"files": [], "scale": SCALE})
    store.records.write_outcome(
        KEY,
        "train",
        {"liked_from": 4.0, "settings": settings.model_dump(), "seconds": 0.0, "tuned": None},
    )
    return store


if __name__ == "__main__":
    # As the tasks set TensorFlow up.
    os.environ |= {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    ours: dict[str, Contestant] = {
        "ours rating": rating,
        "ours ranking": ranking,
        "ours lists": lists,
        "ours similar": similar,
        "task lists": partial(task, recommend.run),
        "task similar": partial(task, similar_items.run),
    }
    # The products are BLAS', which keeps its threads for them.
    products: dict[str, Contestant] = {
        "product lists": product_lists,
        "product similar": product_similar,
    }
    main({name: partial(in_a_task, contestant) for name, contestant in ours.items()} | products)
