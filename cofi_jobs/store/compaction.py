"""Merge: older batches of ratings become one file, so that a night opens few, however long the job has run.

Superseded rows are left out; a withdrawal stays, since a late rating may still lose to it. Rows stay in order of
arrival, before those of all later batches, so the newest rating of each (user, item) is the same as before.
"""

import logging

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import compacted_part, rating_parts, vacuum
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.normalize import newest

log = logging.getLogger(__name__)


def merge(store: Store, settings: Settings) -> list[str]:
    """If more than `max_batches` lie apart, merge all but the newer half; returns the keys of those merged now.

    Batches that a run under way may still need as they are stay apart: its own, and all later ones.
    """
    with store.lock("normalize"), store.lock("ingest"):  # nobody reads or writes batches meanwhile
        merged = store.records.compacted()
        vacuum(store)
        apart = [key for key in store.batches() if key not in merged["batches"]]
        if len(apart) <= settings.max_batches:
            return []
        under_way = min(
            (key for key in store.run_keys() if store.manifest(key) is None), default=None
        )
        older = [
            key
            for key in apart[: -(settings.max_batches // 2)]
            if under_way is None or key < under_way
        ]
        if not older:
            return []
        part = f"up-to-{older[-1]}.parquet"
        parts = rating_parts(store, up_to=older[-1])
        compacted_part(store, part).parent.mkdir(parents=True, exist_ok=True)
        with sql.connect(settings, store.root / "ratings") as connection:
            counts = newest(connection, parts, settings.memory_limit_mb)
            with store.replace_file(compacted_part(store, part)) as target:
                rows = sql.write_parquet(
                    connection,
                    "SELECT user_id, item_id, rating, timestamp FROM newest ORDER BY arrival",
                    target,
                )
        superseded = merged.get("rows_superseded", 0) + counts["n_superseded"]
        batches = [*merged["batches"], *older]
        store.records.write_compacted(
            {
                **merged,
                "batches": batches,
                "part": part,
                "rows": rows,
                "rows_superseded": superseded,
            }
        )
        vacuum(store)
    log.info("merged %d batches up to %s: %d rows", len(older), older[-1], rows)
    return older
