"""What a report is about: a run as far as it came, and what its parts are called."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.intervals import FEWEST_USERS
from cofi_jobs.read import Run, item_names, to_frame
from cofi_jobs.report.changes import Changes, changes
from cofi_jobs.report.drawing import short
from cofi_jobs.report.nights import Night, nights
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.manifest_files import id_range
from cofi_jobs.store.reader import ArrowRun
from cofi_jobs.store.records import Outcome
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.store import Store

NAMES = {
    "rating": "CoFi",
    "ranking": "CoFi",
    "damped_means": "damped means",
    "item_means": "item means",
    "global_mean": "global mean",
    "item_knn": "item-kNN",
    "published": "published before",
    "popularity": "popularity",
}
FEW_USERS = f"Plots of fewer than {FEWEST_USERS} users say nothing."


@dataclass(frozen=True)
class ReportedRun:
    """A run as far as it came."""

    store: Store
    settings: Settings
    key: str
    nights: list[Night]  # this run, and those before it; this is the last
    earlier: str | None  # key of the run that readers had before
    failures: dict[str, str]  # why tasks failed
    titles: list[str]  # of the items, in the order of their row numbers

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Of the tasks that succeeded."""
        return self.nights[-1].outcomes

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """Metrics, comparisons and gate, also of a refused run."""
        return self.nights[-1].evaluation

    @property
    def earlier_night(self) -> Night | None:
        """The run that readers had before, if it is one of the last ones."""
        return next((night for night in self.nights if night.key == self.earlier), None)

    @functools.cached_property
    def changes(self) -> Changes | None:
        """What changed in the lists since the run that readers had before, if both have lists."""
        if self.earlier is None or "recommend" not in self.outcomes:
            return None
        return changes(self.store, self.settings, self.key, self.earlier)

    @functools.cached_property
    def titles_by_id(self) -> dict[Any, str]:
        """The items' titles by their ids."""
        return dict(zip(self.tables.items()["item_id"].tolist(), self.titles, strict=True))

    @functools.cached_property
    def lists(self) -> list[Path]:
        """The files of the users' lists."""
        return parquet_files(self.store.checked_table(self.key, "recommendations"))

    @functools.cached_property
    def tables(self) -> Run:
        """The run's tables, whether the run is published or not."""
        root = self.store.table(self.key, "")
        similar_items = parquet_files(self.store.checked_table(self.key, "similar_items"))
        files = [
            {"path": str(path.relative_to(root)), **id_range(parquet.read_metadata(path))}
            for path in (*self.lists, *similar_items)
        ]
        ingested = self.outcomes["ingest"]
        manifest = {"id_types": ingested["id_types"], "feedback": self.feedback, "files": files}
        return Run(ArrowRun(self.store, self.key, manifest))

    @property
    def feedback(self) -> Feedback:
        """What users gave: ratings, or events."""
        feedback: Feedback = self.outcomes["ingest"].get("feedback", "ratings")
        return feedback

    @property
    def has_few_users(self) -> bool:
        """Whether plots over its users would say nothing."""
        return bool(self.outcomes["normalize"]["n_users"] < FEWEST_USERS)

    @property
    def observations(self) -> str:
        """What the model learns from, in words."""
        return "current ratings" if self.feedback == "ratings" else "pairs of user and item"

    @property
    def scale(self) -> Scale:
        """Lowest and highest rating."""
        return Scale(*self.outcomes["ingest"]["scale"])

    def file(self, table: str, name: str) -> Path:
        """A file of a table of the run, as it was written."""
        return self.store.checked_table(self.key, table, name) / name


def read_run(store: Store, settings: Settings, run_key: str, tasks: Sequence[str]) -> ReportedRun:
    """What a run has recorded so far; `tasks` are those before the report, in their order."""
    failures = {
        task: failure["error"] for task in tasks if (failure := store.failure(run_key, task))
    }
    path = store.checked_table(run_key, "normalized", "items.parquet") / "items.parquet"
    titles = item_names(to_frame(parquet.read_table(path, columns=["item_id", "title"]))).tolist()
    last = nights(store, run_key, tasks)
    compared = ((last[-1].evaluation or {}).get("metrics", {}).get("published") or {}).get(
        "run_key"
    )
    earlier = compared or next(reversed(store.published_before(run_key)), None)
    return ReportedRun(store, settings, run_key, last, earlier, failures, titles)


def parquet_below(folder: Path) -> str:
    """All Parquet files below a folder, as a table in SQL."""
    return sql.parquet(parquet_files(folder))


def run_label(run_key: str) -> str:
    """A run key as the label of an axis: day and time, or the key where it is no time."""
    time = run_time(run_key)
    return time.strftime("%b %d\n%H:%M") if time else short(run_key, 10)


def measure_label(measure: str) -> str:
    """A measure as the title of a plot has it."""
    return measure.upper() if measure.startswith(("rmse", "ndcg")) else measure
