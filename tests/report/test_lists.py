"""Passes over many files give what one query over all of them gives."""

from pathlib import Path

import numpy as np
import pandas as pd

from cofi_jobs.report.lists import FILES_AT_ONCE, counts, tables_of
from cofi_jobs.report.ratings import in_bins
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.files import parquet_files


def test_counts_over_many_files(tmp_path: Path):
    rng = np.random.default_rng(0)
    lists = pd.DataFrame(
        {"item_id": rng.geometric(0.05, 4_000), "rating": rng.uniform(1, 5, 4_000)}
    )
    n_files = 2 * FILES_AT_ONCE + 3
    for number, rows in lists.groupby(lists.index % n_files):
        rows.to_parquet(tmp_path / f"part-{number:05d}.parquet")
    tables = tables_of(parquet_files(tmp_path))
    assert len(tables) == 3
    edges = np.linspace(1, 5, 11)
    with sql.connect(Settings(), tmp_path) as connection:
        n_lists = counts(connection, tables, "item_id")
        binned = in_bins(connection, tables, "rating", edges)
    assert n_lists.to_dict() == lists["item_id"].value_counts().to_dict()
    assert binned.tolist() == np.histogram(lists["rating"], edges)[0].tolist()
