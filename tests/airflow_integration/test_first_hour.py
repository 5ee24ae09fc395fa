"""What somebody meets who has just set CoFi up: runs without work, misspelt settings, alerts.

As in test_dag.py, Airflow runs in a process of its own: this file run as a script.
"""

import asyncio
import json
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.airflow_integration import STORE_KEY
from cofi_jobs.report.overview import overview
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import required
from cofi_jobs.tasks.registry import DECLARED, TASKS
from tests.support.airflow import DAGS, in_airflow

NIGHT = datetime(2026, 3, 1, 2, tzinfo=UTC)
AFTERNOON = NIGHT + timedelta(hours=13)
LATE_RUN = {
    "dag_id": "cofi_nightly",
    "dag_run_id": "a+b",
    "queued_at": "2026-03-01T02:00:00Z",
}


def published(home: Path, name: str, *times: datetime) -> Store:
    """A store with runs that were published; nothing but the records is there."""
    store = Store(home / name).create()
    for time in times:
        store.table(run_key_at(time), "").mkdir(parents=True)
        store.records.write_manifest(run_key_at(time), {"run_key": run_key_at(time)})
        store.set_current(run_key_at(time))
    return store


# ---- what runs inside Airflow


def hour(home: Path) -> dict[str, Any]:
    """How each case ends: the name of the exception and its text, or "ran"."""
    from cofi_jobs.airflow_integration.dags import run_task

    handed_on: list[list[str]] = []

    def end(task: str, store: Store | str, conf: dict[str, Any] | None = None, **run: Any) -> str:
        location = store if isinstance(store, str) else str(store.root)
        dag_run = {"run_type": "scheduled", "clear_number": 0, "run_after": NIGHT, "conf": conf}
        context = {
            "ti": SimpleNamespace(xcom_push=lambda key, value: handed_on.append([key, value])),
            "params": {"store": location, **(conf or {})},
            "dag": SimpleNamespace(params={"store": location}),
            "dag_run": SimpleNamespace(**{**dag_run, "start_date": NIGHT, **run}),
        }
        try:
            run_task(DECLARED[task], context, lambda _: run_key_at(NIGHT))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "ran"

    empty, newer = Store(home / "empty").create(), published(home, "newer", AFTERNOON)
    begun = published(home, "begun", AFTERNOON)
    begun.records.write_begun([{"key": run_key_at(NIGHT)}])
    old = published(home, "old", NIGHT - timedelta(days=1))
    ahead = published(home, "ahead", datetime.now(UTC) + timedelta(days=900))
    seen = {
        "empty, scheduled": end("ingest", empty),
        "its failures": empty.records.failed_runs(),
        "empty, manual": end("ingest", empty, run_type="manual"),
        "newer, scheduled": end("ingest", newer),
        "newer, backfill": end("ingest", newer, run_type="backfill"),
        "newer, cleared": end("ingest", newer, clear_number=1),
        "newer, but begun": end("ingest", begun),
        "older": end("ingest", old),
        "newer by a clock that was ahead": end("ingest", ahead),
        "week, in time": end("verify", newer, start_date=NIGHT + timedelta(minutes=20)),
        "week, days later": end("verify", newer, start_date=NIGHT + timedelta(days=3)),
        "week, cleared": end("verify", newer, start_date=NIGHT + timedelta(days=3), clear_number=1),
        "no run, scheduled": end("tune", str(home / "nowhere")),
        "no run, manual": end("verify", str(home / "nowhere"), run_type="manual"),
        "misspelt": end("ingest", empty, {"top_N": 50, "requested_by": "ops"}),
        "wrong value": end("ingest", empty, {"n_features": 0}),
        "relative store": end("ingest", "cofi/store"),
        "handed on": handed_on,
    }
    rows = {"empty": row(empty), **unrecorded(home)}
    return {**seen, "rows": rows, "alerts": alerts(), "publications": publications(home)}


def row(store: Store) -> list[str]:
    """State and reason of the newest run of a store in the list of all runs; empty without one."""
    lines = overview(store, list(TASKS))
    return [lines[0].state, lines[0].reason] if lines else []


def unrecorded(home: Path) -> dict[str, list[str]]:
    """What the list of all runs says of tasks that could not record how they failed."""
    from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout

    from cofi_jobs.airflow_integration.child import ChildError
    from cofi_jobs.airflow_integration.dags import recorded_failure

    errors = {
        "killed": ChildError("train", -9, ""),
        "timed out": AirflowTaskTimeout("Timeout, PID: 7"),
        "skipped": AirflowSkipException("nothing to do"),
    }
    rows = {}
    for name, error in errors.items():
        store = Store(home / name).create()
        with suppress(type(error)), recorded_failure(store, run_key_at(NIGHT), "train"):
            raise error
        rows[name] = row(store)
    return rows


def publications(home: Path) -> dict[str, Any]:
    """What is told downstream as `publish` of two runs is repeated, and what the example reads."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import Asset
    from airflow.sdk.exceptions import AirflowSkipException

    from cofi_jobs.airflow_integration import recommender_dag

    store = published(home, "two", NIGHT, AFTERNOON)
    for time in (NIGHT, AFTERNOON):
        path = store.table(run_key_at(time), "recommendations")
        path.mkdir()
        pq.write_table(pa.table({"user_id": [1, 1], "item_id": [2, 3]}), path / "part.parquet")
        outcome = {**dict.fromkeys(DECLARED["recommend"].counts, 1), "files": []}
        outcome |= {"settings": {}, "seconds": 1.0}
        for task in required(DECLARED, "publish"):
            store.records.write_outcome(run_key_at(time), task, outcome)
    dag: Any = recommender_dag("two", str(store.root))
    example: Any = DagBag(DAGS / "cofi_reader_example.py").dags["cofi_reader_example"]

    def told(time: datetime) -> list[Any]:
        events: list[Any] = []
        outlet = SimpleNamespace(add=lambda asset, extra: events.append(extra))
        run = {"run_type": "scheduled", "clear_number": 1, "run_after": time, "conf": None}
        dag.task_dict["publish"].python_callable(
            params={"store": str(store.root)},
            dag=dag,
            dag_run=SimpleNamespace(**run),
            outlet_events=defaultdict(lambda: outlet),
        )
        return events

    def read(extra: Any) -> Any:
        event = {Asset("cofi_recommendations"): [SimpleNamespace(extra=extra)]}
        try:
            return example.task_dict["read"].python_callable(triggering_asset_events=event)
        except AirflowSkipException as error:
            return str(error)

    [newest], overtaken = told(AFTERNOON), told(NIGHT)
    earlier = {**newest, "run_key": run_key_at(NIGHT)}
    return {"old": overtaken, "new": newest, "read new": read(newest), "read old": read(earlier)}


def alerts() -> dict[str, list[str]]:
    """What is said of a run by its state, and of failed tasks."""
    from cofi_jobs.airflow_integration.alerts import run_late, task_failed
    from cofi_jobs.airflow_integration.child import ChildError

    def said(work: Callable[[], object]) -> list[str]:
        records = SimpleQueue[logging.LogRecord]()
        handler, log = QueueHandler(records), logging.getLogger(run_late.__module__)
        handler.setLevel(logging.ERROR)
        log.addHandler(handler)
        work()
        log.removeHandler(handler)
        return [records.get().getMessage() for _ in range(records.qsize())]

    def late(state: str) -> Callable[[], object]:
        return lambda: asyncio.run(run_late({"dag_run": {**LATE_RUN, "state": state}}, 180))

    def failed(code: int, reason: str) -> Callable[[], object]:
        task = SimpleNamespace(dag_id="cofi_nightly", task_id="train", run_id="r", log_url="url")
        error = ChildError("train", code, reason)
        return lambda: task_failed({"ti": task, "exception": error})

    return {
        **{state: said(late(state)) for state in ("running", "queued", "failed", "success")},
        "error": said(failed(1, "MemoryError: ")),
        "killed": said(failed(-9, "")),
    }


# ---- how they ended


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("hour")
    return in_airflow(home, "-m", "tests.airflow_integration.test_first_hour", str(home))


@pytest.mark.parametrize(
    ("case", "end"),
    [
        ("empty, scheduled", r"AirflowSkipException: found no ratings in .*empty/landing"),
        ("empty, manual", r"AirflowFailException: found no ratings in .*empty/landing, expected"),
        ("newer, scheduled", rf"AirflowSkipException: .*{run_key_at(AFTERNOON)} is published"),
        ("week, days later", r"AirflowSkipException: this run is of 2026-03-01 02:00 UTC, when"),
        (
            "no run, scheduled",
            r"AirflowSkipException: found no run in .*/nowhere: there is nothing",
        ),
        ("no run, manual", r".*found no store in .*/nowhere, expected one in which ingest has run"),
        ("misspelt", r"AirflowFailException: .*'top_N'; did you mean top_n\?$"),
        ("wrong value", r"AirflowFailException: setting n_factors: found 0, allowed is: integer"),
        ("relative store", r"AirflowFailException: found the store 'cofi/store', expected an abs"),
    ],
)
def test_ends_at_once_with_one_sentence(seen: Any, case: str, end: str) -> None:
    assert re.match(end, seen[case])
    assert "\n" not in seen[case]


@pytest.mark.parametrize(
    "case",
    [
        *("newer, backfill", "newer, cleared", "newer, but begun", "older"),
        *("newer by a clock that was ahead", "week, in time", "week, cleared"),
    ],
)
def test_does_its_work(seen: Any, case: str) -> None:
    """Most have no ratings, and fail of that or are skipped for it; none is skipped before."""
    assert seen[case] == "ran" or "found no ratings in" in seen[case]


def test_a_skipped_run_is_no_failed_run(seen: Any) -> None:
    assert seen["its failures"] == []


def test_a_failed_night_has_a_row_with_its_reason(seen: Any) -> None:
    """Also a first night, whatever ended it: the configuration, the system, Airflow."""
    state, reason = seen["rows"]["empty"]
    assert state == "failed in ingest"
    assert reason.startswith("setting n_factors: found 0, allowed is")
    state, reason = seen["rows"]["killed"]
    assert (state, reason[:30]) == ("failed in train", "train ended with exit code -9:")
    assert seen["rows"]["timed out"] == [
        *("failed in train", "it took longer than its execution_timeout")
    ]
    assert seen["rows"]["skipped"] == []


def test_the_first_task_hands_on_where_its_store_is(seen: Any) -> None:
    """So that the page of all runs knows the store, however the run ends."""
    stores = [Path(value).name for key, value in seen["handed on"] if key == STORE_KEY]
    assert set(stores) == {"empty", "newer", "begun", "old", "ahead"}


def test_only_a_run_that_is_under_way_is_late(seen: Any) -> None:
    [line] = seen["alerts"]["running"]
    assert line.startswith("cofi_nightly: run a+b is late: it is running, expected its end within")
    assert seen["alerts"]["queued"] == seen["alerts"]["failed"] == seen["alerts"]["success"] == []


def test_the_alert_of_a_failure_has_its_reason(seen: Any) -> None:
    start = "cofi_nightly: train failed in run r: train ended with exit code"
    assert seen["alerts"]["error"] == [f"{start} 1: MemoryError: ; log: url"]
    [killed] = seen["alerts"]["killed"]
    assert killed.startswith(f"{start} -9: it was killed, as when the machine")


def test_downstream_is_told_of_no_run_that_readers_are_not_on(seen: Any) -> None:
    """As when `publish` of an old run is cleared."""
    assert seen["publications"]["old"] == []
    assert seen["publications"]["new"]["run_key"] == run_key_at(AFTERNOON)


def test_the_example_reads_no_run_that_readers_are_not_on(seen: Any) -> None:
    """A newer run may be published between the event and its reader."""
    new = {"run_key": run_key_at(AFTERNOON), "users": 1, "rows": 2}
    assert seen["publications"]["read new"] == new
    old, current = run_key_at(NIGHT), run_key_at(AFTERNOON)
    assert seen["publications"]["read old"].startswith(
        f"readers are on run {current}, not on {old}"
    )


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.json").write_text(json.dumps(hour(where)))
