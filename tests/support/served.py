"""Published stores of each kind, for what recommends between two nights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cofi_jobs.serve import Recommender
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.reader import ArrowRun, current_run
from cofi_jobs.store.store import Store
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night


@dataclass(frozen=True)
class Kind:
    """How a store differs from one of plain ratings."""

    settings: tuple[str, ...] = ()
    named: bool = False  # ids are text, ratings are from 2 to 10, and there are no times
    events: bool = False  # most of them at the time of another
    denied: str | None = None  # an item that is never shown; there are groups, too


KINDS = {
    "ratings": Kind(),
    "filtered": Kind(
        ("diversity=0.4", "max_per_group=2", "min_item_ratings=9", "ranking_nu=1", "n_factors=12"),
        named=True,
        denied="id 100",
    ),
    "events": Kind(("confidence=0.7", "recency=1"), events=True),
}


@dataclass(frozen=True)
class Served:
    """A published store, what readers see of it, and what recommends from it."""

    kind: Kind
    run: ArrowRun
    recommender: Recommender

    @property
    def settings(self) -> Settings:
        return load_settings([*QUICK, *self.kind.settings])

    @property
    def users(self) -> list[Any]:
        return self.run.users()["user_id"].to_pylist()

    @property
    def items(self) -> list[Any]:
        return self.run.items()["item_id"].to_pylist()

    def published(self, user_id: int | str) -> list[dict[str, Any]]:
        return self.run.recommendations(str(user_id)).to_pylist()


def given_by(run: ArrowRun, user_id: int | str) -> dict[int | str, float]:
    """What a user gave, in order of time."""
    items, rated = run.items()["item_id"].to_pylist(), run.rated(str(user_id))[::-1]
    names = [items[index] for index in rated["item_index"].to_pylist()]
    return dict(zip(names, rated["rating"].to_pylist(), strict=True))


def times_of(run: ArrowRun, user_id: int | str) -> list[float]:
    """When the user gave each of these, in seconds; 0 for unknown times."""
    user = run.users()["user_id"].to_pylist().index(user_id)
    path = run.store.table(run.key, "normalized") / "ratings.parquet"
    times = pd.read_parquet(path, filters=[("user_index", "==", user)])["timestamp"]
    return [0.0 if pd.isna(time) else time.timestamp() for time in times]


def serve(folder: Path, kind: Kind) -> Served:
    """A night of random ratings."""
    store = Store(folder / "store").create()
    frame = random_ratings(n_items=30)
    if kind.events:
        frame = frame.drop(columns="rating").assign(plays=1 + frame.index % 7)
        frame["timestamp"] -= frame.index % 100
    if kind.named:
        frame = frame.drop(columns="timestamp").assign(rating=2 * frame["rating"])
        frame[["userId", "movieId"]] = "id " + frame[["userId", "movieId"]].astype(str)
    items = sorted(frame["movieId"].unique())
    catalogue = pd.DataFrame({"movieId": items, "title": [f"Title of {item}" for item in items]})
    if kind.denied:
        (store.item_lists / "deny.txt").write_text(f"{kind.denied}\n")
        catalogue["genres"] = [["A", "B", "C|A"][number % 3] for number in range(len(items))]
    catalogue.to_csv(store.catalogue / "movies.csv", index=False)
    write_ratings(store.landing / "ratings.csv", frame)
    run_night(store, load_settings([*QUICK, *kind.settings]), "n1")
    return Served(kind, current_run(store), Recommender(store))
