"""What the job publishes of the known ratings of a set, as a user would have run it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.contest import ROOT
from benchmarks.quality_sets import Parted


@dataclass(frozen=True)
class Published:
    """The folder that readers use; how the command ended, and all that it printed."""

    current: Path
    failed: bool
    output: str


def publish(parts: Parted, folder: Path, *settings: str) -> Published:
    """Run the job on the known ratings, in a store below a folder that is emptied first.

    `settings` are further ones, as name=value.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parts.known_table.to_csv(folder / "ratings.csv", index=False)
    command = [sys.executable, "-m", "cofi_jobs", "run"]
    command += ["--store", str(folder / "store"), "--ratings", str(folder / "ratings.csv")]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return Published(folder / "store" / "current", done.returncode != 0, done.stdout)


def rows_of(table: pd.DataFrame, ids: np.ndarray, item_ids: np.ndarray, k: int) -> np.ndarray:
    """Published lists as row numbers of items (n, k), best first; -1 where nothing is listed.

    `table` has the id of whoever or whatever has the list, one of the n `ids`; then `rank` and the
    id of the listed item, one of `item_ids`.
    """
    lists = np.full((len(ids), k), -1, np.int64)
    row, item = (
        pd.Index(known).get_indexer(table.iloc[:, column].astype(str))
        for column, known in ((0, ids), (2, item_ids))
    )
    rank = table["rank"].to_numpy() - 1
    listed = (row >= 0) & (rank < k)
    lists[row[listed], rank[listed]] = item[listed]
    return lists
