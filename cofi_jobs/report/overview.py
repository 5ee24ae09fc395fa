"""All runs of a store at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass

from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import (
    evaluation_of,
    measure_names,
    rmse_of,
    runs_begun,
    state_of,
)
from cofi_jobs.store.store import Store


@dataclass(frozen=True)
class Line:
    """A run: how far it came, what it took in, how good it is."""

    key: str
    time: str
    state: str
    reason: str
    taken: int | None
    rejected: int | None
    rmse: float | None
    ndcg: float | None
    has_report: bool


def overview(store: Store, tasks: Sequence[str]) -> list[Line]:
    """The runs of a store that have tables or have failed, the newest first.

    `tasks` are a run's tasks in their order.
    """
    return [line(store, key, tasks) for key in reversed(runs_begun(store))]


def line(store: Store, run_key: str, tasks: Sequence[str]) -> Line:
    """One run of a store."""
    ingested = store.outcome(run_key, "ingest") or {}
    metrics = (evaluation_of(store, run_key) or {}).get("metrics")
    state, reason = state_of(store, run_key, tasks)
    time = run_time(run_key)
    return Line(
        run_key,
        time.strftime("%a %d %b %Y, %H:%M") if time else run_key,
        state,
        reason,
        ingested.get("rows_taken"),
        ingested.get("rows_refused"),
        metrics and rmse_of(metrics),
        metrics and metrics["ranking"][measure_names(metrics)["ndcg"]],
        (store.table(run_key, "report") / "report.html").is_file(),
    )
