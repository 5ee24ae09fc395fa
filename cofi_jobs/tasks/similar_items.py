"""Similar items: for each item its nearest others in the factors of the ranking model."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.progress import track
from cofi_jobs.ranking.filters import allowed_items
from cofi_jobs.ranking.similar import nearest
from cofi_jobs.ranking.top_k import block_size
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.item_lists import read_item_lists
from cofi_jobs.store.run_tables import read_item_factors
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write the table `similar_items`, a block of items at a time."""
    model = read_item_factors(store.table(run_key, "model"))
    ids, cosine = model.item_id, settings.similarity == "cosine"
    X = to_unit_length(model.ranking) if cosine else model.ranking
    schema = tables.similar_items(ids.type, "similarity" if cosine else "distance")
    excluded = np.flatnonzero(~allowed_items(ids, read_item_lists(store)))
    n_rows, size = 0, block_size(len(X))

    def rows(start: int) -> pa.Table:
        items = slice(start, min(start + size, len(X)))
        columns, values = nearest(X, items, settings.similar_n, settings.similarity, excluded)
        row, place = np.nonzero(np.isfinite(values))
        similar_ids = ids.take(pa.array(columns[row, place]))
        ranks = (place + 1).astype(np.int32)
        item_ids = ids.take(pa.array(row + start))
        return pa.table([item_ids, ranks, similar_ids, values[row, place]], schema=schema)

    with (
        store.replace_folder(store.table(run_key, "similar_items")) as folder,
        pq.ParquetWriter(folder / "part-00000.parquet", schema, compression="zstd") as writer,
    ):
        for table in in_parallel(rows, track(range(0, len(X), size), "similar items")):
            writer.write_table(table)
            n_rows += len(table)
    log.info("%d similar items of %d items", n_rows, len(X))
    return {"rows": n_rows}
