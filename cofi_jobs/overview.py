"""All runs of a store at a glance, and the pages' templates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from cofi_jobs.store import Store, run_time
from cofi_jobs.tasks import TASKS

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Line:
    """A run: how far it came, what it took in, how good it is."""

    key: str
    time: str
    state: str
    reason: str
    taken: int | None
    refused: int | None
    rmse: float | None
    ndcg: float | None
    has_report: bool


def evaluation_of(store: Store, run_key: str) -> dict[str, Any] | None:
    """Metrics, comparisons and gate of a run, passed or refused; None if it was not measured."""
    found = store.outcome(run_key, "evaluate") or store.failure(run_key, "evaluate")
    return found if found and "metrics" in found else None


def measure_names(metrics: dict[str, Any]) -> dict[str, str]:
    """The full names of the ranking measures, such as "ndcg@10", by their short ones."""
    return {name.partition("@")[0]: name for name in metrics["ranking"] if "@" in name}


def overview(store: Store) -> list[Line]:
    """The runs of a store that have tables or have failed, the newest first."""
    failed = (path.parent.name for path in store.root.glob("tasks/*/*.failed.json"))
    return [line(store, key) for key in sorted({*store.run_keys(), *failed}, reverse=True)]


def line(store: Store, run_key: str) -> Line:
    """One run of a store."""
    taken = store.outcome(run_key, "ingest") or {}
    metrics = (evaluation_of(store, run_key) or {}).get("metrics")
    state, reason = state_of(store, run_key)
    time = run_time(run_key)
    return Line(
        run_key,
        time.strftime("%a %d %b %Y, %H:%M") if time else run_key,
        state,
        reason,
        taken.get("rows_taken"),
        taken.get("rows_refused"),
        metrics and metrics["rating"]["rmse"],
        metrics and metrics["ranking"][measure_names(metrics)["ndcg"]],
        (store.table(run_key, "report") / "report.html").is_file(),
    )


def state_of(store: Store, run_key: str) -> tuple[str, str]:
    """How far a run came, in words, and why it failed."""
    if store.manifest(run_key):
        outcome = store.outcome(run_key, "evaluate") or {}
        forced = " (forced)" if outcome.get("gate", {}).get("forced") else ""
        return ("current" if run_key == store.current() else "published") + forced, ""
    for task in TASKS:
        if failure := store.failure(run_key, task):
            refused = task == "evaluate" and "metrics" in failure
            return "refused" if refused else f"failed in {task}", failure["error"]
    missing = [task for task in TASKS if store.outcome(run_key, task) is None]
    return f"not finished: {missing[0]}" if missing else "not published", ""


def render_page(template: str, **values: Any) -> str:
    """A page from its template; all values but Markup are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
