"""Compaction: older batches become one file, so that a run opens few files in an old store too.

Superseded rows are left out. A withdrawal stays, since a rating that arrives late may still lose to
it. Of events only those that were withdrawn are left out: the others still add up, and weigh less
with age. Rows stay in order of arrival, before those of all later batches, so the newest row and
the sum of each (user, item) are the same as before.
"""

import logging

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import files, layout, sql
from cofi_jobs.store.batches import checked_parts, compacted_part, vacuum
from cofi_jobs.store.current_ratings import load_newest
from cofi_jobs.store.digests import digest_of
from cofi_jobs.store.event_sums import KEPT_ROWS, mark_current
from cofi_jobs.store.runs import under_way
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def compact(store: Store, settings: Settings, run_key: str | None = None) -> list[str]:
    """If more than `max_batches` are not compacted, compact all but the newer half.

    Returns the keys of the batches that are compacted now. A run that is not published yet may
    still need its own batch and all later ones as they are: these are not compacted. `run_key` is
    the run that does this, for processes that wait.
    """
    needs = (layout.RATINGS, layout.REJECTED)
    with (  # no other task uses batches meanwhile; in a bucket the first lock is all there are
        store.lock("normalize", run_key, needs, by="compaction") as store,
        store.lock("ingest", run_key, needs, by="compaction") as store,
    ):
        vacuum(store)
        keys = _to_compact(store, settings.max_batches)
        if not keys:
            return []
        rows = _write(store, settings, keys)
        vacuum(store)
    log.info("compacted %d batches up to %s: %d rows", len(keys), keys[-1], rows)
    return keys


def _to_compact(store: Store, max_batches: int) -> list[str]:
    """Keys of the batches that are compacted now, oldest first."""
    compacted = store.records.compacted()["batches"]
    apart = [key for key in store.batches() if key not in compacted]
    if len(apart) <= max_batches:
        return []
    needed = under_way(store)
    older = apart[: -(max_batches // 2)]
    return store.records.order().before(needed[0], older) if needed else older


def _write(store: Store, settings: Settings, keys: list[str]) -> int:
    """Write the batches, and those compacted before, into a new file; returns its rows."""
    name = f"up-to-{keys[-1]}.parquet"
    target = compacted_part(store, name)
    files.make_folder(target.parent)
    parts = checked_parts(store, up_to=keys[-1])
    with sql.connect(settings, store.root / layout.RATINGS) as connection:
        if store.records.feedback() == "events":
            mark_current(connection, parts)
            query = KEPT_ROWS
        else:
            load_newest(connection, parts, settings.memory_limit_mb)
            query = "SELECT user_id, item_id, rating, timestamp FROM newest ORDER BY arrival"
        with store.replace_file(target) as file:
            rows = sql.write_parquet(connection, query, file)
    record = store.records.compacted()
    record["batches"] = [*record["batches"], *keys]
    record["part"], record["rows"] = name, rows
    record.update(digest_of(target))
    n_left_out = sum(parts.values()) - rows
    record["rows_superseded"] = record.get("rows_superseded", 0) + n_left_out
    store.records.write_compacted(record)
    return rows
