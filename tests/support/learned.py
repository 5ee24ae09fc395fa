"""What train has learned in the run n1 of a store."""

import numpy as np

from cofi_jobs.store import parquet
from cofi_jobs.store.run_tables import read_model
from cofi_jobs.store.store import Store


def losses_of(store: Store) -> np.ndarray:
    table = parquet.read_table(store.table("n1", "training") / "losses.parquet")
    return table["J"].to_numpy()


def top_10(store: Store) -> np.ndarray:
    """The best items of each user by the ranking model, (n_users, 10)."""
    model = read_model(store.table("n1", "model")).ranking
    return np.argsort(-model.W @ model.X.T, axis=1)[:, :10]


def share_in_both(one: np.ndarray, other: np.ndarray) -> float:
    """The mean share of a user's top 10 that is in both."""
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    return float(np.mean([len({*first} & {*second}) / 10 for first, second in pairs]))
