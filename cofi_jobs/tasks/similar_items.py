"""Similar items: for each item its nearest others in the factors of the ranking model."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.progress import track
from cofi_jobs.engine.engines import in_parallel
from cofi_jobs.ranking.filters import allowed_items
from cofi_jobs.ranking.similar import nearest, similarity_vectors
from cofi_jobs.ranking.top_k import block_size
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.item_lists import read_item_lists
from cofi_jobs.store.run_tables import read_evidence, read_item_factors
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write the table `similar_items`, a block of items at a time."""
    model = read_item_factors(store.checked_table(run_key, "model", "item_factors.parquet"))
    ids, measure = model.item_id, settings.similarity
    evidence = read_evidence(store.checked_table(run_key, "normalized", "items.parquet"))
    vectors = similarity_vectors(model.ranking, evidence, measure)
    schema = tables.similar_items(ids.type, "similarity" if measure == "cosine" else "distance")
    excluded = np.flatnonzero(~allowed_items(ids, read_item_lists(store)))
    n_rows, size = 0, block_size(len(ids))

    def rows(start: int) -> pa.Table:
        items = slice(start, min(start + size, len(ids)))
        columns, values = nearest(vectors, items, settings.similar_n, measure, excluded)
        row, place = np.nonzero(np.isfinite(values))
        similar_ids = ids.take(pa.array(columns[row, place]))
        ranks = (place + 1).astype(np.int32)
        item_ids = ids.take(pa.array(row + start))
        return pa.table([item_ids, ranks, similar_ids, values[row, place]], schema=schema)

    with (
        store.replace_folder(store.table(run_key, "similar_items")) as folder,
        parquet.writer(folder / "part-00000.parquet", schema) as writer,
    ):
        starts = track(range(0, len(ids), size), "similar items")
        for table in in_parallel(settings, rows, starts):
            writer.write_table(table)
            n_rows += len(table)
    log.info("%d similar items of %d items", n_rows, len(ids))
    return {"rows": n_rows}
