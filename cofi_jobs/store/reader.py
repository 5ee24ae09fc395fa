"""The tables of a published run, as Arrow. CURRENT is resolved once, so one reader sees one run.

`cofi_jobs.read` gives the same tables as DataFrames.
"""

import functools
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.id_folders import folder_of
from cofi_jobs.store.run_files import RunFiles
from cofi_jobs.store.run_tables import equal_times
from cofi_jobs.store.store import Store


@dataclass(frozen=True)
class ArrowRun:
    """A run of a store and its tables."""

    store: Store
    key: str
    manifest: dict[str, Any]

    def recommendations(self, user_id: str) -> pa.Table:
        """A user's list, empty if the run does not know the user. `user_id` may be text."""
        return self._rows_of("recommendations", "user_id", user_id).sort_by("rank")

    def similar_items(self, item_id: str) -> pa.Table:
        """An item's similar items, empty if the run does not know the item."""
        return self._rows_of("similar_items", "item_id", item_id).sort_by("rank")

    def popular_items(self) -> pa.Table:
        """The list for users without ratings."""
        return self.files.read("popular_items/part-00000.parquet")

    def items(self) -> pa.Table:
        """All items with titles and groups, as far as the catalogue has them."""
        return self.files.read("normalized/items.parquet")

    def users(self) -> pa.Table:
        """All users with their number of ratings."""
        return self.files.read("normalized/users.parquet")

    def rated(self, user_id: str) -> pa.Table:
        """What a user rated, newest first: item_index, rating, and tied.

        `tied` says whether the rating was given at the same time as the next older one.
        """
        users, ratings = "normalized/users.parquet", "normalized/ratings.parquet"
        columns = ["item_index", "rating", "timestamp"]
        with self.files.named(users, ratings):
            # Without threads: a service reads for many users at once.
            user = self.files.dataset([users]).to_table(
                ["user_index"], self._is("user_id", user_id), use_threads=False
            )
            # By == Arrow reads the row groups alone that can have the user.
            index = user["user_index"][0] if len(user) else -1
            is_of_user = pc.field("user_index") == index
            dataset = self.files.dataset([ratings])
            rated = dataset.to_table(columns, is_of_user, use_threads=False)
        # A run of an older version learned as if no times were equal.
        tied = np.zeros(len(rated), bool)
        if "draw" in dataset.schema.names:
            tied = equal_times(np.zeros(len(rated), np.int32), rated["timestamp"])
        return rated.set_column(2, "tied", pa.array(tied))[::-1]

    def item_factors(self) -> pa.Table:
        """Both models' factors of all items, in the order of their row numbers."""
        return self.files.read("model/item_factors.parquet")

    def user_factors(self, user_id: str) -> pa.Table:
        """Both models' factors of a user: one row, none if the run does not know the user."""
        path = "model/user_factors.parquet"
        with self.files.named(path):
            return self.files.dataset([path]).to_table(filter=self._is("user_id", user_id))

    @functools.cached_property
    def files(self) -> RunFiles:
        """The run's files, each compared with its record when it is read."""
        return RunFiles(self.store, self.key, self.manifest)

    def _rows_of(self, table: str, column: str, value: str) -> pa.Table:
        """The rows of one id. Opens only the files that may hold the id."""
        import pyarrow.dataset as ds  # here: it imports pandas

        id_ = self.id_of(column, value)
        files = [file for file in self.manifest["files"] if file["path"].startswith(f"{table}/")]
        # Without any such file the first one is read: the empty table needs its columns.
        chosen = [file for file in files if _may_hold(file, column, id_)] or files[:1]
        paths = [file["path"] for file in chosen]
        # Arrow would guess the type of an id in a folder's name.
        folder_names = ds.partitioning(pa.schema([(column, self._type(column))]), flavor="hive")
        with self.files.named(*paths):
            dataset = self.files.dataset(paths, folder_names)
            return dataset.to_table(filter=pc.field(column) == id_)

    def _type(self, column: str) -> pa.DataType:
        return tables.ID_TYPES[self.manifest["id_types"][column]]

    def _is(self, column: str, value: str) -> pc.Expression:
        return pc.field(column) == self.id_of(column, value)

    def id_of(self, column: str, value: int | str) -> int | str:
        """The id in the store's type. Raises StoreError for text where all ids are integers."""
        id_ = clean_id(str(value))
        if self.manifest["id_types"][column] == "string":
            return id_
        try:
            return int(id_)
        except ValueError:
            raise StoreError(
                f"found the {column} {value!r}, expected an integer, as all ids of this store are"
            ) from None


def _may_hold(file: dict[str, Any], column: str, id_: int | str) -> bool:
    """Whether a file can have rows of an id, by its folder's name or the range of its ids."""
    folder = PurePath(file["path"]).parent.name
    if folder.startswith(f"{column}="):
        return folder == folder_of(column, id_)
    first, last = file.get("first_id"), file.get("last_id")
    if type(first) is not type(id_) or type(last) is not type(id_):  # not sorted, or damaged
        return True
    return bool(first <= id_ <= last)


def current_run(store: Store, run_key: str | None = None) -> ArrowRun:
    """The run that readers use now, or a published run. Raises StoreError if there is none."""
    key = store.current() if run_key is None else run_key
    if key is None:
        raise StoreError(f"found no published run in {store.location}; run the job first")
    manifest = store.manifest(key)
    if manifest is None:
        raise StoreError(
            f"run {key} is not published in {store.location}; "
            f"published are: {', '.join(store.published())}"
        )
    return ArrowRun(store, key, manifest)
