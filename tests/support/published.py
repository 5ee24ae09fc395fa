"""Published runs, made by hand."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.manifest_files import describe
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings

USER, NIGHTS = "13", ("n1", "n2", "n3")


def publish(store: Store, run_key: str, rows: int = 3) -> None:
    """A published run whose one table holds its key in every row."""
    with store.replace_folder(store.table(run_key, "recommendations")) as folder:
        pq.write_table(pa.table({"run": [run_key] * rows}), folder / "part-00000.parquet")
    store.records.write_manifest(run_key, {"run_key": run_key})
    store.set_current(run_key)


def publish_lists(store: Store, key: str, per_user: bool) -> None:
    """Publish a run whose lists are made by hand."""
    users = pq.read_table(store.table(key, "normalized/users.parquet"), columns=["user_id"])
    with store.replace_folder(store.table(key, "recommendations")) as folder:
        for user in users["user_id"].to_pylist() if per_user else ():
            (folder / f"user_id={user}").mkdir()
            lists = pa.table({"rank": pa.array([1], pa.int32()), "item_id": [100]})
            pq.write_table(lists, folder / f"user_id={user}" / "part-0.parquet")
        if not per_user:
            rank = pa.array([1] * len(users), pa.int32())
            pq.write_table(users.append_column("rank", rank), folder / "part-00000.parquet")
    for task in ("train", "recommend"):
        store.records.write_outcome(key, task, {"settings": {}, "seconds": 0.0})
    run = store.table(key, "")
    files = [describe(path, run) for path in sorted(run.glob("recommendations/**/*.parquet"))]
    id_types = {"user_id": "integer", "item_id": "integer"}
    store.records.write_manifest(key, {"run_key": key, "id_types": id_types, "files": files})
    store.set_current(key)


def published_nights(root: Path, per_user: bool) -> Store:
    """A store with published runs whose lists are made by hand; the user is in all of them."""
    store = Store(root).create()
    for seed, key in enumerate(NIGHTS):
        frame = random_ratings(n_users=4, n_items=6, share=1, seed=seed)
        write_ratings(store.landing / f"{key}.csv", frame)
        for task in ("ingest", "normalize"):
            run_task(task, store, load_settings(QUICK), key)
        publish_lists(store, key, per_user)
    return store
