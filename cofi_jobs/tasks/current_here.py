"""The current ratings of a store in one database of DuckDB, for normalize."""

from pathlib import Path

import duckdb

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.current_ratings import RowCounts, drop_outside, drop_withdrawn, load_newest
from cofi_jobs.store.event_sums import load_sums
from cofi_jobs.tasks import normalized_rows


class CurrentHere:
    """As `normalize.Current`: the tables of `normalized_rows` in the task's own connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        parts: dict[Path, int],
        settings: Settings,
        feedback: Feedback,
        scale: tuple[float, float] | None,
    ) -> None:
        self.connection, self.feedback = connection, feedback
        if feedback == "events":
            self.rows: RowCounts = load_sums(connection, parts, settings.event_half_life_days)
        else:
            self.rows = load_newest(connection, parts, settings.memory_limit_mb)
        self.n_outside = drop_outside(connection, *scale) if scale else 0
        self.n_ratings = drop_withdrawn(connection)
        self.n_users = normalized_rows.number_users(connection)
        normalized_rows.trust_users(connection, settings)

    def item_sums(self) -> str:
        """As in `Current`."""
        return normalized_rows.item_sums(self.feedback)

    def lesser_item_sums(self) -> str:
        """As in `Current`."""
        return normalized_rows.lesser_item_sums(self.feedback)

    def write_users(self, path: Path) -> None:
        """As in `Current`."""
        sql.write_parquet(self.connection, normalized_rows.USERS, path)

    def write_ratings(self, path: Path) -> None:
        """As in `Current`."""
        sql.write_parquet(self.connection, normalized_rows.RATINGS, path)
