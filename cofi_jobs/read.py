"""Reading what a store publishes. CURRENT is resolved once, so that one reader sees one run."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cofi_jobs.errors import StoreError
from cofi_jobs.store import Store
from cofi_jobs.tables import ID_TYPES


@dataclass(frozen=True)
class Run:
    """A published run of a store."""

    store: Store
    key: str
    manifest: dict[str, Any]

    def recommendations(self, user_id: str) -> pa.Table:
        """A user's list, empty if the run does not know the user. `user_id` may be given as text."""
        # Only files of one user each have the user in their folders' names; its type is not for Arrow to guess.
        in_names = pa.schema([("user_id", ID_TYPES[self.manifest["id_types"]["user_id"]])])
        per_user = self.manifest["settings"]["recommendation_files"] == "per-user"
        partitioning = ds.partitioning(in_names, flavor="hive") if per_user else None
        dataset = ds.dataset(self.store.table(self.key, "recommendations"), partitioning=partitioning)
        return dataset.to_table(filter=self._is("user_id", user_id)).sort_by("rank")

    def similar_items(self, item_id: str) -> pa.Table:
        """An item's similar items, empty if the run does not know the item."""
        path = self.store.table(self.key, "similar_items")
        return ds.dataset(path).to_table(filter=self._is("item_id", item_id)).sort_by("rank")

    def popular_items(self) -> pa.Table:
        """The list for users without ratings."""
        return pq.read_table(self.store.table(self.key, "popular_items"))

    def items(self) -> pa.Table:
        """All items with titles and groups, as far as the catalogue has them."""
        return pq.read_table(self.store.table(self.key, "normalized") / "items.parquet")

    def users(self) -> pa.Table:
        """All users with their number of ratings."""
        return pq.read_table(self.store.table(self.key, "normalized") / "users.parquet")

    def rated(self, user_id: str) -> pa.Table:
        """What a user rated: item_index and rating, newest first."""
        folder = self.store.table(self.key, "normalized")
        user = ds.dataset(folder / "users.parquet").to_table(filter=self._is("user_id", user_id))
        index = ds.field("user_index").isin(user["user_index"])
        return ds.dataset(folder / "ratings.parquet").to_table(["item_index", "rating"], index)[::-1]

    def item_factors(self) -> pa.Table:
        """Both heads' factors of all items, in the order of their row numbers."""
        return pq.read_table(self.store.table(self.key, "model") / "item_factors.parquet")

    def user_factors(self, user_id: str) -> pa.Table:
        """Both heads' factors of a user: one row, none if the run does not know the user."""
        path = self.store.table(self.key, "model") / "user_factors.parquet"
        return ds.dataset(path).to_table(filter=self._is("user_id", user_id))

    def _is(self, column: str, value: str) -> ds.Expression:
        side = "user_id" if column == "user_id" else "item_id"
        if self.manifest["id_types"][side] == "string":
            return ds.field(column) == str(value)
        try:
            return ds.field(column) == int(value)
        except ValueError:
            raise StoreError(f"found the {side} {value!r}, expected an integer, as all ids of this store are") from None


def current_run(store: Store, run_key: str | None = None) -> Run:
    """The run that readers use now, or a given published run. Raises StoreError if there is none."""
    key = run_key or store.current()
    if key is None:
        raise StoreError(f"found no published run in {store.root}; run the job first")
    manifest = store.manifest(key)
    if manifest is None:
        raise StoreError(f"run {key} is not published in {store.root}; published are: {', '.join(store.published())}")
    return Run(store, key, manifest)
