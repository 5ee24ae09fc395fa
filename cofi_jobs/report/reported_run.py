"""What a report is about: a run as far as it came, and what its parts are called."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.core.scale import Scale
from cofi_jobs.read import Run, item_names, to_frame
from cofi_jobs.report.drawing import short
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.reader import ArrowRun
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import evaluation_of
from cofi_jobs.store.store import Store

MOST_RUNS = 14  # so many stand beside each other
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


@dataclass(frozen=True)
class ReportedRun:
    """A run as far as it came."""

    store: Store
    settings: Settings
    key: str
    outcomes: dict[str, dict[str, Any]]  # of the tasks that succeeded
    evaluation: dict[str, Any] | None  # metrics, comparisons and gate, also of a refused run
    failures: dict[str, str]  # why tasks failed
    titles: list[str]  # of the items, in the order of their row numbers

    @functools.cached_property
    def tables(self) -> Run:
        """The run's tables, whether the run is published or not."""
        root = self.store.table(self.key, "")
        paths = (
            path
            for table in ("recommendations", "similar_items")
            for path in (root / table).rglob("*.parquet")
        )
        files = [{"path": str(path.relative_to(root))} for path in sorted(paths)]
        ingested = self.outcomes["ingest"]
        manifest = {"id_types": ingested["id_types"], "feedback": self.feedback, "files": files}
        return Run(ArrowRun(self.store, self.key, manifest))

    @property
    def feedback(self) -> Feedback:
        """What users gave: ratings, or events."""
        feedback: Feedback = self.outcomes["ingest"].get("feedback", "ratings")
        return feedback

    @property
    def observations(self) -> str:
        """What the model learns from, in words."""
        return "current ratings" if self.feedback == "ratings" else "pairs of user and item"

    @property
    def scale(self) -> Scale:
        """Lowest and highest rating."""
        return Scale(*self.outcomes["ingest"]["scale"])

    def file(self, table: str, name: str) -> Path:
        """A file of a table of the run."""
        return self.store.table(self.key, table) / name


def read_run(store: Store, settings: Settings, run_key: str, tasks: Sequence[str]) -> ReportedRun:
    """What a run has recorded so far; `tasks` are those before the report, in their order."""
    outcomes = {task: outcome for task in tasks if (outcome := store.outcome(run_key, task))}
    failures = {
        task: failure["error"] for task in tasks if (failure := store.failure(run_key, task))
    }
    path = store.table(run_key, "normalized") / "items.parquet"
    titles = item_names(to_frame(pq.read_table(path, columns=["item_id", "title"]))).tolist()
    evaluation = evaluation_of(store, run_key)
    return ReportedRun(store, settings, run_key, outcomes, evaluation, failures, titles)


def parquet_below(folder: Path) -> str:
    """All Parquet files below a folder, as a table in SQL."""
    return sql.parquet(sorted(folder.rglob("*.parquet")))


def run_label(run_key: str) -> str:
    """A run key as the label of an axis: day and time, or the key where it is no time."""
    time = run_time(run_key)
    return time.strftime("%b %d\n%H:%M") if time else short(run_key, 10)


def measure_label(measure: str) -> str:
    """A measure as the title of a plot has it."""
    return measure.upper() if measure.startswith(("rmse", "ndcg")) else measure
