"""The last runs of a store, beside which a run is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cofi_jobs.store.records import Outcome
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import evaluation_of, measure_names, runs_begun
from cofi_jobs.store.store import Store

MOST_NIGHTS = 14  # so many stand beside each other
FEWEST_NIGHTS = 5  # fewer make no plot
FEWEST_POINTS = 3  # of a trend: two are the difference that stands beside it


@dataclass(frozen=True)
class Night:
    """A run as its tasks have recorded it."""

    key: str
    outcomes: dict[str, Outcome]  # of the tasks that succeeded
    evaluation: dict[str, Any] | None  # metrics, comparisons and gate, also of a refused run
    is_published: bool
    reason: str = ""  # why it failed

    @property
    def is_refused(self) -> bool:
        """Whether the gate refused the run."""
        gate = self.evaluation["gate"] if self.evaluation else {"passed": True, "forced": False}
        return not gate["passed"] and not gate["forced"]

    @property
    def seconds(self) -> float | None:
        """Time of the tasks that succeeded; None where no task has."""
        return sum(o["seconds"] for o in self.outcomes.values()) if self.outcomes else None

    def measure(self, model: str, name: str) -> float | None:
        """A measure by its short name, such as "ndcg"; runs may have measured at other depths."""
        metrics = (self.evaluation or {}).get("metrics")
        if not metrics or model not in metrics:
            return None
        value: float | None = metrics[model].get(measure_names(metrics).get(name, name))
        return value

    def interval(self, model: str, name: str) -> tuple[float, float] | None:
        """The interval of a measure; None where too few users were measured for one."""
        metrics = (self.evaluation or {}).get("metrics")
        if not metrics or model not in metrics["intervals"]:
            return None
        of_model = metrics["intervals"][model]
        low, high = of_model.get(measure_names(metrics).get(name, name)) or (None, None)
        return None if low is None or high is None else (low, high)

    def recorded(self, task: str, name: str) -> Any:
        """A field of the outcome of a task; None without it."""
        return self.outcomes.get(task, {}).get(name)


def nights(store: Store, run_key: str, tasks: Sequence[str]) -> list[Night]:
    """The last runs up to and including one, which comes last; also those that failed."""
    order = store.records.order()
    keys = order.up_to(run_key, runs_begun(store))[-MOST_NIGHTS:]
    published = {*store.published()}
    return [night(store, key, tasks, key in published) for key in keys]


def night(store: Store, run_key: str, tasks: Sequence[str], is_published: bool) -> Night:
    """One run."""
    outcomes = {task: outcome for task in tasks if (outcome := store.outcome(run_key, task))}
    failures = (store.failure(run_key, task) for task in tasks)
    reason = next((failure["error"] for failure in failures if failure), "")
    return Night(run_key, outcomes, evaluation_of(store, run_key), is_published, reason)


def day_of(run_key: str, beside: datetime | None = None) -> str:
    """A run key as people say it: "Sat 28 Nov"; with the time if it is the day of `beside`."""
    time = run_time(run_key)
    if time is None:
        return run_key
    if beside and time.date() == beside.date():
        return time.strftime("%H:%M")
    return f"{time:%a} {time.day} {time:%b}"


def trend(values: Sequence[float | None]) -> list[tuple[float, float]]:
    """Values as a line between 0 and 100, y from above, over missing ones; none of too few."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < FEWEST_POINTS:
        return []
    low, high = min(value for _, value in known), max(value for _, value in known)
    return [
        (
            round(100 * place / (len(values) - 1), 1),
            50.0 if high == low else round(100 * (high - value) / (high - low), 1),
        )
        for place, value in known
    ]
