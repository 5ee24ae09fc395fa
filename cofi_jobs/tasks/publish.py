"""Publish: write the manifest and point readers to the run, last and atomically; then clean up."""

import logging
import time
from typing import Any

from cofi_jobs.erasure.faults import Faults
from cofi_jobs.erasure.landing import remove_landed
from cofi_jobs.erasure.run_tables import clean_published
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names, with_old_names
from cofi_jobs.settings.schema import section
from cofi_jobs.store import layout
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.digests import files_of_run
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.manifest_files import describe
from cofi_jobs.store.removal import finish_removals, remove_run
from cofi_jobs.store.run_shapes import PublishedFile
from cofi_jobs.store.runs import correct_times_ahead, is_given_up, last_change, replaced_at
from cofi_jobs.store.schemas import SCHEMA_VERSION
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import required
from cofi_jobs.tasks.registry import DECLARED

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Publish a finished run.

    A run that began before the current run is published too, but readers stay with the current run
    (`rollback` moves them). Raises StoreError for what the cleaning up could not do, at its end.
    """
    if store.manifest(run_key) is None:
        store.records.write_manifest(run_key, manifest(store, settings, run_key))
    store.align_link()
    current = store.current()
    if current is None or not store.records.order().is_before(run_key, current):
        store.set_current(run_key)
        log.info(
            "published %s, readers use it from now on",
            store.shown(store.table(run_key, "recommendations")),
        )
    else:
        log.warning(
            "published run %s, but readers stay with run %s, which began after it", run_key, current
        )
    removed = prune(store, settings.keep_runs, run_key, settings.grace_hours)
    if removed:
        log.info("removed old runs: %s", ", ".join(removed))
    clean_up(store, settings, run_key)
    recommended = store.required_outcome(run_key, "recommend")
    return {
        "path": store.shown(store.table(run_key, "recommendations")),
        **{key: recommended[key] for key in DECLARED["recommend"].counts},
        "current": store.current(),
        "removed": removed,
    }


def clean_up(store: Store, settings: Settings, run_key: str) -> None:
    """Remove erased users and compact the batches, each also if the other fails.

    Raises StoreError for what could not be cleaned.
    """
    faults = Faults()
    with faults.kept():
        clean_published(store)
    with faults.kept(), store.lock("ingest", run_key, by="publish"):
        if landed := remove_landed(store):
            log.info(
                "removed files with rows of erased users from %s: %s",
                *(store.landing, ", ".join(landed)),
            )
    with faults.kept():
        compact(store, settings, run_key)
    faults.raise_all()


def manifest(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """What the run was made from and with, and what it made; docs/outputs.md has each field."""
    made_by = required(DECLARED, "publish")
    outcomes = {task: store.required_outcome(run_key, task) for task in made_by}
    used = {
        name: current_names(outcomes.get(section(name), {}).get("settings", {}))
        for name in type(settings).model_fields
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "run_key": run_key,
        # A setting belongs to one task: what that task ran with counts.
        "settings": with_old_names(
            {name: used[name].get(name, value) for name, value in settings.model_dump().items()}
        ),
        "tuned": outcomes["train"].get("tuned"),
        "id_types": outcomes["ingest"]["id_types"],
        "feedback": outcomes["ingest"].get("feedback", "ratings"),
        "scale": outcomes["ingest"]["scale"],
        "liked_from": outcomes["train"]["liked_from"],
        "batches": outcomes["normalize"]["batches"],
        "input_files": [
            {key: file[key] for key in ("name", "sha256")} for file in outcomes["ingest"]["files"]
        ],
        "counts": {
            task: {key: outcomes[task][key] for key in DECLARED[task].counts}
            for task in made_by
            if DECLARED[task].counts
        },
        **{key: outcomes["evaluate"][key] for key in ("metrics", "comparisons", "gate")},
        "files": published_files(store, run_key),
    }


def published_files(store: Store, run_key: str) -> list[PublishedFile]:
    """The files that readers get. Raises DamageError if one is not as its task wrote it."""
    recorded, records = files_of_run(store.records, run_key), []
    for table in layout.PUBLISHED:
        folder = layout.table(run_key, table)
        paths = parquet_files(store.path(folder))
        names = {str(path.relative_to(store.root)) for path in paths}
        names |= {name for name in recorded if layout.is_in(name, folder)}
        for name in sorted(names):
            digest = store.measure(name)
            if name in recorded:
                store.require(recorded[name], digest)
            records.append(describe(store.path(name), store.table(run_key, ""), digest))
    return records


def prune(store: Store, keep_runs: int, run_key: str, grace_hours: float = 0) -> list[str]:
    """Remove runs older than the newest `keep_runs`, and abandoned runs; returns their keys.

    Removals that were killed are finished first. The current run and the run just published always
    stay. So do runs that readers were pointed to within the last `grace_hours`: somebody may still
    be reading.
    """
    finished = finish_removals(store)
    correct_times_ahead(store)
    published = store.records.published_with_tables()
    old = [
        key
        for key in store.run_keys()
        if (
            key in published[:-keep_runs]
            # A folder of which no task has a record was put there by a person.
            or (key not in published and last_change(store, key) and is_given_up(store, key))
        )
        and key not in (run_key, store.current())
        and replaced_at(store, key) < time.time() - grace_hours * 3600
    ]
    return [*finished, *(key for key in old if remove_run(store, key))]
