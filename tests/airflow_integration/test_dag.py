"""The DAGs as Airflow sees and runs them, on a fresh SQLite database.

Airflow's configuration is fixed by its first import, so Airflow runs in a process of its own: this
file run as a script. It leaves JSON, a log and Airflow's database for the tests to look at.
"""

import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pyarrow.dataset
import pytest

from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.form import form_fields
from cofi_jobs.settings.schema import section
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.airflow import DAGS, in_airflow
from tests.support.data import QUICK_VALUES, random_ratings, write_ratings

LIGHT = {
    "cofi_jobs",
    "asgiref",
}  # all that DAG files may import beyond Airflow's start
# Of cofi_tune, by the time at which it is unpaused; 2026-03-01 is a Sunday.
FIRST_RUNS = {
    "2026-02-25T12:00:00+00:00": "2026-03-01T06:00:00+00:00",
    "2026-03-01T06:00:20+00:00": "2026-03-01T06:00:00+00:00",  # the scheduler was busy
    "2026-03-01T08:00:00+00:00": "2026-03-08T06:00:00+00:00",
}
EDGES = {
    "ingest": ["normalize"],
    "normalize": ["report", "train"],
    "train": ["recommend", "similar_items"],
    "similar_items": ["evaluate"],
    "recommend": ["evaluate"],
    "evaluate": ["publish", "report"],
    "report": ["publish"],
    "publish": ["deliver"],
    "deliver": [],
}
# Parses each DAG file, in forks as Airflow's own parser does. A script, for nothing of the tests or
# of CoFi may be imported before.
PARSE = """
import json, sys
from multiprocessing import get_context
from pathlib import Path
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag

def packages():
    return {module.split(".")[0] for module in sys.modules}

def parse(file):
    before = packages()
    bag = DagBag(file)
    new = packages() - before - sys.stdlib_module_names
    return {"dags": list(bag.dags), "packages": sorted(new)}

home, dags = map(Path, sys.argv[1:])
(home / "empty").mkdir()
DagBag(home / "empty")
with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
    result = pool.map(parse, sorted(dags.glob("*.py")), chunksize=1)
    (home / "result.json").write_text(json.dumps(result))
"""


# ---- what runs inside Airflow


def in_one_process(home: Path) -> dict[str, Any]:
    """What the tests want to know of the DAGs and of their runs, as JSON."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils import db

    db.initdb()
    bag = DagBag(DAGS)
    return {"dags": examine(bag), "nights": nights(bag, home), "tuning": tuning(bag, home)}


def examine(bag: Any) -> dict[str, Any]:
    """All that the tests want to know of the DAGs."""
    nightly: Any = bag.dags["cofi_nightly"]
    reader: Any = bag.dags["cofi_reader_example"]
    weekly: Any = bag.dags["cofi_tune"]
    [tune] = weekly.tasks
    return {
        "errors": bag.import_errors,
        "dags": list(bag.dags),
        "schedule": nightly.schedule,
        "catchup": nightly.catchup,
        "max_active_runs": nightly.max_active_runs,
        "deadlines": [deadline.interval.total_seconds() for deadline in nightly.deadline],
        "tasks": {
            task.task_id: {
                "downstream": sorted(task.downstream_task_ids),
                "retries": task.retries,
                "backoff": task.retry_exponential_backoff,
                "seconds": task.execution_timeout and task.execution_timeout.total_seconds(),
                "inlets": [asset.name for asset in task.inlets],
                "outlets": [asset.name for asset in task.outlets],
                "pool": task.pool,
                "params": sorted(task.params),
            }
            for task in nightly.tasks
        },
        "params": {
            name: {"value": param.value, "description": param.description, "schema": param.schema}
            for name, param in ((name, nightly.params.get_param(name)) for name in nightly.params)
        },
        "tune": {
            "schedule": weekly.schedule.expression,
            "first runs": {now: first_run(weekly, now) for now in FIRST_RUNS},
            "catchup": weekly.catchup,
            "max_active_runs": weekly.max_active_runs,
            "params": {name: weekly.params[name] for name in weekly.params},
            "retries": tune.retries,
            "seconds": tune.execution_timeout.total_seconds(),
        },
        "reader_schedule": [asset.name for asset in reader.schedule],
    }


def first_run(dag: Any, now: str) -> str:
    """The time of the first run of a DAG that is unpaused at a time."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables.base import TimeRestriction

    timetable = decode_timetable(encode_timetable(dag.schedule))
    with patch("airflow.timetables.trigger.utcnow", lambda: datetime.fromisoformat(now)):
        any_time = TimeRestriction(dag.start_date, dag.end_date, catchup=dag.catchup)
        info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=any_time)
    assert info is not None
    return str(info.run_after.isoformat())


def nights(bag: Any, home: Path) -> dict[str, Any]:
    """A good run and the reader's run it sets off; runs with bad data, refused, hung, misset."""
    from airflow.sdk.exceptions import ParamValidationError

    store = Store(home / "store").create()
    nightly = bag.dags["cofi_nightly"]
    default = Settings().ranking_nu  # set by the API, though it is the default
    conf = {"store": str(store.root), **QUICK_VALUES, "ranking_nu": default}
    tuned = {"n_factors": 8, "recency": 0.25, "ranking_nu": 0.9}
    store.records.write_tuned({"settings": tuned, "run_key": "earlier"})
    seen: dict[str, Any] = {}

    write_ratings(store.landing / "ratings.csv", random_ratings())
    run = nightly.test(run_conf=conf, logical_date=None)  # None: as runs from the API or an asset
    seen["good"] = {
        "run_id": run.run_id,
        "run_after": run.run_after.isoformat(),
        "state": str(run.state),
    }
    seen["reader"] = {"run_id": _run_on_asset(bag.dags["cofi_reader_example"])}

    # The others have a logical date: dag.test replaces a run of the same date, None too.
    (store.landing / "bad.csv").write_text("shop,price\n1,2\n")
    run = nightly.test(run_conf=conf, logical_date=datetime(2026, 1, 2, tzinfo=UTC))
    seen["bad"] = {"run_id": run.run_id, "current": store.current()}
    (store.landing / "bad.csv").unlink()

    worse = {
        **conf,
        "recall_at": 1,
        "min_coverage": 1,
        "force_publish": False,
    }  # no night has all items in first places
    run = nightly.test(run_conf=worse, logical_date=datetime(2026, 1, 5, tzinfo=UTC))
    seen["worse"] = {"run_id": run.run_id, "current": store.current()}

    with store.lock("ingest"):  # its next ingest waits for ever
        ingest = nightly.task_dict["ingest"]
        ingest.execution_timeout, ingest.retries = timedelta(seconds=4), 0
        run = nightly.test(run_conf=conf, logical_date=datetime(2026, 1, 3, tzinfo=UTC))
        seen["hung"] = {
            "run_id": run.run_id,
            "processes": [p.cmdline() for p in psutil.Process().children()],
        }

    erased = Store(Path(shutil.copytree(store.root, home / "erased", symlinks=True)))
    forget = bag.dags["cofi_erase"]
    for name, users in (("erased", "13\n 10 \n"), ("nobody", " \n")):
        conf_of = {"store": str(erased.root), "users": users, "now": True}
        run = forget.test(run_conf=conf_of, logical_date=datetime(2026, 1, 6, tzinfo=UTC))
        seen[name] = {
            "state": run.state,
            "users": current_run(erased).users()["user_id"].to_pylist(),
        }

    with pytest.raises(ParamValidationError) as refused:
        nightly.test(run_conf={**conf, "top_n": 0}, logical_date=datetime(2026, 1, 4, tzinfo=UTC))
    seen["refused"] = str(refused.value)
    return seen


def tuning(bag: Any, home: Path) -> dict[str, Any]:
    """The tuning DAG on a store without a published run, then on one with."""
    weekly, store = bag.dags["cofi_tune"], Store(home / "tuning" / "store").create()
    os.environ |= {"COFI_RANKING_STEPS": "2", "COFI_RATING_STEPS": "2", "COFI_N_FACTORS": "4"}
    conf = {"store": str(store.root), "tune_minutes": 0.001}
    seen = {"too early": {"run_id": weekly.test(run_conf=conf, logical_date=None).run_id}}
    write_ratings(store.landing / "ratings.csv", random_ratings())
    for task in ("ingest", "normalize"):
        run_task(task, store, Settings(), "night-1")
    store.records.write_manifest("night-1", {"run_key": "night-1"})
    store.set_current("night-1")
    run = weekly.test(run_conf=conf, logical_date=datetime(2026, 1, 4, tzinfo=UTC))
    seen["good"] = {"run_id": run.run_id}
    return seen


def _run_on_asset(dag: Any) -> str:
    """Let the scheduler's code make the run that an asset's event asks for, and run its tasks."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session

    with create_session() as session:
        model = session.get_one(DagModel, dag.dag_id)
        SchedulerJobRunner(job=Job())._create_dag_runs_asset_triggered(
            dag_models=[model], session=session
        )
        session.flush()
        [run] = DagRun.find(dag_id=dag.dag_id, session=session)
        run_id, instances = str(run.run_id), run.get_task_instances(session=session)
    for instance in instances:
        _run_task(ti=instance, task=dag.task_dict[instance.task_id])
    return run_id


# ---- the graph


@dataclass(frozen=True)
class Remains:
    """What `in_one_process` left: its result, and the home of its Airflow."""

    seen: dict[str, Any]
    home: Path


@pytest.fixture(scope="module")
def remains(tmp_path_factory: pytest.TempPathFactory) -> Remains:
    home = tmp_path_factory.mktemp("airflow")
    command = ["-m", "tests.airflow_integration.test_dag", str(home)]
    return Remains(in_airflow(home, *command, COFI_STORE=str(home / "store")), home)


@pytest.fixture(scope="module")
def dags(remains: Remains) -> Any:
    return remains.seen["dags"]


def test_no_import_errors(dags: Any) -> None:
    assert dags["errors"] == {}
    assert set(dags["dags"]) == {
        *("cofi_nightly", "cofi_erase", "cofi_reader_example", "cofi_tune", "cofi_verify")
    }


def test_edges(dags: Any) -> None:
    assert {name: task["downstream"] for name, task in dags["tasks"].items()} == EDGES
    assert set(EDGES) == {*TASKS, "deliver"}, "one task for each of the job's"


def test_schedule(dags: Any) -> None:
    minute, hour, *every_day = dags["schedule"].split()
    assert minute.isdigit()
    assert int(hour) < 6, "by morning every user has a list"
    assert every_day == ["*", "*", "*"]
    assert dags["catchup"] is False
    assert dags["max_active_runs"] == 1
    assert dags["deadlines"] == [3 * 3600]


@pytest.mark.parametrize("name", EDGES)
def test_each_task_is_retried_and_timed(dags: Any, name: str) -> None:
    task = dags["tasks"][name]
    assert task["retries"] >= 1
    assert task["backoff"] > 1
    assert task["seconds"] > 0


def test_tuning_once_a_week(dags: Any) -> None:
    tune = dags["tune"]
    _, hour, *rest = tune["schedule"].split()
    assert int(hour) > 3, "when the night is over"
    assert rest == ["*", "*", "0"]
    assert tune["first runs"] == FIRST_RUNS, "what was missed before is not made up for"
    assert tune["catchup"] is False
    assert tune["max_active_runs"] == 1
    assert tune["retries"] >= 1
    assert tune["seconds"] > 2 * 60 * Settings().tune_minutes
    tune["params"].pop("store")
    assert tune["params"] == {
        n: v for n, v in Settings().model_dump().items() if section(n) == "tune"
    }


def test_no_pool_must_exist(dags: Any) -> None:
    assert {task["pool"] for task in dags["tasks"].values()} == {"default_pool"}


def test_asset(dags: Any) -> None:
    def named(kind: str) -> dict[str, Any]:
        return {name: task[kind] for name, task in dags["tasks"].items() if task[kind]}

    assert named("inlets") == {"ingest": ["store of cofi_nightly"]}
    assert named("outlets") == {"publish": ["cofi_nightly"]}, "the alias of what is published"
    assert dags["reader_schedule"] == ["cofi_recommendations"]


def test_params_are_the_settings_and_the_store(dags: Any) -> None:
    params = dict(dags["params"])
    store = params.pop("store")
    expected = {
        name: value for name, value in Settings().model_dump().items() if section(name) != "tune"
    }
    assert {name: param["value"] for name, param in params.items()} == expected
    assert {name: param["schema"]["section"] for name, param in params.items()} == {
        n: section(n) for n in params
    }
    assert {name: param["description"] for name, param in params.items()} == {
        name: field["description"] for name, field in form_fields().items() if name in expected
    }
    assert not [name for name, task in dags["tasks"].items() if task["params"]], "no copies"
    assert Path(store["value"]).is_absolute()
    assert store["description"]
    assert store["schema"]["section"]


def test_parsing_imports_little(tmp_path: Path) -> None:
    parsed = in_airflow(tmp_path, "-c", PARSE, str(tmp_path), str(DAGS))
    assert all(len(result["dags"]) == 1 for result in parsed)
    imported = {package for result in parsed for package in result["packages"]}
    assert not {
        package for package in imported - LIGHT if not package.startswith("unusual_prefix")
    }  # the file itself


# ---- real runs


@dataclass(frozen=True)
class Nights:
    """What the runs of `nights` left."""

    seen: Any
    log: str
    store: Store
    database: sqlite3.Connection

    def states(self, night: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task."""
        query = "SELECT task_id, state, try_number FROM task_instance WHERE run_id = ?"
        return {task: (state, tries) for task, state, tries in self._rows(query, night)}

    def xcoms(self, night: str) -> dict[str, Any]:
        query = "SELECT task_id, value FROM xcom WHERE run_id = ? AND key = 'return_value'"
        return {task: json.loads(value) for task, value in self._rows(query, night)}

    def _rows(self, query: str, night: str) -> list[Any]:
        return self.database.execute(query, (self.seen[night]["run_id"],)).fetchall()


def nights_in(remains: Remains, what: str, store: str) -> Iterator[Nights]:
    database, log = sqlite3.connect(remains.home / "airflow.db"), (remains.home / "log").read_text()
    yield Nights(remains.seen[what], log, Store(remains.home / store), database)
    database.close()


@pytest.fixture(scope="module")
def after(remains: Remains) -> Iterator[Nights]:
    yield from nights_in(remains, "nights", "store")


@pytest.fixture(scope="module")
def after_tuning(remains: Remains) -> Iterator[Nights]:
    yield from nights_in(remains, "tuning", "tuning/store")


def rows(store: Store, run_key: str, table: str) -> Any:
    return pyarrow.dataset.dataset(store.table(run_key, table), format="parquet").to_table()


def test_good_night_publishes(after: Nights) -> None:
    states = after.states("good")
    assert states.pop("deliver")[0] == "skipped", "off by default, and the run is green"
    assert after.seen["good"]["state"] == "success"
    assert states == dict.fromkeys(TASKS, ("success", 1))
    key = run_key_at(datetime.fromisoformat(after.seen["good"]["run_after"]))
    assert after.store.current() == key
    assert after.store.published() == [key]
    users = set(random_ratings()["userId"])
    lists = rows(after.store, key, "recommendations")
    assert set(lists["user_id"].to_pylist()) == users
    assert max(lists["rank"].to_pylist()) == 5, "as the run's parameter top_n says"
    assert set(rows(after.store, key, "similar_items")["item_id"].to_pylist()) == set(
        random_ratings()["movieId"]
    )


def test_a_night_uses_tuned_settings_but_what_somebody_set_counts_more(
    after: Nights,
) -> None:
    manifest = after.store.manifest(str(after.store.current()))
    assert manifest is not None
    assert (manifest["settings"]["recency"], manifest["settings"]["n_factors"]) == (0.25, 4)
    assert manifest["settings"]["ranking_nu"] == Settings().ranking_nu != 0.9
    assert manifest["tuned"] == {"settings": {"recency": 0.25}, "run_key": "earlier"}


def test_tuning_by_its_dag(after_tuning: Nights) -> None:
    assert after_tuning.states("too early") == {"tune": ("failed", 1)}, "no second try"
    assert re.search(
        r"found no published run in .*/store, expected one to tune on", after_tuning.log
    )
    assert after_tuning.states("good") == {"tune": ("success", 1)}
    outcome = after_tuning.store.required_outcome("night-1", "tune")
    assert outcome["trials"] == {"ranking": 1, "rating": 1}, "no time for more than one"
    assert after_tuning.xcoms("good")["tune"]["held_out_ratings"] == outcome["held_out_ratings"] > 0


def test_xcoms_carry_run_key_and_counts(after: Nights) -> None:
    xcoms, key = after.xcoms("good"), after.store.current()
    assert set(xcoms) == set(TASKS)
    assert {xcom["run_key"] for xcom in xcoms.values()} == {key}
    assert all(
        isinstance(value, int | float | str) for xcom in xcoms.values() for value in xcom.values()
    )
    assert xcoms["ingest"]["rows_taken"] == xcoms["normalize"]["n_ratings"] == len(random_ratings())


def test_lines_of_the_job_are_in_the_tasks_log(after: Nights) -> None:
    """With the level and the logger that they have on the command line."""
    for level, text, task in (
        ("info", f"{len(random_ratings())} current ratings", "normalize"),
        ("info", "test rmse", "evaluate"),
        ("warning", "too few users to judge", "evaluate"),
    ):
        line = rf"\[{level} +\] {text}.*\[cofi_jobs\.tasks\.{task}\]"
        assert re.search(line, after.log)


def test_asset_event_tells_run_path_and_counts(after: Nights) -> None:
    rows_of_events = after.database.execute(
        "SELECT name, uri, asset_event.extra, source_task_id, source_run_id FROM asset_event "
        "JOIN asset ON asset.id = asset_id ORDER BY uri"
    ).fetchall()
    earlier, uri = "cofi_recommendations", f"file://{after.store.root}"
    assert [row[:2] for row in rows_of_events] == [(earlier, earlier), (uri, uri)]
    [(extra, task, run_id)] = {row[2:] for row in rows_of_events}
    assert (task, run_id) == ("publish", after.seen["good"]["run_id"]), "of the good night only"
    extra, key = json.loads(extra), after.store.current()
    assert key is not None
    lists = rows(after.store, key, "recommendations")
    assert extra["run_key"] == key
    assert extra["path"] == str(after.store.table(key, "recommendations"))
    assert extra["users"] == random_ratings()["userId"].nunique()
    assert extra["rows"] == len(lists)


def test_reader_runs_on_the_event_and_reads_that_run(after: Nights) -> None:
    assert after.states("reader") == {"read": ("success", 0)}
    assert after.xcoms("reader")["read"] == {
        "run_key": after.store.current(),
        "users": random_ratings()["userId"].nunique(),
        "rows": len(rows(after.store, str(after.store.current()), "recommendations")),
    }


def test_bad_data_fails_at_once_and_leaves_yesterdays_lists(after: Nights) -> None:
    states = after.states("bad")
    assert states.pop("ingest") == ("failed", 1), "no second try"
    assert set(states.values()) == {("upstream_failed", 0)}
    assert "AirflowFailException" in after.log
    assert (
        "bad.csv: found the columns 'shop', 'price', expected one for each of user_id, item_id, "
        "rating" in after.log
    )
    [good] = after.store.published()
    assert after.seen["bad"]["current"] == good


def test_a_night_that_the_gate_refuses_is_not_tried_again_and_leaves_yesterdays_lists(
    after: Nights,
) -> None:
    states = after.states("worse")
    assert [states.pop(task) for task in ("publish", "deliver")] == [("upstream_failed", 0)] * 2
    assert states.pop("evaluate") == ("failed", 1), "no second try"
    assert set(states.values()) == {("success", 1)}, "the report too"
    report = after.xcoms("worse")["report"]
    assert "The gate refused this run" in Path(report["path"]).read_text()
    assert re.search(
        r"catalogue coverage@1 is 0\.\d+, expected at least 1 \(setting min_coverage\)", after.log
    )
    [good] = after.store.published()
    assert after.seen["worse"]["current"] == good


def test_time_out_ends_the_child(after: Nights) -> None:
    assert after.states("hung")["ingest"] == ("failed", 1)
    assert "AirflowTaskTimeout" in after.log
    assert after.seen["hung"]["processes"] == []


def test_wrong_parameter_is_refused(after: Nights) -> None:
    assert "top_n" in after.seen["refused"]
    assert "less than the minimum of 1" in after.seen["refused"]


def test_the_form_of_cofi_erase_erases(after: Nights) -> None:
    remaining = set(random_ratings()["userId"]) - {10, 13}
    assert after.seen["erased"] == {"state": "success", "users": sorted(remaining)}
    assert after.seen["nobody"] == {"state": "failed", "users": sorted(remaining)}
    assert "found no trace" in after.log


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.json").write_text(json.dumps(in_one_process(where)))
