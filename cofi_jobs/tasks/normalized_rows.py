"""Rows of the table `normalized` in SQL, from the table `newest` of current ratings.

`newest` may hold the ratings of all users, or all ratings of users whose ids are neighbours. Row
numbers follow the sorted ids, so they are the same each time.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.model.trust import account_trust
from cofi_jobs.settings.fields import Settings

# Sums are exact decimals: the order of adding must not show in the result. Of events there is none.
TOTAL: dict[Feedback, str] = {
    "ratings": "sum(rating::DECIMAL(18, 6))",
    "events": "NULL::DECIMAL(38, 6)",
}
USERS = """
    SELECT user_index, user_id, n_ratings, trust FROM users JOIN trust USING (user_index)
    ORDER BY user_index"""
# `means` has the mean of each item, by item_index.
RATINGS = """
    SELECT user_index, item_index, rating, rating - mean AS y_norm, timestamp,
        (drawn >> 48)::USMALLINT AS draw
    FROM (
        SELECT user_index, item_index, rating, timestamp, hash(hash(user_id, item_id)) AS drawn
        FROM newest JOIN users USING (user_id) JOIN items USING (item_id)
    ) JOIN means USING (item_index)
    ORDER BY user_index, timestamp NULLS FIRST, drawn"""


def item_sums(feedback: Feedback) -> str:
    """Number and sum of the ratings of each item."""
    total = TOTAL[feedback]
    return f"SELECT item_id, count(*) AS n_ratings, {total} AS total FROM newest GROUP BY item_id"


def lesser_item_sums(feedback: Feedback) -> str:
    """The same, of the ratings by users who are not fully trusted."""
    return f"""
        SELECT item_id, count(*) AS n_ratings, {TOTAL[feedback]} AS total
        FROM newest JOIN users USING (user_id) JOIN trust USING (user_index) WHERE trust < 1
        GROUP BY item_id"""


def number_users(connection: duckdb.DuckDBPyConnection, first: int = 0) -> int:
    """Make the table `users`, with row numbers from `first` on; returns how many there are."""
    connection.execute(f"""
        CREATE TEMP TABLE users AS
        SELECT ({first} + row_number() OVER (ORDER BY user_id) - 1)::INTEGER AS user_index, user_id,
            count(*)::INTEGER AS n_ratings
        FROM newest GROUP BY user_id""")
    [(n_users,)] = connection.execute("SELECT count(*) FROM users").fetchall()
    return int(n_users)


def number_items(connection: duckdb.DuckDBPyConnection, sums: str) -> tuple[np.ndarray, np.ndarray]:
    """Make the table `items` from item sums, which add up; returns each item's number and sum."""
    connection.execute(f"""
        CREATE TEMP TABLE items AS
        SELECT (row_number() OVER (ORDER BY item_id) - 1)::INTEGER AS item_index, item_id,
            sum(n_ratings)::INTEGER AS n_ratings, sum(total)::DOUBLE AS total
        FROM ({sums}) GROUP BY item_id""")
    columns = connection.execute(
        "SELECT n_ratings, total FROM items ORDER BY item_index"
    ).fetchnumpy()
    return columns["n_ratings"], columns["total"]


@dataclass(frozen=True)
class Span:
    """The times of the oldest and the newest rating of all; None if no rating has a time."""

    oldest: np.datetime64 | None
    newest: np.datetime64 | None

    def __or__(self, other: "Span") -> "Span":
        """The times of both taken together."""
        if self.oldest is None or self.newest is None:
            return other
        if other.oldest is None or other.newest is None:
            return self
        return Span(min(self.oldest, other.oldest), max(self.newest, other.newest))


def span(connection: duckdb.DuckDBPyConnection) -> Span:
    """That of the ratings in `newest`."""
    [times] = connection.execute(
        "SELECT min(timestamp)::TIMESTAMP, max(timestamp)::TIMESTAMP FROM newest"
    ).fetchall()
    return Span(*(None if time is None else np.datetime64(time) for time in times))


def trust_users(
    connection: duckdb.DuckDBPyConnection, settings: Settings, span_of_all: Span | None = None
) -> None:
    """Make the table `trust` of the table `users`.

    `span_of_all` is None if `newest` has all ratings.
    """
    if settings.new_account_weight == 1:  # all are trusted alike: no need to read the ratings
        connection.execute(
            "CREATE TEMP VIEW trust AS SELECT user_index, 1::FLOAT AS trust FROM users"
        )
        return
    span_of_all = span_of_all or span(connection)
    users = connection.execute("""
        SELECT user_index, n_ratings, min(timestamp)::TIMESTAMP AS first
        FROM users JOIN newest USING (user_id) GROUP BY user_index, n_ratings
        ORDER BY user_index""").fetchnumpy()
    first = np.ma.filled(users["first"], np.datetime64("NaT"))
    newest = np.datetime64("NaT") if span_of_all.newest is None else span_of_all.newest
    weight, days = settings.new_account_weight, settings.new_account_days
    trust = account_trust(users["n_ratings"], first, newest, weight, days, span_of_all.oldest)
    connection.register("trust", pa.table({"user_index": users["user_index"], "trust": trust}))


def trusted(
    connection: duckdb.DuckDBPyConnection,
    lesser: str,
    weight: float,
    counts: np.ndarray,
    sums: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and sums of items (n_items,) in which the ratings of `lesser` weigh but `weight`.

    `lesser` are item sums; the connection has the table `items`.
    """
    columns = connection.execute(f"""
        SELECT item_index, sum(lesser.n_ratings)::DOUBLE AS n, sum(lesser.total)::DOUBLE AS total
        FROM ({lesser}) AS lesser JOIN items USING (item_id) GROUP BY item_index""").fetchnumpy()
    items, withheld = columns["item_index"], 1 - weight
    counts, sums = counts.astype(np.float64), sums.copy()
    counts[items] -= withheld * columns["n"]
    sums[items] -= withheld * columns["total"]
    return counts, sums
