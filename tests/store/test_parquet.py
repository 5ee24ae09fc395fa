"""Parquet files that are read in parts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.store import parquet

N_ROWS, ROW_GROUP = 1_000_000, 100_000


def test_memory_does_not_grow_as_a_file_is_read(tmp_path: Path) -> None:
    path, random = tmp_path / "a.parquet", np.random.default_rng(0)
    pq.write_table(pa.table({"a": random.random(N_ROWS)}), path, row_group_size=ROW_GROUP)
    before = pa.total_allocated_bytes()
    allocated, n_rows = [], 0
    for batch in parquet.open_file(path).iter_batches(batch_size=10_000):
        n_rows += len(batch)
        allocated.append(pa.total_allocated_bytes() - before)
    assert n_rows == N_ROWS
    assert max(allocated) < 5 * 8 * ROW_GROUP, "a few row groups"
