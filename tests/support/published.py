"""A published run, made by hand."""

import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.store.store import Store


def publish(store: Store, run_key: str, rows: int = 3) -> None:
    """A published run whose one table holds its key in every row."""
    with store.replace_folder(store.table(run_key, "recommendations")) as folder:
        pq.write_table(pa.table({"run": [run_key] * rows}), folder / "part-00000.parquet")
    store.records.write_manifest(run_key, {"run_key": run_key})
    store.set_current(run_key)
