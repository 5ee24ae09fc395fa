"""The lists in a real PostgreSQL: what services see, whatever happens to a delivery."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import pyarrow.dataset as ds
import pytest

from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.command_line import cofi
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.postgres import execute, new_database
from tests.support.repository import ROOT

KEYS = {
    "recommendations": ["user_id", "rank"],
    "similar_items": ["item_id", "rank"],
    "popular_items": ["rank"],
}
TABLES = list(KEYS)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the published runs n1 and n2, whose tables all differ; not to be changed."""
    store = Store(tmp_path_factory.mktemp("two") / "store").create()
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, load_settings(QUICK), "n1")
    write_ratings(store.landing / "more.csv", random_ratings(seed=9, n_users=35))
    run_night(store, load_settings([*QUICK, "similar_n=3"]), "n2")
    return store


@pytest.fixture
def runs(two_runs: Store, tmp_path: Path) -> Store:
    """A copy of that store."""
    return Store(shutil.copytree(two_runs.root, tmp_path / "runs", symlinks=True))


@pytest.fixture
def settings(database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of deliveries to a fresh database."""
    monkeypatch.setenv("COFI_DATABASE", database)
    return load_settings()


def deliver(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Deliver a run as if the task were of that run."""
    store.set_current(run_key)
    return run_task("deliver", store, settings, run_key)


def delivered(address: str, schema: str = "cofi") -> dict[str, pd.DataFrame]:
    """The tables as a service reads them."""
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        delivered_tables = {}
        for table, keys in KEYS.items():
            cursor.execute(f'SELECT * FROM "{schema}".{table} ORDER BY {", ".join(keys)}')
            assert cursor.description
            delivered_tables[table] = pd.DataFrame(
                cursor.fetchall(), columns=[column.name for column in cursor.description]
            )
        return delivered_tables


def assert_delivered(address: str, store: Store, run_key: str, schema: str = "cofi") -> None:
    assert execute(address, f'SELECT run_key, schema_version FROM "{schema}".run') == [(run_key, 1)]
    for table, actual in delivered(address, schema).items():
        expected = (
            ds.dataset(store.table(run_key, table)).to_table().to_pandas().sort_values(KEYS[table])
        )
        assert list(actual) == list(expected)
        pd.testing.assert_frame_equal(actual, expected.reset_index(drop=True), check_dtype=False)


def relations(address: str) -> set[str]:
    """All tables and views of the schema."""
    rows = execute(
        address,
        "SELECT relname FROM pg_class WHERE relnamespace = 'cofi'::regnamespace AND relkind IN "
        "('r', 'p', 'v')",
    )
    return {row[0] for row in rows}


ALL = {"run", *TABLES}


def test_tables_are_the_files(runs: Store, settings: Settings, database: str):
    outcome = deliver(runs, settings, "n2")
    assert_delivered(database, runs, "n2")
    assert outcome["delivered"] == "n2"
    assert outcome["rows"] == sum(len(table) for table in delivered(database).values())
    types = execute(
        database,
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'cofi' AND table_name = 'recommendations' ORDER BY ordinal_position",
    )
    assert types == [
        ("user_id", "bigint"),
        ("rank", "integer"),
        ("item_id", "bigint"),
        ("score", "real"),
        ("predicted_rating", "real"),
        ("because_item_id", "bigint"),
    ]
    [(comment,)] = execute(database, "SELECT col_description('cofi.recommendations'::regclass, 2)")
    assert "1 is best" in comment


def test_a_look_up_uses_the_primary_key(runs: Store, settings: Settings, database: str):
    deliver(runs, settings, "n1")
    deliver(runs, settings, "n2")
    plan = execute(
        database,
        "SET enable_seqscan = off",  # so few rows would be scanned
        "EXPLAIN (ANALYZE, TIMING off) SELECT * FROM cofi.recommendations WHERE user_id = 10 "
        "ORDER BY rank",
    )
    text = "\n".join(line for (line,) in plan)
    assert "recommendations_pkey" in text
    assert "Index Cond: (user_id = 10)" in text


@pytest.mark.parametrize("files", ["whole", "per-user"])
def test_text_ids_arrive_as_they_are(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch, files: str
):
    ratings = random_ratings(n_users=12, n_items=9, share=0.6)
    odd = [
        "007",
        "NULL",
        "\\N",
        'say "x"',
        "it's",
        "a,b",
        "é 中 🎬",
        "a\\tb",
        "%41",
        "$1",
        "--",
        "100%",
    ]
    users, items = ratings["userId"].unique(), ratings["movieId"].unique()
    ratings["userId"] = ratings["userId"].map(dict(zip(users, odd, strict=True)))
    ratings["movieId"] = ratings["movieId"].map(
        dict(zip(items, reversed(odd[-len(items) :]), strict=True))
    )
    ratings.to_parquet(store.landing / "ratings.parquet")
    run_night(store, load_settings([*QUICK, f"recommendation_files={files}", "missing=-"]), "n1")
    monkeypatch.setenv("COFI_DATABASE", database)
    schema = "Our Lists"
    run_task("deliver", store, load_settings([f"deliver_schema={schema}"]), "n1")
    tables = delivered(database, schema)
    assert set(tables["recommendations"]["user_id"]) == set(odd)
    assert set(tables["recommendations"]["item_id"]) <= set(ratings["movieId"])
    if files == "whole":
        assert_delivered(database, store, "n1", schema)


def test_grants_and_other_peoples_views_stay(runs: Store, settings: Settings, database: str):
    deliver(runs, settings, "n1")
    execute(
        database,
        "DROP ROLE IF EXISTS service",
        "CREATE ROLE service",
        "GRANT USAGE ON SCHEMA cofi TO service",
        "GRANT SELECT ON cofi.recommendations, cofi.run TO service",
        "CREATE VIEW best AS SELECT user_id, item_id FROM cofi.recommendations WHERE rank = 1",
    )
    deliver(runs, settings, "n2")
    n_users = delivered(database)["recommendations"]["user_id"].nunique()
    assert execute(database, "SELECT count(*) FROM best") == [(n_users,)]
    query = (
        "SELECT (SELECT run_key FROM cofi.run), "
        "(SELECT count(DISTINCT user_id) FROM cofi.recommendations)"
    )
    assert execute(database, "SET ROLE service", query) == [("n2", n_users)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(database, "SET ROLE service", "SELECT * FROM cofi.similar_items")
    execute(database, "DROP OWNED BY service", "DROP ROLE service")


WHOLE = """
    SELECT (SELECT run_key FROM cofi.run), (SELECT count(*) FROM cofi.recommendations),
        (SELECT count(*) FROM cofi.similar_items),
        (SELECT sum(score)::float FROM cofi.popular_items)"""


@pytest.mark.slow
def test_a_reader_meanwhile_sees_one_whole_run(runs: Store, settings: Settings, database: str):
    whole = {}
    for key in ("n1", "n2"):
        deliver(runs, settings, key)
        whole[key] = execute(database, WHOLE)[0]
    assert all(a != b for a, b in zip(whole["n1"], whole["n2"], strict=True))
    ended = threading.Event()
    seen: list[Any] = []

    def read() -> None:
        with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not ended.is_set():
                cursor.execute(WHOLE)
                seen.append(cursor.fetchone())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for key in ("n1", "n2") * 10:
            deliver(runs, settings, key)
    finally:
        ended.set()
        reader.join()
    assert set(seen) == set(whole.values())


def test_a_snapshot_of_before_shows_the_run_of_before_and_holds_nothing_up(
    runs: Store, settings: Settings, database: str
):
    deliver(runs, settings, "n1")
    before = {name: len(table) for name, table in delivered(database).items()}
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM cofi.recommendations")
        deliver(runs, settings, "n2")
        for table, count in before.items():  # two of them this reader has not touched before
            cursor.execute(f"SELECT count(*) FROM cofi.{table}")
            assert cursor.fetchall() == [(count,)], table
        cursor.execute("SELECT run_key FROM cofi.run")
        assert cursor.fetchall() == [("n1",)]
    assert_delivered(database, runs, "n2")


KILLED = """
import os, signal, sys
from cofi_jobs.tasks import deliver
from cofi_jobs.core import postgres
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
remaining = 0
def counted(method):
    def call(*arguments):
        global remaining
        if not remaining:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1
        return method(*arguments)
    return call
for name in ("execute", "rows", "copy"):
    setattr(postgres.Session, name, counted(getattr(postgres.Session, name)))
for line in sys.stdin:  # a process for each, forked: the imports serve all
    child = os.fork()
    if not child:
        remaining = int(line)
        run_task("deliver", Store(sys.argv[1]), load_settings(), "n2")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_killed_anywhere_and_run_again(runs: Store, settings: Settings, database: str):
    """Killed before the first statement, then the second, and so on to a complete delivery."""
    deliver(runs, settings, "n1")
    runs.set_current("n2")
    command = [sys.executable, "-c", KILLED, str(runs.root)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as attempts:
        assert attempts.stdin
        assert attempts.stdout
        seen: list[str] = []
        while not seen or seen[-1] != "n2":
            print(len(seen), file=attempts.stdin, flush=True)
            assert int(attempts.stdout.readline()) == -signal.SIGKILL
            [(key,)] = execute(database, "SELECT run_key FROM cofi.run")
            assert_delivered(database, runs, key)
            seen.append(key)
        attempts.stdin.close()
    assert len(seen) > 20, "so many statements came before the one that made the run count"
    assert set(seen[:-1]) == {"n1"}
    run_task("deliver", runs, settings, "n2")
    assert_delivered(database, runs, "n2")
    assert relations(database) == ALL


@pytest.mark.slow
def test_two_deliveries_at_once_go_one_by_one(
    runs: Store, settings: Settings, database: str, tmp_path: Path
):
    """From two stores, whose own locks do not keep them apart."""
    deliver(runs, settings, "n1")
    other = Store(shutil.copytree(runs.root, tmp_path / "other", symlinks=True))
    runs.set_current("n2")
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE cofi.recommendations IN SHARE MODE")
        first = start(runs, database)
        wait_for_line(first, "popular_items: ")  # it stands before the swap now
        second = start(other, database)
        wait_for_line(second, "waiting for another delivery")
        connection.rollback()
    assert [first.wait(), second.wait()] == [0, 0]
    assert_delivered(database, runs, "n1")
    assert relations(database) == ALL


def start(store: Store, database: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cofi_jobs", "deliver", "--store", str(store.root)],
        cwd=ROOT,
        env={**os.environ, "COFI_DATABASE": database},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"never said {text!r}: {''.join(seen)}")


def test_only_what_readers_use_is_delivered(runs: Store, settings: Settings, database: str):
    runs.set_current("n2")
    assert run_task("deliver", runs, settings, "n1")["delivered"] == "n2", (
        "an older run, made up for late"
    )
    assert_delivered(database, runs, "n2")
    runs.set_current("n1")  # a rollback
    assert run_task("deliver", runs, settings, "n2")["delivered"] == "n1"
    assert_delivered(database, runs, "n1")


def test_a_second_delivery_of_a_run_has_nothing_to_do(
    runs: Store, settings: Settings, database: str
):
    assert deliver(runs, settings, "n1")["rows"] > 0
    at = execute(database, "SELECT delivered_at FROM cofi.run")
    assert deliver(runs, settings, "n1")["rows"] == 0
    assert execute(database, "SELECT delivered_at FROM cofi.run") == at


def test_many_deliveries_take_no_more_room_than_a_few(
    runs: Store, settings: Settings, database: str
):
    sizes = []
    for _ in range(4):
        for key in ("n1", "n2"):
            deliver(runs, settings, key)
        sizes.append(execute(database, "SELECT pg_relation_size('cofi.recommendations')")[0][0])
    assert sizes[-1] == sizes[1]


@pytest.mark.slow
def test_an_erased_user_is_gone_with_the_next_delivery_also_of_the_same_run(
    runs: Store, settings: Settings, database: str
):
    deliver(runs, settings, "n2")
    count_of_user = "SELECT count(*) FROM cofi.recommendations WHERE user_id = 10"
    assert execute(database, count_of_user) == [(5,)]
    ended = cofi("erase", "10", "--store", runs.root, "--now")
    assert ended.returncode == 0
    assert "not searched: what deliver wrote into a database" in ended.stdout
    assert run_task("deliver", runs, settings, "n2")["rows"] > 0
    assert execute(database, count_of_user) == [(0,)]
    assert_delivered(database, runs, "n2")


def test_other_columns_are_refused_before_anything_changes(
    runs: Store, settings: Settings, database: str
):
    deliver(runs, settings, "n1")
    manifest = runs.manifest("n2")
    assert manifest is not None
    runs.records.write_manifest(
        "n2", {**manifest, "settings": {**manifest["settings"], "similarity": "distance"}}
    )
    with pytest.raises(
        DataError, match=r"similarity real in \"cofi\".\"similar_items\".* distance real"
    ):
        deliver(runs, settings, "n2")
    assert_delivered(database, runs, "n1")
    runs.records.write_manifest("n2", manifest)
    execute(database, "DROP TABLE cofi.similar_items CASCADE")  # as the message says
    deliver(runs, settings, "n2")
    assert_delivered(database, runs, "n2")


def test_a_contract_that_grows_at_the_end_keeps_grants_and_views(
    runs: Store, settings: Settings, database: str
):
    deliver(runs, settings, "n1")
    execute(
        database,  # as an older version of CoFi left it
        "ALTER TABLE cofi.popular_items DROP COLUMN score",
        "CREATE VIEW mine AS SELECT * FROM cofi.popular_items",
    )
    deliver(runs, settings, "n2")
    assert_delivered(database, runs, "n2")
    assert execute(database, "SELECT count(*) FROM mine") == [
        (len(delivered(database)["popular_items"]),)
    ]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "found no COFI_DATABASE, expected the address of a database: postgresql://"),
        ("mysql://u:canary1@h/d", "COFI_DATABASE holds no address of a PostgreSQL database"),
        ("postgresql://u:canary1/canary2@h/d", "COFI_DATABASE holds no address"),
        ("postgresql://u:canary1@canary2@h/d", "COFI_DATABASE holds no address"),
        ("postgresql://u:canary1#canary2@h/d", "COFI_DATABASE holds no address"),
        ("postgresql://u:12?34canary@h/d", "COFI_DATABASE holds no address"),
        (
            "postgresql://u:c@127.0.0.1:1/d?sslpassword=canary1&sslmode=canary1",
            "invalid sslmode value",
        ),
    ],
)
def test_an_address_is_never_shown(
    runs: Store, monkeypatch: pytest.MonkeyPatch, address: str, message: str
):
    monkeypatch.setenv("COFI_DATABASE", address)
    with pytest.raises((SettingsError, ConnectionError)) as caught:
        run_task("deliver", runs, load_settings(), "n2")
    assert message in str(caught.value)
    assert "canary" not in str(caught.value) + str(runs.failure("n2", "deliver"))


def test_a_database_out_of_reach_may_be_tried_again_and_shows_no_password(runs: Store):
    ended = cofi(
        "deliver", "--store", runs.root, COFI_DATABASE="postgresql://u:canary1%2F2@127.0.0.1:1/d"
    )
    assert ended.returncode == 1
    assert "port 1 failed: Connection refused" in ended.stderr.splitlines()[-1]
    failure = runs.failure("n2", "deliver")
    assert failure is not None
    assert not failure["permanent"]
    assert "canary" not in ended.stdout + ended.stderr + str(failure)


def test_what_the_database_refuses_is_said_in_a_sentence(
    runs: Store, settings: Settings, database: str
):
    name = "refused"
    address = new_database(database.replace("/fresh?", "/postgres?"), name)
    execute(address, "CREATE ROLE writer LOGIN", f"REVOKE CREATE ON DATABASE {name} FROM PUBLIC")
    try:
        ended = cofi(
            "deliver",
            "--store",
            runs.root,
            COFI_DATABASE=address.replace("//postgres:", "//writer:"),
        )
    finally:
        execute(database, f"DROP DATABASE {name}", "DROP ROLE writer")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"error: the database of COFI_DATABASE: permission denied for database {name} (SQLSTATE "
        "42501)"
    )
    failure = json.loads((runs.root / "tasks" / "n2" / "deliver.failed.json").read_text())
    assert failure["permanent"], "a retry cannot help"


def test_without_a_published_run_there_is_nothing_to_deliver(store: Store, settings: Settings):
    ended = cofi("deliver", "--store", store.root)
    assert (ended.returncode, ended.stderr) == (
        1,
        f"error: found no published run in {store.root}; run the job first\n",
    )
    with pytest.raises(SettingsError):
        load_settings(["deliver_table=x"])
