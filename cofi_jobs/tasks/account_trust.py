"""The trust in each account of the table `newest`, and what that leaves of the items' ratings."""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from cofi_jobs.model.trust import account_trust
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class Trusted:
    """Trust of users, and counts and sums of items' ratings that have it as their weight."""

    users: np.ndarray  # (n_users,) float32
    counts: np.ndarray  # (n_items,)
    sums: np.ndarray  # (n_items,); NaN for events


def trusted(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    total: str,
    counts: np.ndarray,
    sums: np.ndarray,
) -> Trusted:
    """How far accounts are trusted; `counts` and `sums` (n_items,) are of all ratings alike.

    `total` is the sum of some ratings, in SQL. The connection has normalize's tables.
    """
    weight = settings.new_account_weight
    if weight == 1:
        [(n_users,)] = connection.execute("SELECT count(*) FROM users").fetchall()
        return Trusted(np.ones(n_users, np.float32), counts, sums)
    accounts = connection.execute("""
        SELECT n_ratings, min(timestamp)::TIMESTAMP AS first
        FROM users JOIN newest USING (user_id) GROUP BY user_index, n_ratings
        ORDER BY user_index""").fetchnumpy()
    first = np.ma.filled(accounts["first"], np.datetime64("NaT"))
    [(newest,)] = connection.execute("SELECT max(timestamp)::TIMESTAMP FROM newest").fetchall()
    days = settings.new_account_days
    trust = account_trust(accounts["n_ratings"], first, np.datetime64(newest), weight, days)
    # Few: the others' ratings need no second look.
    connection.register("lesser", pa.table({"user_index": np.flatnonzero(trust < 1)}))
    lesser = connection.execute(f"""
        SELECT item_index, count(*) AS n, {total} AS total
        FROM newest JOIN users USING (user_id) JOIN lesser USING (user_index)
        JOIN items USING (item_id) GROUP BY item_index""").fetchnumpy()
    items, withheld = lesser["item_index"], 1 - weight
    counts, sums = counts.astype(np.float64), sums.copy()
    counts[items] -= withheld * lesser["n"]
    sums[items] -= withheld * lesser["total"]
    return Trusted(trust, counts, sums)
