"""Read what a store publishes, as pandas DataFrames: the public module for programs.

`current_run(...)` resolves once which run is current, so all its tables are of that run. Integers
have pandas' nullable types (Int64, Int32): a missing id stays missing and the other ids stay
integers. `run.arrow` has the same tables as Arrow tables.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store import reader
from cofi_jobs.store.open import open_store
from cofi_jobs.store.reader import ArrowRun
from cofi_jobs.store.store import Store

LONGEST_NAME = 200  # characters
INTEGERS = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}


@dataclass(frozen=True)
class Run:
    """A run of a store and its tables. The methods of `arrow` have the same names."""

    arrow: ArrowRun

    @property
    def store(self) -> Store:
        """The store that has the run."""
        return self.arrow.store

    @property
    def key(self) -> str:
        """The run's name."""
        return self.arrow.key

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was made from and with (docs/outputs.md)."""
        return self.arrow.manifest

    @property
    def feedback(self) -> Feedback:
        """What users gave: ratings, or events. Runs of older versions have ratings."""
        feedback: Feedback = self.manifest.get("feedback", "ratings")
        return feedback

    def recommendations(self, user_id: str) -> pd.DataFrame:
        """A user's list, empty if the run does not know the user. `user_id` may be text."""
        return to_frame(self.arrow.recommendations(user_id))

    def similar_items(self, item_id: str) -> pd.DataFrame:
        """An item's similar items, empty if the run does not know the item."""
        return to_frame(self.arrow.similar_items(item_id))

    def popular_items(self) -> pd.DataFrame:
        """The list for users without ratings."""
        return to_frame(self.arrow.popular_items())

    def items(self) -> pd.DataFrame:
        """All items with titles and groups, as far as the catalogue has them."""
        return to_frame(self.arrow.items())

    def users(self) -> pd.DataFrame:
        """All users with their number of ratings."""
        return to_frame(self.arrow.users())

    def rated(self, user_id: str) -> pd.DataFrame:
        """What a user rated, newest first: item_index, rating, and tied.

        `tied` says whether the rating was given at the same time as the next older one.
        """
        return to_frame(self.arrow.rated(user_id))


def current_run(
    store: Store | Path | str, run_key: str | None = None, options: dict[str, Any] | None = None
) -> Run:
    """The run that readers use now, or a given published run. Raises StoreError if there is none.

    `options` are fsspec's for a store in a bucket. Without them, COFI_STORE_OPTIONS or the
    environment's own apply.
    """
    opened = store if isinstance(store, Store) else open_store(store, options)
    return Run(reader.current_run(opened, run_key))


def recommendations(
    store: Path | str, user_id: str, options: dict[str, Any] | None = None
) -> pd.DataFrame:
    """A user's list in the run that readers use now, empty for an unknown user."""
    return current_run(store, options=options).recommendations(user_id)


def similar_items(
    store: Path | str, item_id: str, options: dict[str, Any] | None = None
) -> pd.DataFrame:
    """An item's similar items in the run that readers use now, empty for an unknown item."""
    return current_run(store, options=options).similar_items(item_id)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as a DataFrame; integers have nullable types."""
    return table.to_pandas(types_mapper=INTEGERS.get)


def shown_mean(item: pd.Series) -> str:
    """The mean rating of an item, a row of a run's items, as people read it: "mean 4.50".

    Runs of older versions have only the damped mean, and it is called so. Empty for events.
    """
    name, mean = "mean", item.get("mean_rating")
    if "mean_rating" not in item:
        name, mean = "damped mean", item["mean"]
    return "" if pd.isna(mean) else f"{name} {mean:.2f}"


def item_names(items: pd.DataFrame) -> pd.Series:
    """What people call each of a run's items: the title, "item <id>" for an item without one.

    On one line, without control characters, and cut if it is very long.
    """
    titles = items["title"].fillna("").str.replace(r"[\s\x00-\x1f\x7f-\x9f]+", " ", regex=True)
    cut = titles.str.slice(0, LONGEST_NAME - 1) + "…"
    titles = titles.where(titles.str.len() <= LONGEST_NAME, cut)
    return titles.where(titles != "", "item " + items["item_id"].astype(str))
