"""The nightly DAG under a scheduler with LocalExecutor and PostgreSQL: what an operator lives through.

The tests share one Airflow and run in the order of this file.
"""

import functools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller

from cofi_jobs.settings.resolve import to_environment
from cofi_jobs.store.open import open_store
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from deploy.trigger import DAG, Airflow
from tests.support import buckets
from tests.support.data import QUICK_VALUES, random_ratings, write_ratings
from tests.support.live import live_airflow, wait_for
from tests.support.ports import free_port

LATE_AFTER = 0.02  # minutes: every run is late


@dataclass
class Live:
    """The running Airflow, its home, a bucket, and what reached Slack and the mail server."""

    airflow: Airflow
    home: Path
    bucket: buckets.Place
    slack: list[str]
    mail: list[tuple[str, str]] = field(default_factory=list)  # subject, body

    def store(self, name: str, ratings: Any = None, file: str = "ratings.csv") -> Store:
        """A store in Airflow's home, with ratings in its landing folder."""
        store = Store(self.home / name).create()
        if ratings is not None:
            write_ratings(store.root / file, ratings).rename(store.landing / file)
        return store

    def runs(self, kind: str) -> list[dict[str, Any]]:
        """Runs of one kind, in the order in which they started."""
        answer = self.airflow.call("GET", f"{DAG}/dagRuns?run_type={kind}&order_by=start_date")
        return answer["dag_runs"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.airflow.call("GET", f"{DAG}/dagRuns/{quote(run_id)}")

    def end(self, run_id: str) -> str:
        """The state in which a run ends."""
        states = {"success", "failed"}
        return wait_for(lambda: (state := self.airflow.state(run_id)) in states and state, run_id)

    def key(self, run_id: str) -> str:
        return run_key_at(datetime.fromisoformat(self.run(run_id)["run_after"]))

    def pause(self, paused: bool) -> None:
        self.airflow.call("PATCH", DAG, {"is_paused": paused})


class Slack(BaseHTTPRequestHandler):
    """Takes what is sent to an incoming webhook."""

    texts: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.texts.append(body["text"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = tmp_path_factory.mktemp("live")
    letters: list[tuple[str, str]] = []
    texts: list[str] = []

    class Mail:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            message = message_from_bytes(envelope.content, policy=modern)
            body = message.get_body()
            assert body is not None
            letters.append((message["Subject"], body.get_content()))
            return "250 OK"

    slack = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Slack,), {"texts": texts}))
    threading.Thread(target=slack.serve_forever, daemon=True).start()
    mail = Controller(Mail(), hostname="127.0.0.1", port=free_port())
    mail.start()
    s3 = ExitStack()
    options = s3.enter_context(buckets.s3())
    bucket = buckets.place("s3", options, Path("store"))
    connections = {
        "BUCKET": {
            "conn_type": "aws",
            "login": options["key"],
            "password": options["secret"],
            "extra": {"endpoint_url": options["endpoint_url"], "path": bucket.address},
        },
        "SLACK": {
            "conn_type": "slackwebhook",
            "password": f"http://127.0.0.1:{slack.server_port}/services/T/B/X",
        },
        "MAIL": {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mail.port,
            "extra": {
                "from_email": "cofi@example.org",
                "to": "ops@example.org",
                "disable_ssl": True,
                "disable_tls": True,
            },
        },
    }
    environment = {
        **{
            f"AIRFLOW_CONN_COFI_{name}": json.dumps(connection)
            for name, connection in connections.items()
        },
        **to_environment(QUICK_VALUES),
        "COFI_CACHE": str(home / "cache"),
        "COFI_DEADLINE_MINUTES": str(LATE_AFTER),
    }
    try:
        with live_airflow(home, **environment) as airflow:
            yield Live(airflow, home, bucket, texts, letters)
    finally:
        s3.close()
        mail.stop()
        slack.shutdown()


def test_scheduled_run_publishes(live: Live) -> None:
    store = live.store("store", random_ratings())
    live.pause(False)
    [run] = wait_for(lambda: live.runs("scheduled"), "the last night's run")
    assert live.end(run["dag_run_id"]) == "success"
    last_night = datetime.fromisoformat(run["run_after"])
    assert (last_night.hour, last_night.minute) == (2, 0)
    assert store.current() == run_key_at(last_night)
    assert (store.manifest(run_key_at(last_night)) or {})["counts"]["recommend"]["users"] == 30


def test_late_run_is_reported_and_goes_on(live: Live) -> None:
    [run] = live.runs("scheduled")
    subject = f"cofi_nightly: run {run['dag_run_id']} is late"
    [text] = wait_for(lambda: [text for text in live.slack if text.startswith(subject)], "Slack")
    assert f"expected its end within {LATE_AFTER:g} minutes" in text
    assert f"<{live.airflow.url}/dags/cofi_nightly/runs/{quote(run['dag_run_id'])}|log>" in text
    assert subject in wait_for(lambda: dict(live.mail).keys(), "mail")
    assert subject in (live.home / "log").read_text()


def test_two_manual_runs_queue_and_each_has_its_store(live: Live) -> None:
    old, new = live.store("store"), live.store("other", random_ratings(n_users=12, seed=3))
    landing_has_nothing_new = live.airflow.trigger({"warm_start": False})
    other = live.airflow.trigger({"store": str(new.root), "top_n": 3})
    pair = (landing_has_nothing_new, other)
    seen = set()

    def ended() -> bool:
        states = tuple(live.airflow.state(run_id) for run_id in pair)
        seen.add(states)
        return set(states) <= {"success", "failed"}

    wait_for(ended, "both runs")
    assert ("running", "running") not in seen
    assert ("running", "queued") in seen
    assert [live.airflow.state(run_id) for run_id in pair] == ["success", "success"]
    # Without a new file the night publishes again what it has.
    assert old.current() == live.key(landing_has_nothing_new)
    first, second = (old.manifest(key) or {} for key in old.published())
    assert second["counts"]["ingest"]["rows_taken"] == 0
    assert second["counts"]["normalize"] == first["counts"]["normalize"]
    assert second["metrics"]["ranking"] == first["metrics"]["ranking"]
    # The other store has its own ratings, lists and settings.
    manifest = new.manifest(live.key(other)) or {}
    assert new.published() == [live.key(other)] == [new.current()]
    assert manifest["counts"]["recommend"]["users"] == 12
    assert manifest["settings"]["top_n"] == 3


def test_backfill_of_past_nights_takes_their_batches_in_order(live: Live) -> None:
    parts = [random_ratings(n_users=20, seed=seed) for seed in (5, 6, 7)]
    store = live.store("past", parts[0], "0.csv")
    last = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=10)
    nights = [last - timedelta(days=days) for days in (2, 1, 0)]
    backfill = {
        "dag_id": "cofi_nightly",
        "from_date": nights[0].isoformat(),
        "to_date": nights[-1].isoformat(),
        "max_active_runs": 1,
        "dag_run_conf": {"store": str(store.root)},
    }
    live.airflow.call("POST", "/api/v2/backfills", backfill)
    keys = [run_key_at(night) for night in nights]
    for number in (1, 2):  # each night's file comes when the night before has taken its own
        wait_for(functools.partial(store.outcome, keys[number - 1], "ingest"), "ingest")
        live.store("past", parts[number], f"{number}.csv")
    runs = live.runs("backfill")
    assert [live.end(run["dag_run_id"]) for run in runs] == ["success"] * 3
    runs = live.runs("backfill")
    assert [datetime.fromisoformat(run["run_after"]) for run in runs] == nights, (
        "the oldest night starts first"
    )
    assert store.batches() == store.published() == keys
    assert store.current() == keys[-1]
    taken = [(store.manifest(key) or {})["counts"]["ingest"]["rows_taken"] for key in keys]
    assert taken == [len(part) for part in parts]
    assert [(store.manifest(key) or {})["batches"] for key in keys] == [keys[:1], keys[:2], keys]


def test_a_night_on_a_store_in_a_bucket(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = random_ratings(seed=8)
    live.bucket.put("landing/ratings.csv", ratings.to_csv(index=False))
    run_id = live.airflow.trigger({"store": "connection:cofi_bucket"})
    assert live.end(run_id) == "success"
    monkeypatch.setenv("COFI_CACHE", str(live.home / "reader"))
    run = current_run(open_store(live.bucket.address, live.bucket.options))
    assert run.key == live.key(run_id)
    assert run.manifest["counts"]["ingest"]["rows_taken"] == len(ratings)
    assert len(run.recommendations(str(ratings["userId"][0])))
    # The server of the UI has no credentials for the bucket: its page says where the report is.
    status, page, _ = get(live, f"/cofi/run?run_id={quote(run_id, safe='')}", live.airflow.token)
    assert (status, f"{live.bucket.address}/runs/{run.key}/report/report.html" in page) == (
        404,
        True,
    )
    shown = page + "".join(task_log(live, run_id, task) for task in TASKS)
    assert not [
        secret
        for secret in (live.bucket.options["key"], live.bucket.options["secret"])
        if secret in shown
    ]


def test_failure_is_reported_and_a_cleared_task_heals_it(live: Live) -> None:
    store = live.store("store")
    before = store.current()
    bad = store.landing / "bad.csv"
    bad.write_text("shop,price\n1,2\n")
    run_id = live.airflow.trigger({})
    assert live.end(run_id) == "failed"
    assert store.current() == before, "yesterday's lists stay"
    subject = f"cofi_nightly: ingest failed in run {run_id}"
    [text] = wait_for(lambda: [text for text in live.slack if text.startswith(subject)], "Slack")
    assert "bad.csv: found the columns 'shop', 'price', expected" in text
    assert f"/runs/{quote(run_id)}/tasks/ingest?try_number=1|log>" in text
    assert "bad.csv: found the columns" in wait_for(lambda: dict(live.mail).get(subject), "mail")
    assert f"{subject}: {bad}: found the columns" in task_log(live, run_id, "ingest")
    assert not [text for text in live.slack if "publish failed" in text], "only what failed itself"

    bad.unlink()
    clear = {"dag_run_id": run_id, "only_failed": True, "dry_run": False}
    live.airflow.call("POST", f"{DAG}/clearTaskInstances", clear)
    wait_for(lambda: live.airflow.state(run_id) != "failed", "the cleared run")
    assert live.end(run_id) == "success"
    assert store.current() == live.key(run_id)
    assert live.airflow.tasks(run_id)["ingest"]["try_number"] == 2


def test_clearing_a_published_run_changes_nothing(live: Live) -> None:
    store = live.store("store")
    run_id = live.runs("manual")[-1]["dag_run_id"]
    before = {
        path: path.stat().st_mtime_ns
        for path in store.table(live.key(run_id), "").rglob("*.parquet")
    }
    clear = {
        "dag_run_id": run_id,
        "only_failed": False,
        "dry_run": False,
        "task_ids": ["train"],
        "include_downstream": True,
    }
    live.airflow.call("POST", f"{DAG}/clearTaskInstances", clear)
    wait_for(lambda: live.airflow.tasks(run_id)["publish"]["try_number"] == 2, "the second try")
    assert live.end(run_id) == "success"
    assert "is published already, train has nothing to do" in task_log(
        live, run_id, "train", attempt=2
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_paused_dag_goes_on_where_it_was(live: Live) -> None:
    store = live.store("store")
    before = store.current()
    run_id = live.airflow.trigger({})
    wait_for(lambda: live.airflow.tasks(run_id)["ingest"]["state"] == "running", "ingest")
    live.pause(True)
    wait_for(lambda: live.airflow.tasks(run_id)["ingest"]["state"] == "success", "the running task")
    threading.Event().wait(5)  # a scheduler that still went on would have started normalize by now
    assert live.airflow.state(run_id) == "running"
    assert {
        task["state"] for name, task in live.airflow.tasks(run_id).items() if name != "ingest"
    } <= {
        None,
        "scheduled",
    }
    assert store.current() == before
    live.pause(False)
    assert live.end(run_id) == "success"
    assert store.current() == live.key(run_id)
    tasks = live.airflow.tasks(run_id)
    assert tasks.pop("deliver")["state"] == "skipped"
    assert {task["try_number"] for task in tasks.values()} == {1}
    assert set(tasks) == set(TASKS)


def get(live: Live, path: str, token: str = "") -> tuple[int, str, Any]:
    """Status, body and headers of a page."""
    request = urllib.request.Request(
        live.airflow.url + path, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_reports_are_for_those_who_are_logged_in(live: Live) -> None:
    run = live.runs("scheduled")[0]
    run_id, key = run["dag_run_id"], live.key(run["dag_run_id"])
    store, token = live.store("store"), live.airflow.token
    pages = {
        f"/cofi/run?dag_id=cofi_nightly&run_id={quote(run_id, safe='')}": f"CoFi report, run {key}",
        f"/cofi/report?store={quote(str(store.root), safe='')}&run_key={key}": f"CoFi report, run {key}",
        "/cofi/runs": str(live.home / "other"),
    }
    for path, expected in pages.items():
        for wrong in ("", "no-token"):
            status, body, _ = get(live, path, wrong)
            assert status in (401, 403), path
            assert key not in body
        status, body, headers = get(live, path, token)
        assert status == 200, path
        assert expected in body
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; style-src 'unsafe-inline'"
        )
        assert "script-src" not in headers["Content-Security-Policy"]
    report = store.table(key, "report") / "report.html"
    assert get(live, next(iter(pages)), token)[1] == report.read_text()
    _, body, _ = get(live, "/cofi/runs", token)
    for name in ("store", "other", "past"):
        for key in Store(live.home / name).published():
            assert f"report?store={quote(str(live.home / name), safe='')}&amp;run_key={key}" in body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/cofi/run?run_id=nothing", 404),
        ("/cofi/run?dag_id=cofi_reader_example&run_id=x", 404),
        ("/cofi/run", 422),
        ("/cofi/run?run_id=", 422),
        ("/cofi/run?run_id=%00", 422),
        ("/cofi/run?run_id=scheduled%00__x", 422),
        (f"/cofi/run?run_id={'x' * 1000}", 422),
        ("/cofi/run?run_id=../../etc/passwd", 404),
        ("/cofi/run?run_id=%3Cscript%3Ealert(1)%3C/script%3E", 404),
        ("/cofi/report?store=/etc&run_key=x", 404),
        ("/cofi/report?store=STORE&run_key=../store", 400),
        ("/cofi/report?store=STORE&run_key=%2Fetc%2Fpasswd", 400),
        ("/cofi/report?store=STORE&run_key=x%00", 422),
        ("/cofi/report?store=STORE&run_key=unknown", 404),
        ("/cofi/nothing", 404),
        ("/cofi/openapi.json", 404),
        ("/cofi/docs", 404),
    ],
)
def test_addresses_that_name_no_report(live: Live, path: str, status: int) -> None:
    path = path.replace("STORE", quote(str(live.home / "store"), safe=""))
    found, body, _ = get(live, path, live.airflow.token)
    assert found == status
    assert "<script" not in body
    assert "Traceback" not in body
    assert "root:" not in body


def task_log(live: Live, run_id: str, task: str, attempt: int = 1) -> str:
    """A task's log as Airflow keeps it."""
    folder = live.home / "logs" / "dag_id=cofi_nightly" / f"run_id={run_id}" / f"task_id={task}"
    return (folder / f"attempt={attempt}.log").read_text()
