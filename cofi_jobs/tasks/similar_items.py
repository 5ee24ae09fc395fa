"""Similar items: for each item its nearest others in the ranking model's features."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.progress import track
from cofi_jobs.ranking.lists import allowed_items
from cofi_jobs.ranking.top_k import block_size, top_k_unrated
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import from_column

log = logging.getLogger(__name__)


def nearest(
    X: np.ndarray, items: slice, k: int, measure: str, barred: Sequence[int] | np.ndarray = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of a range of items: int32 items (n, k) and their similarity or distance (n, k).

    `measure` is "cosine" (largest first), for which rows of X must have length 1, or "distance", the squared distance
    |x_k - x_i|^2 (smallest first). Rows of X in `barred` are never given as a neighbour; where fewer than k others are
    left, the last values are not finite.
    """
    own = np.arange(items.start, items.stop)
    if measure == "cosine":
        scores = X[items] @ X.T
    else:
        squares = np.einsum("nk,nk->n", X, X)
        scores = -np.maximum(squares[items, None] + squares - 2 * X[items] @ X.T, 0)
    scores[:, np.asarray(barred, np.intp)] = -np.inf
    columns, values = top_k_unrated(scores, own - items.start, own, min(k, len(X) - 1))
    return columns, np.minimum(values, 1) if measure == "cosine" else -values


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write the table `similar_items`, a block of items at a time."""
    model = pq.read_table(
        store.table(run_key, "model") / "item_factors.parquet",
        columns=["item_id", "ranking_factors"],
    )
    ids, X = model["item_id"].combine_chunks(), from_column(model["ranking_factors"])
    X = to_unit_length(X) if settings.similarity == "cosine" else X
    schema = tables.similar_items(
        ids.type, "similarity" if settings.similarity == "cosine" else "distance"
    )
    barred, n_rows, size = np.flatnonzero(~allowed_items(store, ids)), 0, block_size(len(X))

    def of_block(start: int) -> pa.Table:
        items = slice(start, min(start + size, len(X)))
        columns, values = nearest(X, items, settings.similar_n, settings.similarity, barred)
        own, place = np.nonzero(np.isfinite(values))
        found, rank = ids.take(pa.array(columns[own, place])), (place + 1).astype(np.int32)
        return pa.table(
            [ids.take(pa.array(own + start)), rank, found, values[own, place]], schema=schema
        )

    with (
        store.replace_folder(store.table(run_key, "similar_items")) as folder,
        pq.ParquetWriter(folder / "part-00000.parquet", schema, compression="zstd") as writer,
    ):
        for table in in_parallel(of_block, track(range(0, len(X), size), "similar items")):
            writer.write_table(table)
            n_rows += len(table)
    log.info("%d similar items of %d items", n_rows, len(X))
    return {"rows": n_rows}
