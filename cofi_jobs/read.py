"""Reading what a store publishes. CURRENT is resolved once, so that one reader sees one run."""

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cofi_jobs import tables
from cofi_jobs.errors import StoreError
from cofi_jobs.store import Store


@dataclass(frozen=True)
class Run:
    """A published run of a store."""

    store: Store
    key: str
    manifest: dict[str, Any]

    def recommendations(self, user_id: str) -> pa.Table:
        """A user's list, empty if the run does not know the user. `user_id` may be given as text."""
        return self._of("recommendations", "user_id", user_id).sort_by("rank")

    def similar_items(self, item_id: str) -> pa.Table:
        """An item's similar items, empty if the run does not know the item."""
        return self._of("similar_items", "item_id", item_id).sort_by("rank")

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

    def _of(self, table: str, column: str, value: str) -> pa.Table:
        """The rows of one id; only files that may hold it are opened."""
        root, wanted = self.store.table(self.key, ""), self._id(column, value)
        files = [file for file in self.manifest["files"] if file["path"].startswith(f"{table}/")]
        own = [file for file in files if _may_hold(file, column, wanted)] or files[:1]  # one, for the columns
        # The type of what stands in a folder's name is not for Arrow to guess.
        in_names = ds.partitioning(pa.schema([(column, self._type(column))]), flavor="hive")
        paths = [str(root / file["path"]) for file in own]
        dataset = ds.dataset(paths, partitioning=in_names, partition_base_dir=str(root))
        return dataset.to_table(filter=ds.field(column) == wanted)

    def _type(self, column: str) -> pa.DataType:
        return tables.ID_TYPES[self.manifest["id_types"][column]]

    def _is(self, column: str, value: str) -> ds.Expression:
        return ds.field(column) == self._id(column, value)

    def _id(self, column: str, value: str) -> int | str:
        """The id in the store's type. Raises StoreError for text where all ids are integers."""
        if self.manifest["id_types"][column] == "string":
            return str(value)
        try:
            return int(value)
        except ValueError:
            raise StoreError(
                f"found the {column} {value!r}, expected an integer, as all ids of this store are"
            ) from None


def _may_hold(file: dict[str, Any], column: str, wanted: int | str) -> bool:
    """Whether a file of the manifest can have rows of an id, by its folder's name or its range of ids."""
    folder = PurePath(file["path"]).parent.name
    if folder.startswith(f"{column}="):
        return folder == tables.folder_of(column, wanted)
    return "first_id" not in file or file["first_id"] <= wanted <= file["last_id"]


def current_run(store: Store, run_key: str | None = None) -> Run:
    """The run that readers use now, or a given published run. Raises StoreError if there is none."""
    key = run_key or store.current()
    if key is None:
        raise StoreError(f"found no published run in {store.root}; run the job first")
    manifest = store.manifest(key)
    if manifest is None:
        raise StoreError(f"run {key} is not published in {store.root}; published are: {', '.join(store.published())}")
    return Run(store, key, manifest)


def recommendations(store: Path | str, user_id: str) -> pa.Table:
    """A user's list in the run that readers use now, empty if that does not know the user."""
    return current_run(Store(store)).recommendations(user_id)


def similar_items(store: Path | str, item_id: str) -> pa.Table:
    """An item's similar items in the run that readers use now, empty if that does not know the item."""
    return current_run(Store(store)).similar_items(item_id)
