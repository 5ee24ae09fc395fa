"""Store and databases through Airflow connections, lineage through OpenLineage, in a real Airflow.

As in test_dag.py, Airflow runs in a process of its own: this file run as a script.
"""

import json
import os
import sqlite3
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import DECLARED, TASKS
from tests.support.airflow import DAGS, in_airflow
from tests.support.buckets import Place, s3
from tests.support.data import QUICK_VALUES, random_ratings, write_ratings
from tests.support.postgres import execute, new_database
from tests.support.repository import ROOT

SECRETS = ("canary-password", "canary-token", "canary-database", "canary-drop", "canary-ray")
DATABASE_PASSWORD = f"{SECRETS[2]} /?#@:%"  # the server takes any
QUERY = "SELECT u AS user_id, i AS item_id, r AS rating, t AS timestamp, n FROM shop"
GIVEN = (
    "COFI_STORE",
    "COFI_STORE_OPTIONS",
    "COFI_DATABASE",
    "COFI_SOURCE_DATABASE",
    "COFI_SOURCE_FILES_OPTIONS",
    "COFI_RAY_CLUSTER",
)
# A child tells all that it is given, in its log and in a file.
TELL = """
import json, os, sys
given = {{}}
def tell(event, arguments):
    if event != "os.putenv":
        return
    name, value = map(os.fsdecode, arguments)
    if name in {0}:
        given[name] = value
        if name != "COFI_STORE":
            print("given" if name == "COFI_STORE_OPTIONS" else "address", value)
        with open(f"{1}/{{os.getpid()}}.json", "w") as file:
            json.dump({{"command": sys.orig_argv, "given": given}}, file)
sys.addaudithook(tell)
"""
FOLDER = "night's store"  # what needs quoting in a URI
BUCKETS = {
    "amazon": {
        "conn_type": "aws",
        "login": "id",
        "password": SECRETS[0],
        "extra": {
            "region_name": "eu-1",
            "endpoint_url": "http://here",
            "aws_session_token": SECRETS[1],
        },
    },
    "google": {
        "conn_type": "google_cloud_platform",
        "extra": {"keyfile_dict": '{"private_key": "pem"}', "scope": "x"},
    },
    "role": {"conn_type": "aws", "extra": {"role_arn": SECRETS[0]}},
    "other": {"conn_type": "ftp", "password": SECRETS[0]},
    "cofi_drop": {
        "conn_type": "generic",
        "extra": {"auto_mkdir": False, "drop_secret": SECRETS[3]},
    },
}
CONNECTIONS = {
    **{name: json.dumps(connection) for name, connection in BUCKETS.items()},
    "uri": "file:///srv/cofi%20store",
    "login": "fs://night:pass%2Fword@/?path=%2Fsrv&auto_mkdir=true",
    "json": '{"conn_type": "generic", "extra": {"path": "/srv"}}',
    "bucket": json.dumps(
        {
            "conn_type": "aws",
            "password": SECRETS[0],
            "extra": {"endpoint_url": SECRETS[1], "path": "s3://lists/store"},
        }
    ),
    "garbled": f"fs://night:{SECRETS[0]}://://",
    "host": f"file://{SECRETS[0]}/srv",
    "nothing": f"fs://night:{SECRETS[0]}@",
    "relative": f"fs:///?path={SECRETS[0]}",
}


# ---- what runs inside Airflow


def nights(home: Path) -> dict[str, Any]:
    """Runs with a connection from the environment, a bad one from the database, and none."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.connection import Connection
    from airflow.sdk.lineage import get_hook_lineage_collector
    from airflow.utils import db
    from airflow.utils.session import create_session

    from cofi_jobs.airflow_integration.connections import resolve, variables
    from cofi_jobs.airflow_integration.report_pages import all_runs
    from cofi_jobs.core.errors import SettingsError

    db.initdb()
    nightly: Any = DagBag(DAGS).dags["cofi_nightly"]
    for task in (
        nightly.tasks
    ):  # each has a process of its own elsewhere than in dag.test, and so its own lineage
        task._pre_execute_hook = lambda _: get_hook_lineage_collector.cache_clear()
    seen: dict[str, Any] = {"resolved": {}}

    write_ratings(Store(home / FOLDER).create().landing / "ratings.csv", random_ratings())
    databases = {
        **{"source_connection": "cofi_shop", "source_query": QUERY, "source_watermark": "n"},
        "deliver_to": "cofi_lists",
        **{"source_files": f"file://{home / 'drop'}", "source_files_connection": "cofi_drop"},
        "ray_address": "connection:cofi_ray",
    }
    (home / "drop").mkdir()
    write_ratings(home / "drop" / "more.csv", random_ratings().head(3).assign(userId=8888))
    run = nightly.test(
        run_conf={"store": "connection:cofi_store", **databases, **QUICK_VALUES},
        logical_date=None,
    )
    seen["good"], seen["children"] = run.run_id, children(home)

    bad = Store(home / "bad").create()
    (bad.landing / "bad.csv").write_text(f"{SECRETS[0]},price\n1,2\n")
    with create_session() as session:
        connection = Connection(
            conn_id="in_db", conn_type="fs", password=SECRETS[0], extra={"path": str(bad.root)}
        )
        session.add(connection)
    run = nightly.test(
        run_conf={"store": "connection:in_db"}, logical_date=datetime(2026, 1, 2, tzinfo=UTC)
    )
    seen["bad"] = run.run_id
    with create_session() as session:
        session.delete(connection)

    with s3() as options:
        os.environ["AIRFLOW_CONN_IN_BUCKET"] = bucket_with_a_bad_file(options)
        run = nightly.test(
            run_conf={"store": "connection:in_bucket"},
            logical_date=datetime(2026, 1, 4, tzinfo=UTC),
        )
    seen["in bucket"] = run.run_id
    with create_session() as session:
        seen["page"] = bytes(all_runs(session, ["cofi_nightly"]).body).decode()

    run = nightly.test(
        run_conf={"store": "connection:nowhere"}, logical_date=datetime(2026, 1, 3, tzinfo=UTC)
    )
    seen["nowhere"] = run.run_id
    for name in BUCKETS:
        try:
            [seen["resolved"][f"files {name}"]] = variables(
                DECLARED["ingest"], {"source_files_connection": name}
            ).values()
        except SettingsError as error:
            seen["resolved"][f"files {name}"] = str(error)
    for name in ("folder", *CONNECTIONS):
        try:
            seen["resolved"][name] = resolve(
                "/srv/folder" if name == "folder" else f"connection:{name}"
            )
        except SettingsError as error:
            seen["resolved"][name] = str(error)
    return seen


def bucket_with_a_bad_file(options: dict[str, Any]) -> str:
    """The connection of a store in a bucket whose landing folder has a file without ratings."""
    place = Place("s3://lists/bad", options)
    place.filesystem.mkdir("lists")
    place.put("landing/bad.csv", "shop,price\n1,2\n")
    extra = {"endpoint_url": options["endpoint_url"], "path": place.address}
    login = {"login": options["key"], "password": options["secret"]}
    return json.dumps({"conn_type": "aws", **login, "extra": extra})


def children(home: Path) -> dict[str, Any]:
    """Command line and variables of each child that ended so far, by task."""
    told = sorted((home / "told").iterdir())
    seen = {child["command"][3]: child for child in map(json.loads, map(Path.read_text, told))}
    for path in told:
        path.unlink()  # it has the secrets
    return seen


# ---- what they left


@dataclass(frozen=True)
class After:
    """What the runs of `nights` left."""

    home: Path
    seen: Any
    store: Store

    def states(self, night: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task."""
        query = "SELECT task_id, state, try_number FROM task_instance WHERE run_id = ?"
        database = sqlite3.connect(self.home / "airflow.db")
        try:
            return {
                task: (state, tries)
                for task, state, tries in database.execute(query, (self.seen[night],))
            }
        finally:
            database.close()

    def log(self) -> str:
        return (self.home / "log").read_text()

    def events(self) -> list[Any]:
        return [json.loads(line) for line in (self.home / "lineage.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def lists(postgres: str) -> str:
    """Address of a database with a user's ratings, for the lists as well."""
    address = new_database(postgres, "lists")
    execute(
        address,
        "CREATE TABLE shop AS SELECT 7777 AS u, item AS i, 4 AS r, now() AS t, item AS n "
        "FROM unnest(ARRAY[100, 107, 114]) item",
    )
    return address


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory, lists: str) -> After:
    home = tmp_path_factory.mktemp("connection")
    for folder in ("site", "told"):
        (home / folder).mkdir()
    (home / "site" / "sitecustomize.py").write_text(TELL.format(GIVEN, str(home / "told")))
    extra = {"path": str(home / FOLDER), "token": SECRETS[1]}
    connection = {"conn_type": "fs", "login": "night", "password": SECRETS[0], "extra": extra}
    token = {"password": SECRETS[4]}
    login = {"login": "postgres", "password": DATABASE_PASSWORD}
    server = {"host": lists.partition("?host=")[2], "cursor": "dictcursor"}
    database = {"conn_type": "postgres", "schema": "lists", **login, "extra": server}
    seen = in_airflow(
        home,
        *("-m", "tests.airflow_integration.test_connections", str(home)),
        **{f"AIRFLOW_CONN_{name.upper()}": uri for name, uri in CONNECTIONS.items()},
        AIRFLOW_CONN_COFI_LISTS=json.dumps(database),
        AIRFLOW_CONN_COFI_SHOP=json.dumps({**database, "conn_type": "postgresql"}),
        AIRFLOW_CONN_COFI_STORE=json.dumps(connection),
        AIRFLOW_CONN_COFI_RAY=json.dumps({"conn_type": "generic", "host": "head", **token}),
        AIRFLOW__OPENLINEAGE__NAMESPACE="cofi-test",
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(
            {"type": "file", "log_file_path": str(home / "lineage.jsonl"), "append": True}
        ),
        COFI_SOURCE_ROOTS=str(home / "drop"),
        PYTHONPATH=f"{ROOT}:{home / 'site'}",
    )
    return After(home, seen, Store(home / FOLDER))


def test_night_of_a_connection_is_in_its_folder(after: After) -> None:
    assert after.states("good") == dict.fromkeys([*TASKS, "deliver"], ("success", 1))
    [key] = after.store.published()
    assert after.store.current() == key
    assert list(after.store.table(key, "recommendations").glob("*.parquet"))


def test_child_has_location_and_credentials_but_not_on_its_command_line(after: After) -> None:
    assert set(after.seen["children"]) == {task.replace("_", "-") for task in (*TASKS, "deliver")}
    for child in after.seen["children"].values():
        assert child["given"]["COFI_STORE"] == str(after.store.root)
        assert json.loads(child["given"]["COFI_STORE_OPTIONS"]) == {
            "username": "night",
            "password": SECRETS[0],
            "token": SECRETS[1],
        }
        assert not [
            part
            for part in child["command"]
            if FOLDER in part or any(secret in part for secret in SECRETS)
        ]


def test_each_child_has_the_address_of_the_database_that_it_needs_and_no_other(
    after: After,
) -> None:
    given = {
        task: set(child["given"]) - {"COFI_STORE", "COFI_STORE_OPTIONS"}
        for task, child in after.seen["children"].items()
    }
    sources = {"COFI_SOURCE_DATABASE", "COFI_SOURCE_FILES_OPTIONS"}
    assert given.pop("ingest") == {*sources, "COFI_RAY_CLUSTER"}
    assert given.pop("deliver") == {"COFI_DATABASE"}
    for task in ("normalize", "train", "similar-items", "recommend", "evaluate"):
        assert given.pop(task) == {"COFI_RAY_CLUSTER"}
    assert not any(given.values())
    cluster = json.loads(after.seen["children"]["train"]["given"]["COFI_RAY_CLUSTER"])
    assert cluster == {"address": "head:6379", "token": SECRETS[4]}
    address = after.seen["children"]["deliver"]["given"]["COFI_DATABASE"]
    assert unquote(urlsplit(address).password or "") == DATABASE_PASSWORD


def test_ratings_come_from_one_database_and_lists_go_to_one(after: After, lists: str) -> None:
    assert execute(lists, "SELECT run_key FROM cofi.run") == [(after.store.current(),)]
    assert execute(lists, "SELECT count(*) FROM cofi.recommendations WHERE user_id = 7777") == [
        (5,)
    ]
    assert execute(lists, "SELECT count(DISTINCT user_id) FROM cofi.recommendations") == [
        (random_ratings()["userId"].nunique() + 2,)
    ]


def test_credentials_are_in_no_log_and_no_file(after: After) -> None:
    assert (
        after.log().count('given {"username": "night", "password": "***", "token": "***"}')
        == len(TASKS) + 1
    )
    assert after.log().count("] address ***") >= 2, "the source's and the target's"
    assert 'address {"auto_mkdir": false, "drop_secret": "***"}' in after.log()
    assert "found the columns '***', 'price'" in after.log(), (
        "the bad night's error, which would show one"
    )
    files = [
        path
        for path in after.home.rglob("*")
        if path.is_file()
        and path.name not in ("bad.csv", "result.json")
        and path.parent.name != "told"
    ]
    assert {"log", "lineage.jsonl", "CURRENT.json", "ingest.failed.json"} <= {
        path.name for path in files
    }
    for path in files:
        content = path.read_bytes()
        assert path.name == "airflow.db" or not [
            secret for secret in SECRETS if secret.encode() in content
        ], path


def test_credentials_are_in_no_table_of_airflow(after: After) -> None:
    database = sqlite3.connect(after.home / "airflow.db")
    dump = "\n".join(database.iterdump())
    database.close()
    assert "connection:cofi_store" in dump, "what the run was given"
    assert not [secret for secret in SECRETS if secret in dump]


def test_a_failed_night_of_a_bucket_is_on_the_page_of_all_runs(after: After) -> None:
    """The page does not read the bucket: the task that failed has handed on why."""
    assert after.states("in bucket")["ingest"] == ("failed", 1)
    of_store = after.seen["page"].partition("Store s3://lists/bad")[2].partition("</section>")[0]
    assert "failed in ingest" in of_store
    assert "s3://lists/bad/landing/bad.csv: found the columns &#39;shop&#39;" in of_store
    assert f"/runs/{quote(after.seen['in bucket'], safe='')}" in of_store
    assert "canary-secret" not in after.seen["page"]


def test_unknown_connection_fails_at_once(after: After) -> None:
    states = after.states("nowhere")
    assert states.pop("ingest") == ("failed", 1), "no second try"
    assert set(states.values()) == {("upstream_failed", 0)}
    assert (
        "found no readable Airflow connection 'nowhere', expected one that says where the store is"
        in after.log()
    )
    assert "AIRFLOW_CONN_NOWHERE" in after.log()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("folder", ["/srv/folder", {}]),
        ("uri", ["/srv/cofi store", {}]),
        ("login", ["/srv", {"auto_mkdir": "true", "username": "night", "password": "pass/word"}]),
        ("json", ["/srv", {}]),
        ("bucket", ["s3://lists/store", {"secret": SECRETS[0], "endpoint_url": SECRETS[1]}]),
    ],
)
def test_location_and_options(after: After, name: str, expected: Any) -> None:
    assert after.seen["resolved"][name] == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "other",
            "connection 'other' has the type 'ftp', expected one of fs, file, generic, aws, "
            "google_cloud_platform",
        ),
        ("garbled", "found no readable Airflow connection 'garbled'"),
        *(
            (name, f"connection '{name}' names no folder, expected an abs")
            for name in ("host", "nothing", "relative", "amazon")
        ),
    ],
)
def test_connection_without_a_store(after: After, name: str, message: str) -> None:
    assert after.seen["resolved"][name].startswith(message)
    assert "canary" not in after.seen["resolved"][name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "amazon",
            {
                **{
                    "key": "id",
                    "secret": SECRETS[0],
                    "token": SECRETS[1],
                    "endpoint_url": "http://here",
                },
                "client_kwargs": {"region_name": "eu-1"},
            },
        ),
        ("google", {"token": {"private_key": "pem"}}),
        ("cofi_drop", {"auto_mkdir": False, "drop_secret": SECRETS[3]}),
    ],
)
def test_options_of_a_bucket(after: After, name: str, expected: Any) -> None:
    assert json.loads(after.seen["resolved"][f"files {name}"]) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "role",
            "connection 'role' has the extra field 'role_arn', expected some of "
            "aws_access_key_id, ",
        ),
        (
            "other",
            "connection 'other' has the type 'ftp', expected one of aws, google_cloud_platform, "
            "generic",
        ),
    ],
)
def test_connection_without_a_bucket(after: After, name: str, message: str) -> None:
    assert after.seen["resolved"][f"files {name}"].startswith(message)
    assert "canary" not in after.seen["resolved"][f"files {name}"]


# ---- lineage


def test_each_task_of_the_good_night_tells_its_tables(after: After) -> None:
    ended = [event for event in after.events() if event["eventType"] == "COMPLETE"]
    lineage = {
        event["job"]["name"]: (names(event["inputs"]), names(event["outputs"])) for event in ended
    }
    assert set(lineage) == {
        "cofi_nightly",
        *(f"cofi_nightly.{task}" for task in (*TASKS, "deliver")),
    }
    assert len(ended) == len(lineage)
    folder = "file", quote(f"{after.store.root}/")
    tables = {"model", "similar_items", "recommendations", "popular_items", "evaluation"}
    database = "postgres://localhost:5432", "lists."
    assert lineage["cofi_nightly.ingest"] == (
        below(folder, {"landing"})
        | below(database, {"public.shop"})
        | {("file", str(after.home / "drop"))},
        below(folder, {"ratings", "rejected"}),
    )
    assert lineage["cofi_nightly.normalize"] == (
        below(folder, {"ratings", "catalogue"}),
        below(folder, {"runs/*/normalized"}),
    )
    assert lineage["cofi_nightly.publish"] == (
        below(folder, {f"runs/*/{table}" for table in tables}),
        below(folder, {f"current/{table}" for table in tables}),
    )
    lists = {"similar_items", "recommendations", "popular_items"}
    assert lineage["cofi_nightly.deliver"] == (
        below(folder, {f"current/{table}" for table in lists}),
        below(database, {f"cofi.{table}" for table in lists}),
    )


def names(datasets: list[Any]) -> set[tuple[str, str]]:
    return {(dataset["namespace"], dataset["name"]) for dataset in datasets}


def below(folder: tuple[str, str], tables: set[str]) -> set[tuple[str, str]]:
    return {(folder[0], folder[1] + table) for table in tables}


def test_a_failed_night_tells_that_it_failed_and_names_no_tables(after: After) -> None:
    failed = [event for event in after.events() if event["eventType"] == "FAIL"]
    jobs = ["cofi_nightly.ingest", "cofi_nightly"]
    assert [event["job"]["name"] for event in failed] == jobs * len(("bad", "in bucket", "nowhere"))
    assert not [event for event in failed if event["inputs"] or event["outputs"]]


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.json").write_text(json.dumps(nights(where)))
