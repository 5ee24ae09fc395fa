"""Ratings from a real PostgreSQL by a query: each row once, rejected ones with reasons."""

import os
import signal
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core import postgres
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.records import Records
from cofi_jobs.store.sql import quote
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import ingest as ingest_task
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.runner import run_task
from tests.support.command_line import cofi
from tests.support.data import random_ratings, write_ratings
from tests.support.kills import die_before
from tests.support.live import wait_for
from tests.support.nights import run_night
from tests.support.postgres import execute
from tests.support.processes import exit_code

QUERY = (
    "SELECT user_id, item_id, stars AS rating, rated_at AS timestamp, updated_at "
    "FROM rating  -- of the shop"
)
DEFAULTS = {"source_query": QUERY, "rating_low": 1, "rating_high": 5}


@pytest.fixture
def source(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a database with an empty table of ratings."""
    monkeypatch.setenv("COFI_SOURCE_DATABASE", database)
    execute(
        database,
        "CREATE TABLE rating (user_id bigint, item_id bigint, stars numeric(3, 1), "
        "rated_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT clock_timestamp())",
    )
    return database


def settings(**values: Any) -> Settings:
    return load_settings([f"{key}={value}" for key, value in (DEFAULTS | values).items()])


def add(source: str, *rows: tuple[Any, ...], at: str = "clock_timestamp()") -> None:
    """Rows of user, item and stars, inserted or changed at a time."""
    for user, item, stars in rows:
        execute(source, f"DELETE FROM rating WHERE user_id = {user} AND item_id = {item}",
                f"INSERT INTO rating (user_id, item_id, stars, rated_at, updated_at) "
                f"VALUES ({user}, {item}, {stars}, now(), {at})")  # fmt: skip


def ingest(store: Store, run_key: str, chosen: Settings | None = None) -> dict[str, Any]:
    return run_task("ingest", store, chosen or settings(), run_key)


def taken(store: Store, run_key: str) -> list[tuple[Any, Any, float]]:
    rows = ds.dataset(store.ratings(run_key)).to_table(["user_id", "item_id", "rating"]).to_pylist()
    return [tuple(row.values()) for row in rows]


def current(store: Store, run_key: str) -> set[tuple[Any, Any, float]]:
    """Ratings that count, after normalize."""
    run_task("normalize", store, settings(), run_key)
    folder = store.table(run_key, "normalized")
    frame = pd.read_parquet(folder / "ratings.parquet")
    users, items = (
        pd.read_parquet(folder / f"{side}s.parquet")[f"{side}_id"] for side in ("user", "item")
    )
    return set(
        zip(users[frame["user_index"]], items[frame["item_index"]], frame["rating"], strict=True)
    )


def test_a_night_takes_what_is_new_and_changed(store: Store, source: str):
    add(source, (1, 10, 4.5), (1, 11, 2), (2, 10, 1))
    first = ingest(store, "n1")
    assert (first["rows_read"], first["rows_taken"], first["rows_refused"]) == (3, 3, 0)
    assert taken(store, "n1") == [(1, 10, 4.5), (1, 11, 2.0), (2, 10, 1.0)]
    assert ingest(store, "n2")["rows_read"] == 0, "nothing is new"

    add(source, (1, 10, 3), (3, 12, 5))
    ingest(store, "n3", settings(source_overlap=0))
    assert taken(store, "n3") == [(1, 10, 3.0), (3, 12, 5.0)]
    assert current(store, "n3") == {(1, 10, 3.0), (1, 11, 2.0), (2, 10, 1.0), (3, 12, 5.0)}


def test_settings_name_the_columns_of_the_query(store: Store, source: str):
    add(source, (1, 10, 4.5), (2, 10, 0))
    query = "SELECT user_id AS kunde, item_id AS ware, stars AS note, updated_at FROM rating"
    named = {"user_column": "kunde", "item_column": "ware", "rating_column": "note"}
    outcome = ingest(store, "n1", settings(source_query=query, not_rated=0, **named))
    assert taken(store, "n1") == [(1, 10, 4.5)]
    assert outcome["reasons"] == {"not rated": 1}


def test_rows_and_files_arrive_together_by_the_same_rules(store: Store, source: str):
    add(
        source,
        (1, 10, 5),
        (1, 11, 1),
        (2, 10, 9),
        ("NULL", 10, 3),
        (3, 10, "NULL"),
        (3, 11, "'NaN'"),
    )
    write_ratings(
        store.landing / "more.csv",
        pd.DataFrame({"user": [7, "x"], "item": [10, 10], "stars": [2, 2]}),
    )
    outcome = ingest(store, "n1", settings(id_type="integer", max_rejected=1))
    assert (outcome["rows_read"], outcome["rows_taken"], outcome["rows_refused"]) == (8, 3, 5)
    assert sorted(taken(store, "n1")) == [(1, 10, 5.0), (1, 11, 1.0), (7, 10, 2.0)]
    refused = ds.dataset(store.rejected("n1")).to_table().to_pandas()
    own = refused[refused["file"].str.startswith("query-")].sort_values("row")
    assert [reason.split(":")[0] for reason in own["reason"]] == [
        "rating is outside the scale 1 to 5",
        "user_id is missing",
        "rating is missing",
        "rating is missing",
    ]
    assert own["raw"].iloc[0].startswith("2,10,9.0,")
    assert own["row"].tolist() == [3, 4, 5, 6]


def test_a_column_op_withdraws_ratings_as_in_a_file(store: Store, source: str):
    add(source, (1, 10, 4), (1, 11, 2), (2, 10, 3))
    execute(source, "ALTER TABLE rating ADD op text")
    chosen = settings(
        source_query=QUERY.replace("updated_at FROM", "updated_at, op FROM"), source_overlap=0
    )
    ingest(store, "n1", chosen)
    change = (
        "UPDATE rating SET op = {}, stars = NULL, rated_at = now(), "
        "updated_at = clock_timestamp() WHERE {}"
    )
    execute(source, change.format("'DELETE'", "user_id = 1 AND item_id = 10"),
            change.format("'mislaid'", "user_id = 2"))  # fmt: skip
    outcome = ingest(store, "n2", chosen)
    assert (outcome["rows_read"], outcome["rows_withdrawn"], outcome["reasons"]) == (
        2,
        1,
        {"op is unknown": 1},
    )
    assert current(store, "n2") == {(1, 11, 2.0), (2, 10, 3.0)}
    add(source, (1, 10, 5))
    ingest(store, "n3", chosen)
    assert current(store, "n3") == {(1, 10, 5.0), (1, 11, 2.0), (2, 10, 3.0)}


def test_text_ids_and_times_arrive_exactly(store: Store, source: str):
    odd = [
        "007",
        "nullable",
        'say "x"',
        "it's",
        "a,b",
        "é 中",
        "0042",
        "12345678901234567890123456789012345678901",
    ]
    execute(
        source,
        "CREATE TABLE texts (id text, thing uuid DEFAULT gen_random_uuid(), r real DEFAULT 0.1, "
        "t timestamp DEFAULT '2026-01-02 03:04:05.678901', n serial)",
        *(f"INSERT INTO texts (id) VALUES ({quote(text)})" for text in odd),
    )
    query = "SELECT id AS user_id, thing AS item_id, r + n AS rating, t AS timestamp, n FROM texts"
    ingest(store, "n1", settings(source_query=query, source_watermark="n", rating_high=10))
    rows = ds.dataset(store.ratings("n1")).to_table().to_pandas()
    assert rows["user_id"].tolist() == odd
    assert set(rows["item_id"]) == {
        row[0] for row in execute(source, "SELECT thing::text FROM texts")
    }
    np.testing.assert_array_equal(
        rows["rating"], np.float32(0.1) + np.arange(1, 9, dtype=np.float32)
    )
    assert set(rows["timestamp"].astype(str)) == {"2026-01-02 03:04:05.678901+00:00"}


def test_a_transaction_that_commits_late_is_not_lost(store: Store, source: str):
    with closing(psycopg2.connect(source)) as late, late.cursor() as cursor:
        cursor.execute("INSERT INTO rating VALUES (5, 50, 5)")  # earlier, but committed later
        add(source, (1, 10, 4), (1, 11, 2))
        ingest(store, "n1")
        late.commit()
    assert (5, 50, 5.0) not in taken(store, "n1")
    add(source, (2, 10, 1))
    ingest(store, "n2")
    assert current(store, "n2") == {(1, 10, 4.0), (1, 11, 2.0), (2, 10, 1.0), (5, 50, 5.0)}


def test_a_batch_is_of_one_snapshot(store: Store, source: str, monkeypatch: pytest.MonkeyPatch):
    add(source, (1, 10, 4), (1, 11, 2))
    reader, reads = postgres.Session.reader, []

    def meanwhile(session: postgres.Session, query: str) -> Any:
        reads.append(query)
        add(
            source, (1, 10, len(reads))
        )  # before the columns are looked at, and between counting and reading
        return reader(session, query)

    monkeypatch.setattr(postgres.Session, "reader", meanwhile)
    ingest(store, "n1")
    assert len(reads) == 2
    assert sorted(taken(store, "n1")) == [(1, 10, 1.0), (1, 11, 2.0)]


def test_a_rerun_gives_the_same_batch(store: Store, source: str):
    add(source, (1, 10, 4), (1, 11, 2))
    first = ingest(store, "n1")
    before = {path.name: path.read_bytes() for path in store.ratings("n1").iterdir()}
    add(source, (1, 10, 1), (2, 10, 3))
    write_ratings(
        store.landing / "late.csv", pd.DataFrame({"user": [9], "item": [10], "stars": [3]})
    )
    second = ingest(store, "n1")
    after = {path.name: path.read_bytes() for path in store.ratings("n1").iterdir()}
    assert before.items() <= after.items(), "the query's part stays as it was"
    assert second["rows_taken"] == first["rows_taken"] + 1, "the file is taken"
    ingest(store, "n2")
    assert current(store, "n2") == {(1, 10, 1.0), (1, 11, 2.0), (2, 10, 3.0), (9, 10, 3.0)}


def test_an_erased_user_stays_away_though_the_database_has_the_rows(store: Store, source: str):
    add(source, (987654321, 10, 4), (1, 10, 4), (1, 11, 2), (987654321, 11, 99))
    ingest(store, "n1")
    assert look(store, settings(), ["987654321"]).remaining
    assert erase(store, settings(), ["987654321"]).remaining == []
    assert ingest(store, "n1")["rows_taken"] == 3, "a rerun keeps what it took, as it is now"
    add(source, (2, 10, 3))
    outcome = ingest(store, "n2")  # which reads all of them again
    assert (outcome["rows_read"], outcome["reasons"]) == (5, {"erased": 2})
    assert current(store, "n2") == {(1, 10, 4.0), (1, 11, 2.0), (2, 10, 3.0)}
    assert look(store, settings(), ["987654321"]).remaining == []


def ingest_and_die(where: str, root: str) -> None:
    """Ingest, killed while rows are read, once they are read, or once they are written."""
    change = {
        "reading": (pq.ParquetWriter, "write_batch"),
        "read": (ingest_task, "take"),
        "written": (Records, "write_outcome"),
    }[where]
    die_before(1, [change])
    run_task("ingest", Store(root), load_settings(), "n2")


def kill_ingest(store: Store, where: str) -> None:
    environment = {**os.environ, "COFI_SOURCE_QUERY": QUERY}
    code = exit_code(ingest_and_die, where, str(store.root), environment=environment)
    assert code == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("where", ["reading", "read", "written"])
def test_killed_it_reads_the_same_again(store: Store, source: str, where: str):
    add(source, (1, 10, 4), (1, 11, 2))
    ingest(store, "n1")
    add(source, (1, 10, 1), (2, 10, 3))
    kill_ingest(store, where)
    assert store.outcome("n2", "ingest") is None
    ingest(store, "n2", settings(source_overlap=0))
    assert taken(store, "n2") == [(1, 10, 1.0), (2, 10, 3.0)]
    assert not list(store.root.glob(".tmp-*"))


@pytest.mark.slow
def test_what_a_killed_ingest_has_read_goes_with_the_user_that_is_erased(store: Store, source: str):
    add(source, (1, 10, 4), (1, 11, 2))
    ingest(store, "n1")
    add(source, (987654321, 10, 1))
    kill_ingest(store, "read")
    [hit] = look(store, settings(), ["987654321"]).remaining
    assert hit.startswith(".tmp-source/query-")
    assert erase(store, settings(), ["987654321"]).remaining == []
    assert not (store.root / ".tmp-source").exists()


def test_a_batch_that_fails_does_not_move_the_watermark(store: Store, source: str):
    add(source, (1, 10, 4), (1, 11, 2))
    ingest(store, "n1")
    add(source, (2, 10, 3))
    (store.landing / "bad.csv").write_text("shop,price\n1,2\n")
    with pytest.raises(DataError, match="found the columns 'shop', 'price'"):
        ingest(store, "n2")
    assert not list(store.root.glob(".tmp-*"))
    (store.landing / "bad.csv").unlink()
    ingest(store, "n3", settings(source_overlap=0))
    assert taken(store, "n3") == [(2, 10, 3.0)]


def test_an_older_run_made_up_for_later_takes_what_no_run_has(store: Store, source: str):
    exact = settings(source_overlap=0)
    add(source, (1, 10, 4), (1, 11, 2))
    ingest(store, "n5", exact)
    add(source, (2, 10, 3))
    ingest(store, "n3", exact)
    assert taken(store, "n3") == [(2, 10, 3.0)]
    add(source, (3, 10, 3))
    ingest(store, "n6", exact)
    assert taken(store, "n6") == [(3, 10, 3.0)]


def test_another_query_starts_from_the_beginning(store: Store, source: str):
    add(source, (1, 10, 4), (1, 11, 2))
    ingest(store, "n1")
    ingest(
        store,
        "n2",
        settings(source_query=QUERY.replace("rating  --", "rating WHERE item_id = 11 --")),
    )
    assert taken(store, "n2") == [(1, 11, 2.0)]


@pytest.mark.parametrize(
    "kind", ["integer", "bigint", "numeric", "double precision", "text", "date", "timestamp"]
)
def test_a_watermark_of_any_ordered_type(store: Store, source: str, kind: str):
    text = {"date": "'2026-01-0{}'", "timestamp": "'2026-01-01 00:00:0{}'", "text": "'v{}'"}.get(
        kind, "{}"
    )
    execute(source, f"CREATE TABLE t (u int, i int, r int, mark {kind})")
    chosen = settings(source_query="SELECT u AS user, i AS item, r AS rating, mark FROM t",
                      source_watermark="mark", source_overlap=0, rating_low=1,
                      rating_high=5)  # fmt: skip
    for night in (1, 2, 3):
        execute(source, f"INSERT INTO t VALUES ({night}, 1, {night}, {text.format(night)})")
        ingest(store, f"n{night}", chosen)
        assert taken(store, f"n{night}") == [(night, 1, float(night))]


def test_the_overlap_of_a_number_is_in_its_units(store: Store, source: str):
    execute(
        source,
        "CREATE TABLE t (u int, i int, r int, n int)",
        "INSERT INTO t SELECT k, 1, k, k FROM generate_series(1, 9) k",
    )
    chosen = settings(source_query="SELECT u AS user, i AS item, r AS rating, n FROM t; ",
                      source_watermark="n", source_overlap=3, rating_high=10)  # fmt: skip
    ingest(store, "n1", chosen)
    execute(source, "INSERT INTO t VALUES (10, 1, 9, 10)")
    ingest(store, "n2", chosen)
    assert [user for user, *_ in taken(store, "n2")] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    "mark",
    ["k::bigint", "'2026-01-01'::timestamptz + k * interval '1 hour'", "'1999-01-01'::date + k"],
)
def test_a_night_on_top_uses_the_index_of_the_watermark(store: Store, source: str, mark: str):
    def scans() -> tuple[int, int]:
        """From end to end, and by an index; a session's count once it has ended."""
        others = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid != pg_backend_pid() AND backend_type = 'client backend'"
        )
        wait_for(lambda: execute(source, others) == [(0,)], "the end of all other sessions")
        return execute(
            source, "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 't'"
        )[0]

    table = f"SELECT k AS u, 1 AS i, 3 AS r, {mark} AS n FROM generate_series(1, 5000) k"
    execute(source, f"CREATE TABLE t AS {table}", "CREATE INDEX ON t (n)", "ANALYZE t")
    chosen = settings(source_query="SELECT u AS user, i AS item, r AS rating, n FROM t",
                      source_watermark="n", source_overlap=1)  # fmt: skip
    ingest(store, "n1", chosen)
    execute(source, f"INSERT INTO t SELECT 9999, 1, 3, {mark} FROM (SELECT 5001 AS k)")
    before = scans()
    ingest(store, "n2", chosen)
    assert (9999, 1, 3.0) in taken(store, "n2")
    after = scans()
    assert after[0] == before[0], "the table was not read from end to end"
    assert after[1] > before[1]


def test_rows_ahead_of_their_time_do_not_hide_the_others(
    store: Store, source: str, caplog: pytest.LogCaptureFixture
):
    add(source, (1, 10, 4), (1, 11, 2))
    add(source, (8, 10, 3), at="'2999-01-01'")
    ingest(store, "n1")
    assert "1 rows of source_query whose updated_at is more than a day ahead" in caplog.text
    add(source, (2, 10, 3))
    ingest(store, "n2", settings(source_overlap=0))
    assert taken(store, "n2") == [(2, 10, 3.0)]


@pytest.mark.parametrize(
    ("statement", "values", "message"),
    [
        ("INSERT INTO rating SELECT 1, 1, 1, now(), NULL FROM generate_series(1, 3)", {},
         "found 3 rows of source_query whose updated_at is NULL"),
        ("INSERT INTO rating VALUES (1, 1, 1)", {"source_watermark": "changed"},
         "'timestamp', 'updated_at' in source_query, expected 'changed' among them"),
        ("INSERT INTO rating VALUES (1, 1, 1)",
         {"source_query": "SELECT user_id, updated_at FROM rating"},
         "found the columns 'user_id', 'updated_at', expected one for each of user_id, item_id, "
         "rating"),
        ("SELECT 1", {"source_query": "SELECT nothing FROM rating"},
         'COFI_SOURCE_DATABASE: column "nothing" does not exist'),
        ("SELECT 1", {"source_query": "SELECT 1 / 0 AS updated_at"}, "division by zero"),
        ("SELECT 1", {"source_query": "DELETE FROM rating"}, "syntax error"),
        ("CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM rating RETURNING 1'",
         {"source_query": "SELECT wipe() AS updated_at"},
         "cannot execute DELETE in a read-only transaction"),
        ("SELECT 1", {}, "found no ratings in "),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(
    store: Store, source: str, statement: str, values: dict[str, str], message: str
):
    execute(source, statement)
    with pytest.raises(DataError) as caught:
        ingest(store, "n1", settings(**values))
    assert message in str(caught.value)


def test_settings_that_do_not_go_together(
    store: Store, source: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SettingsError, match="found source_connection, but no source_query"):
        ingest(store, "n1", load_settings(["source_connection=shop"]))
    monkeypatch.delenv("COFI_SOURCE_DATABASE")
    with pytest.raises(
        SettingsError,
        match="found source_query, but no database to ask, expected source_connection",
    ):
        ingest(store, "n1")


def test_a_database_out_of_reach_may_be_tried_again_and_shows_no_password(store: Store):
    address = "postgresql://shop:canary1%2Fcanary2@127.0.0.1:1/shop"
    ended = cofi(
        "ingest",
        "--store",
        store.root,
        "--run-key",
        "n1",
        COFI_SOURCE_DATABASE=address,
        COFI_SOURCE_QUERY=QUERY,
    )
    assert ended.returncode == 1
    assert "Connection refused" in ended.stderr.splitlines()[-1]
    failure = store.failure("n1", "ingest")
    assert failure is not None
    assert not failure["permanent"]
    assert "canary" not in ended.stdout + ended.stderr + str(failure)


def test_a_whole_night_from_the_command_line(store: Store, source: str, quick: Settings):
    ratings = random_ratings()
    rows = (
        f"({r.userId}, {r.movieId}, {r.rating}, to_timestamp({r.timestamp}))"
        for r in ratings.itertuples()
    )
    execute(
        source, f"INSERT INTO rating (user_id, item_id, stars, rated_at) VALUES {', '.join(rows)}"
    )
    values = {name: value for name, value in quick.model_dump().items() if value is not None}
    values["source_query"] = QUERY
    chosen = load_settings([f"{name}={value}" for name, value in values.items()])
    run_night(store, chosen, "n1")
    other = Store(store.root.parent / "files").create()
    write_ratings(other.landing / "ratings.csv", ratings)
    run_night(other, quick, "n1")
    lists = [pd.read_parquet(each.table("n1", "recommendations")) for each in (store, other)]
    pd.testing.assert_frame_equal(*lists)


def test_the_outcome_names_the_tables_of_the_query(store: Store, source: str):
    execute(source, "ALTER TABLE rating RENAME TO old", 'CREATE SCHEMA "the shop"',
            'CREATE TABLE "the shop".r (LIKE old INCLUDING DEFAULTS) PARTITION BY RANGE (user_id)',
            'CREATE TABLE first PARTITION OF "the shop".r FOR VALUES FROM (0) TO (9)',
            "CREATE INDEX ON first (item_id)",
            'CREATE VIEW rating AS SELECT * FROM "the shop".r UNION ALL SELECT * FROM old',
            "INSERT INTO first VALUES (1, 10, 4), (1, 11, 2)")  # fmt: skip
    tables = ["postgres://localhost/fresh/public/old", "postgres://localhost/fresh/the%20shop/r"]
    assert ingest(store, "n1")["reads"] == tables
    assert ingest(store, "n2")["reads"] == tables, "also if there is nothing new"


def test_an_event_is_read_once_and_waits_until_late_commits_are_in(store: Store, source: str):
    chosen = settings(
        source_query="SELECT user_id, item_id, updated_at FROM rating",
        feedback="events",
        source_overlap=3600,
    )
    old, young = "now() - interval '2 hours'", "now() - interval '10 minutes'"
    add(source, (1, 10, 1), at=old)
    add(source, (2, 10, 1), at=young)
    assert ingest(store, "n1", chosen)["rows_taken"] == 1
    assert ingest(store, "n2", chosen)["rows_taken"] == 0
    add(source, (3, 10, 1), at="now() - interval '90 minutes'")  # committed late
    execute(source, "UPDATE rating SET updated_at = now() - interval '61 minutes' "
            "WHERE user_id = 2")  # fmt: skip
    later = settings(source_query=chosen.source_query, feedback="auto")
    assert ingest(store, "n3", later)["rows_taken"] == 2
    assert current(store, "n3") == {(1, 10, 1.0), (2, 10, 1.0), (3, 10, 1.0)}


def test_events_with_a_number_as_watermark_are_read_once(store: Store, source: str):
    execute(source, "ALTER TABLE rating ADD id bigserial")
    chosen = settings(
        source_query="SELECT user_id, item_id, id FROM rating",
        source_watermark="id",
        feedback="events",
    )
    add(source, (1, 10, 1), (2, 10, 1))
    assert ingest(store, "n1", chosen)["rows_taken"] == 2
    add(source, (3, 10, 1))
    assert ingest(store, "n2", chosen)["rows_taken"] == 1
    assert {count for _, _, count in current(store, "n2")} == {1}
