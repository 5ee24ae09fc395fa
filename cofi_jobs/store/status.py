"""How far a run came and how good it is, from what its tasks have recorded."""

from collections.abc import Sequence
from typing import Any

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store.removal import half_removed
from cofi_jobs.store.store import Store


def runs_begun(store: Store) -> list[str]:
    """Keys of the runs that have tables or have failed, even in their first task; oldest first."""
    return store.records.order().in_order([*store.run_keys(), *store.records.failed_runs()])


def latest_run(store: Store) -> str:
    """The run that readers use, else the newest batch's. Raises StoreError if there is neither."""
    latest = store.current() or next(reversed(store.batches()), None)
    if latest is None:
        raise StoreError(f"found no run in {store.location}, expected one whose ingest has ended")
    return latest


def evaluation_of(store: Store, run_key: str) -> dict[str, Any] | None:
    """Metrics, comparisons and gate of a run, passed or refused; None if it was not measured."""
    record = store.outcome(run_key, "evaluate") or store.failure(run_key, "evaluate")
    return record if record and "metrics" in record else None


def measure_names(metrics: dict[str, Any]) -> dict[str, str]:
    """The full names of the ranking measures, such as "ndcg@10", by their short ones."""
    return {name.partition("@")[0]: name for name in metrics["ranking"] if "@" in name}


def feedback_in(metrics: dict[str, Any]) -> Feedback:
    """What was measured on: ratings, or events, of which no errors are measured."""
    return "ratings" if "rating" in metrics else "events"


def rmse_of(metrics: dict[str, Any]) -> float | None:
    """RMSE of the rating model; None without one, or where there was nothing to measure."""
    value: float | None = metrics.get("rating", {}).get("rmse")
    return value


def state_of(store: Store, run_key: str, tasks: Sequence[str]) -> tuple[str, str]:
    """How far a run came, in words, and why it failed; `tasks` are a run's tasks in their order."""
    if store.manifest(run_key):
        outcome = store.outcome(run_key, "evaluate") or {}
        forced = " (forced)" if outcome.get("gate", {}).get("forced") else ""
        return ("current" if run_key == store.current() else "published") + forced, ""
    if run_key in half_removed(store):
        return "half removed", ""
    for task in tasks:
        if failure := store.failure(run_key, task):
            refused = task == "evaluate" and "metrics" in failure
            return "refused" if refused else f"failed in {task}", failure["error"]
    missing = [task for task in tasks if store.outcome(run_key, task) is None]
    return f"not finished: {missing[0]}" if missing else "not published", ""
