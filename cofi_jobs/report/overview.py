"""All runs of a store at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cofi_jobs.report.nights import Night, night, trend
from cofi_jobs.report.words import in_words
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import rmse_of, runs_begun, state_of
from cofi_jobs.store.store import Store

MOST_IN_TREND = 30  # runs


@dataclass(frozen=True)
class Line:
    """A run: how far it came, what it took in, how good it is, how long it took."""

    key: str
    time: str
    state: str
    colour: str  # of the state: a class of the style sheet
    reason: str
    taken: int | None
    rejected: int | None
    rmse: float | None
    ndcg: float | None
    seconds: float | None
    duration: str
    has_report: bool


@dataclass(frozen=True)
class Trends:
    """Lines over the newest runs of a store, places in percent."""

    ndcg: Sequence[tuple[float, float]]
    rmse: Sequence[tuple[float, float]]
    taken: Sequence[tuple[float, float]]
    seconds: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunsOfStore:
    """The runs of a store as the page lists them."""

    store: str
    dag_ids: Sequence[str]
    lines: Sequence[Line]
    trends: Trends
    links: Mapping[str, str]  # run key -> address of the DAG run
    note: str = ""  # why the store is not read here; then lines are what the runs said


def overview(store: Store, tasks: Sequence[str]) -> list[Line]:
    """The runs of a store that have tables or have failed, the newest first.

    `tasks` are a run's tasks in their order.
    """
    published = {*store.published()}
    return [
        line(store, night(store, key, tasks, key in published), tasks)
        for key in reversed(runs_begun(store))
    ]


def line(store: Store, run: Night, tasks: Sequence[str]) -> Line:
    """One run of a store."""
    state, reason = state_of(store, run.key, tasks)
    time = run_time(run.key)
    metrics = (run.evaluation or {}).get("metrics")
    return Line(
        run.key,
        time.strftime("%a %d %b %Y, %H:%M") if time else run.key,
        state,
        colour_of(state),
        reason,
        run.recorded("ingest", "rows_taken"),
        run.recorded("ingest", "rows_refused"),
        rmse_of(metrics) if metrics else None,
        run.measure("ranking", "ndcg"),
        run.seconds,
        in_words(run.seconds),
        (store.table(run.key, "report") / "report.html").is_file(),
    )


def colour_of(state: str) -> str:
    """Red where readers did not get the run's lists, although it ended."""
    if "forced" in state:
        return "forced"
    if state.startswith(("current", "published")):
        return "passed"
    return "refused" if state.startswith(("refused", "failed", "half")) else "waiting"


def trends(lines: Sequence[Line]) -> Trends:
    """Trends of a store's runs, which are given the newest first."""
    newest = lines[:MOST_IN_TREND][::-1]
    return Trends(
        trend([line.ndcg for line in newest]),
        trend([line.rmse for line in newest]),
        trend([line.taken for line in newest]),
        trend([line.seconds for line in newest]),
    )
