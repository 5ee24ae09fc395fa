"""DAGs that the factory makes: several in one Airflow, each on a store of its own.

As in test_dag.py, Airflow runs in a process of its own: this file as a script.
"""

import json
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from tests.support.airflow import in_airflow
from tests.support.data import QUICK_VALUES, random_ratings, write_ratings

IMPORT = "from cofi_jobs.airflow_integration import recommender_dag, tune_dag  # airflow\n"
BOOKS = """from datetime import timedelta
from airflow.sdk import Asset

recommender_dag(
    "books",
    "HOME/books",
    "30 3 * * *",
    timezone="Europe/Berlin",
    settings={**QUICK, "top_n": 7},
    train={"queue": "gpu", "pool": "big", "execution_timeout": timedelta(hours=6)},
    ingest={"retries": 5},
    assets=[Asset("books_are_out")],
    dag_options={"tags": {"shop"}, "is_paused_upon_creation": False},
)
"""
FILMS = """
from airflow.sdk import Asset

recommender_dag(
    "films",
    "HOME/films",
    None,
    settings={**QUICK, "top_n": 6},
    deadline_minutes=0,
    assets=[Asset("films_are_out")],
)
tune_dag("films_tune", "HOME/films", None, settings={"tune_minutes": 3})
"""
# File by file what is wrong with it, and what the import error ends with.
WRONG = {
    "same": (
        'recommender_dag("shop", "HOME/./books/", None)',
        "found the DAGs books and shop on one store, HOME/./books/; expected a store for each",
    ),
    "twice": (
        'recommender_dag("one", "s3://x/y")\nrecommender_dag("two", "s3://x/y/")',
        "found the DAGs one and two on one store, s3://x/y/; expected a store for each",
    ),
    "setting": (
        'recommender_dag("a", "HOME/a", settings={"top_N": 5})',
        "unknown setting 'top_N'; did you mean top_n?",
    ),
    "value": (
        'recommender_dag("b", "HOME/b", settings={"top_n": 0})',
        "setting top_n: found 0, allowed is: integer, at least 1",
    ),
    "section": (
        'recommender_dag("c", "HOME/c", settings={"tune_minutes": 5})',
        "DAG c: found the setting tune_minutes, which no task of this DAG uses; expected settings "
        "of ingest, machine",
    ),
    "task": (
        'recommender_dag("d", "HOME/d", trian={"queue": "gpu"})',
        "DAG d: found options of the tasks trian, expected some of ingest, normalize",
    ),
    "option": (
        'recommender_dag("e", "HOME/e", train={"queu": "gpu", "task_id": "x"})',
        "DAG e: found the options queu, task_id of the task train, expected some of",
    ),
    "relative": (
        'recommender_dag("g", "books")',
        "found the store 'books', expected an absolute path, s3://<bucket>/<folder>",
    ),
    "scheme": (
        'recommender_dag("h", "S3://x/y")',
        "found a store whose location starts with 'S3:', expected a folder, s3:// or gs://",
    ),
    "link": (
        'recommender_dag("i", "HOME/link/books")',
        "found the DAGs books and i on one store, HOME/link/books; expected a store for each",
    ),
    "zone": (
        'recommender_dag("f", "HOME/f", timezone="Europe/Berln")',
        "found the time zone 'Europe/Berln', expected a name such as Europe/Berlin",
    ),
}


# Two ways to name a store, and whether they name the same.
STORES = [
    ("/srv/a", "/srv//b/../a/", True),
    ("/srv/a", "file:///srv/a", True),
    ("/srv/a b", "file:///srv/a%20b", True),
    ("/srv/a", "/srv/A", False),
    ("s3://x/a/", "s3://x/a", True),
    ("s3://x/a", "gs://x/a", False),
    ("connection:x", "connection:x", True),
    ("connection:x", "/x", False),
    ("connection:s3", "s3://", False),
]


def write_dags(home: Path, folder_name: str = "dags", **files: str) -> Path:
    folder = home / folder_name
    folder.mkdir()
    for name, text in files.items():
        content = (IMPORT + text).replace("HOME", str(home)).replace("QUICK", repr(QUICK_VALUES))
        (folder / f"{name}.py").write_text(content)
    return folder


# ---- what runs inside Airflow


def examine(home: Path) -> dict[str, Any]:
    """The DAGs of all files, parsed in one process."""
    from airflow.dag_processing.dagbag import DagBag

    from cofi_jobs.airflow_integration.assets import same_store

    bag = DagBag(home / "dags")
    wrong = DagBag(home / "wrong")
    books: Any = bag.dags["books"]
    tune: Any = bag.dags["films_tune"]
    return {
        "dags": sorted(bag.dags),
        "files": {dag_id: Path(dag.fileloc).name for dag_id, dag in bag.dags.items()},
        "errors": bag.import_errors,
        "wrong": {Path(file).stem: error for file, error in wrong.import_errors.items()},
        "same": [same_store(one, other) for one, other, _ in STORES],
        "timezone": books.timezone.name,
        "tags": sorted(books.tags),
        "params": {name: books.params[name] for name in ("store", "top_n", "n_factors")},
        "train": {
            name: str(getattr(books.task_dict["train"], name))
            for name in ("queue", "pool", "execution_timeout", "retries")
        },
        "ingest": books.task_dict["ingest"].retries,
        "deadlines": {name: bool(bag.dags[name].deadline) for name in ("books", "films")},
        "tune": {
            "minutes": tune.params["tune_minutes"],
            "seconds": tune.tasks[0].execution_timeout.total_seconds(),
        },
    }


def nights(home: Path) -> dict[str, Any]:
    """A run of one DAG, one of another on a third store, and their pages."""
    from airflow.api_fastapi.app import create_app
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from starlette.testclient import TestClient

    bag = DagBag(home / "dags")
    seen: dict[str, Any] = {}
    for name, dag_id, conf in (
        ("books", "books", {"top_n": 3}),
        ("third", "films", {"store": str(home / "third")}),
    ):
        write_ratings(Store(home / name).create().landing / "r.csv", random_ratings())
        dag: Any = bag.dags[dag_id]
        run = dag.test(run_conf=conf, logical_date=None)
        seen[name] = {"run_id": run.run_id, "key": run_key_at(run.run_after), "state": run.state}
    with create_session() as session:
        events = session.scalars(select(AssetEvent).order_by(AssetEvent.id)).all()
        seen["events"] = [[event.asset.uri, event.extra["run_key"]] for event in events]
    client = TestClient(create_app(apps="core"), base_url="http://host")
    token = client.get("/auth/token").json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    for name, dag_id in (("books", "books"), ("third", "films")):
        query = {"dag_id": dag_id, "run_id": seen[name]["run_id"]}
        seen[name]["page"] = client.get("/cofi/run", params=query).text
    seen["runs"] = client.get("/cofi/runs").text
    return seen


def conflict(home: Path) -> dict[str, Any]:
    """What Airflow makes of two files that name one store, each parsed in a process of its own."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.asset import AssetActive
    from airflow.models.dagwarning import DagWarning
    from airflow.utils import db
    from airflow.utils.session import create_session
    from sqlalchemy import select

    db.initdb()
    runner = SchedulerJobRunner(job=Job())
    for file in ("books", "shop"):
        path = home / "conflict" / f"{file}.py"
        parsing = get_context("fork").Process(target=_parse, args=(path,))
        parsing.start()
        parsing.join()
        with create_session() as session:
            runner._update_asset_orphanage(session=session)
    with create_session() as session:
        return {
            "warnings": {w.dag_id: w.message for w in session.scalars(select(DagWarning))},
            "active": sorted(asset.name for asset in session.scalars(select(AssetActive))),
        }


def _parse(file: Path) -> None:
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    settings.reconfigure_orm()  # a connection of this process's own
    DagBundlesManager().sync_bundles_to_db()
    bag = BundleDagBag(file, bundle_path=file.parent, bundle_name="dags-folder")
    assert not bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)


# ---- what they look like


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `conflict`, `nights` and `examine` have seen, one after the other in one process."""
    home = tmp_path_factory.mktemp("made")
    dags = write_dags(home, books=BOOKS, films=FILMS)
    (home / "link").symlink_to(home)
    write_dags(home, "wrong", **{name: text for name, (text, _) in WRONG.items()})
    write_dags(home, "conflict", books=BOOKS, shop=WRONG["same"][0])
    seen = in_airflow(
        home,
        *("-m", "tests.airflow_integration.test_factory", str(home)),
        AIRFLOW__CORE__DAGS_FOLDER=str(dags),
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
    )
    return {**seen, "home": home}


def test_each_file_has_its_dags(made: Any) -> None:
    assert made["errors"] == {}
    assert made["files"] == {"books": "books.py", "films": "films.py", "films_tune": "films.py"}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_work_is_an_import_error_that_says_why(made: Any, name: str) -> None:
    expected = WRONG[name][1].replace("HOME", str(made["home"]))
    last = made["wrong"][name].strip().splitlines()[-1]
    assert last.startswith(f"cofi_jobs.core.errors.SettingsError: {expected}")


def test_settings_are_defaults_of_the_form(made: Any) -> None:
    assert made["params"] == {"store": str(made["home"] / "books"), "top_n": 7, "n_factors": 4}


def test_options_reach_the_tasks_and_the_dag(made: Any) -> None:
    assert made["train"] == {
        **{"queue": "gpu", "pool": "big", "execution_timeout": "6:00:00", "retries": "2"}
    }
    assert made["ingest"] == 5
    assert made["tags"] == ["cofi", "shop"]
    assert made["timezone"] == "Europe/Berlin"
    assert made["deadlines"] == {"books": True, "films": False}
    assert made["tune"] == {"minutes": 3, "seconds": 2 * 3600 + 2 * 60 * 3}


@pytest.mark.parametrize(("one", "other", "same"), STORES)
def test_one_store_has_many_names(made: Any, one: str, other: str, same: bool) -> None:
    assert made["same"][STORES.index((one, other, same))] is same


def test_of_two_files_on_one_store_airflow_refuses_the_second(made: Any) -> None:
    seen = made["conflict"]
    assert seen["active"] == ["store of books"], "the tasks of shop that name theirs do not start"
    assert set(seen["warnings"]) == {"shop"}
    assert "uri is already associated to 'store of books'" in seen["warnings"]["shop"]


# ---- real runs


def test_each_dag_publishes_in_its_store(made: Any) -> None:
    for name, top_n in (("books", 3), ("third", 6)):
        assert made[name]["state"] == "success"
        store, key = Store(made["home"] / name), made[name]["key"]
        assert store.current() == key
        assert (store.manifest(key) or {})["settings"]["top_n"] == top_n


def test_each_run_has_its_page(made: Any) -> None:
    for name in ("books", "third"):
        assert f"CoFi report, run {made[name]['key']}" in made[name]["page"]
        assert f"Store {made['home'] / name}" in made["runs"]


def test_only_readers_of_a_store_hear_of_it(made: Any) -> None:
    def event(name: str) -> list[str]:
        return [f"file://{made['home'] / name}", made[name]["key"]]

    named = ["books_are_out", made["books"]["key"]]
    assert sorted(made["events"]) == sorted([event("books"), named, event("third")]), (
        "the asset of the DAG's file is for its own store"
    )


if __name__ == "__main__":
    where = Path(sys.argv[1])
    result = {"conflict": conflict(where), **nights(where), **examine(where)}
    (where / "result.json").write_text(json.dumps(result))
