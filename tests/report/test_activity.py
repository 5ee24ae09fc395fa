"""Sums over users are those of the table of each user's measures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.report.activity import sums_by_number
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql


def test_sums_by_number_of_train_ratings(tmp_path: Path):
    rng, n = np.random.default_rng(0), 5_000
    users = pd.DataFrame({"n_known": rng.geometric(0.1, n), "n_held_out": rng.integers(3, size=n)})
    measured = (users["n_held_out"] > 0) & (rng.random(n) < 0.5)
    for model in RANKINGS:
        ndcg = pd.Series(rng.random(n), dtype="float32")
        users[f"{model}_ndcg"] = ndcg.where(measured)
    users.loc[0, ["n_known", "n_held_out"]] = 1000, 1  # a number of which nobody is measured
    users.loc[0, [f"{model}_ndcg" for model in RANKINGS]] = np.nan
    path = tmp_path / "users.parquet"
    users.to_parquet(path, row_group_size=1_000)
    with sql.connect(Settings(), tmp_path) as connection:
        sums = sums_by_number(connection, path).set_index("n_known")
    tested = users[users["n_held_out"] > 0]
    assert sums.index.tolist() == sorted(tested["n_known"].unique())
    for model in RANKINGS:
        ndcg = tested[f"{model}_ndcg"].astype(float).groupby(tested["n_known"])
        assert sums[f"{model}_n"].tolist() == ndcg.count().tolist()
        assert sums[f"{model}_sum"].tolist() == pytest.approx(ndcg.sum().tolist())
        squares = (tested[f"{model}_ndcg"].astype(float) ** 2).groupby(tested["n_known"]).sum()
        assert sums[f"{model}_squares"].tolist() == pytest.approx(squares.tolist())
