"""The nightly DAG under a scheduler with LocalExecutor and PostgreSQL, as an operator sees it.

The tests share one Airflow, and fixtures with the runs in it: few runs, of which each test sees the
ends.
"""

import base64
import hashlib
import json
import re
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

import pandas as pd
import pytest
from aiosmtpd.controller import Controller

from cofi_jobs.report.template import SERVED, content_security_policy
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

    def clear(self, run_id: str, **options: Any) -> None:
        """Let tasks of a run run again, as the options say."""
        request = {"dag_run_id": run_id, "dry_run": False, **options}
        self.airflow.call("POST", f"{DAG}/clearTaskInstances", request)
        wait_for(lambda: self.airflow.state(run_id) in ("queued", "running"), "the cleared run")

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
            live = Live(airflow, home, bucket, texts, letters)
            live.store("store", random_ratings())
            live.pause(False)
            yield live
    finally:
        s3.close()
        mail.stop()
        slack.shutdown()


@dataclass(frozen=True)
class Scheduled:
    """The run that the schedule asked for, once it has ended."""

    id: str
    run_after: datetime
    current: str | None

    @property
    def key(self) -> str:
        return run_key_at(self.run_after)


@pytest.fixture(scope="module")
def scheduled(live: Live) -> Scheduled:
    [run] = wait_for(lambda: live.runs("scheduled"), "the last night's run")
    assert live.end(run["dag_run_id"]) == "success"
    run_after = datetime.fromisoformat(run["run_after"])
    return Scheduled(run["dag_run_id"], run_after, live.store("store").current())


@dataclass(frozen=True)
class Manual:
    """Two runs triggered at once: one on the scheduled run's store fails, one is on a bucket."""

    failed: str
    bucket: str
    ratings: pd.DataFrame
    pairs: set[tuple[str, ...]]  # states in which both were seen
    current: str | None  # run of the first store that readers used then


@pytest.fixture(scope="module")
def manual(live: Live, scheduled: Scheduled) -> Manual:
    store, ratings = live.store("store"), random_ratings(n_users=12, seed=3)
    (store.landing / "bad.csv").write_text("shop,price\n1,2\n")
    live.bucket.put("landing/ratings.csv", ratings.to_csv(index=False))
    failed = live.airflow.trigger({"warm_start": False})
    bucket = live.airflow.trigger({"store": "connection:cofi_bucket", "top_n": 3})
    pairs = set()

    def ended() -> bool:
        states = tuple(live.airflow.state(run_id) for run_id in (failed, bucket))
        pairs.add(states)
        return set(states) <= {"success", "failed"}

    wait_for(ended, "both runs")
    return Manual(failed, bucket, ratings, pairs, store.current())


@dataclass(frozen=True)
class Healed:
    """The failed run, whose task was cleared once its bad file was gone; the DAG was paused."""

    id: str
    key: str
    paused: dict[str, Any]  # the tasks while the DAG was paused
    paused_state: str
    paused_current: str | None
    end: str
    current: str | None


@pytest.fixture(scope="module")
def healed(live: Live, manual: Manual) -> Healed:
    store, run_id = live.store("store"), manual.failed
    (store.landing / "bad.csv").unlink()
    live.clear(run_id, only_failed=True)
    wait_for(lambda: live.airflow.tasks(run_id)["ingest"]["state"] == "running", "ingest")
    live.pause(True)
    wait_for(lambda: live.airflow.tasks(run_id)["ingest"]["state"] == "success", "the running task")
    threading.Event().wait(5)  # a scheduler that still went on would have started normalize by now
    paused = live.airflow.tasks(run_id), live.airflow.state(run_id), store.current()
    live.pause(False)
    return Healed(run_id, live.key(run_id), *paused, live.end(run_id), store.current())


@dataclass(frozen=True)
class Past:
    """A backfill of two runs, both ended; the second one's ratings came after the first one's."""

    nights: list[datetime]
    parts: list[pd.DataFrame]
    ends: list[str]

    @property
    def keys(self) -> list[str]:
        return [run_key_at(night) for night in self.nights]


@pytest.fixture(scope="module")
def past(live: Live) -> Past:
    parts = [random_ratings(n_users=20, seed=seed) for seed in (5, 6)]
    store = live.store("past", parts[0], "0.csv")
    last = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=10)
    nights = [last - timedelta(days=1), last]
    backfill = {
        "dag_id": "cofi_nightly",
        "from_date": nights[0].isoformat(),
        "to_date": nights[-1].isoformat(),
        "max_active_runs": 1,
        "dag_run_conf": {"store": str(store.root)},
    }
    live.airflow.call("POST", "/api/v2/backfills", backfill)
    wait_for(lambda: store.outcome(run_key_at(nights[0]), "ingest"), "ingest")
    live.store("past", parts[1], "1.csv")
    return Past(nights, parts, [live.end(run["dag_run_id"]) for run in live.runs("backfill")])


def test_scheduled_run_publishes(live: Live, scheduled: Scheduled) -> None:
    assert (scheduled.run_after.hour, scheduled.run_after.minute) == (2, 0)
    assert scheduled.current == scheduled.key
    manifest = live.store("store").manifest(scheduled.key) or {}
    assert manifest["counts"]["recommend"]["users"] == 30


def test_late_run_is_reported_and_goes_on(live: Live, scheduled: Scheduled) -> None:
    subject = f"cofi_nightly: run {scheduled.id} is late"
    [text] = wait_for(lambda: [text for text in live.slack if text.startswith(subject)], "Slack")
    assert f"expected its end within {LATE_AFTER:g} minutes" in text
    assert f"<{live.airflow.url}/dags/cofi_nightly/runs/{quote(scheduled.id)}|log>" in text
    assert subject in wait_for(lambda: dict(live.mail).keys(), "mail")
    assert subject in (live.home / "log").read_text()


def test_two_manual_runs_queue(manual: Manual) -> None:
    assert ("running", "running") not in manual.pairs
    assert ("running", "queued") in manual.pairs
    assert ("failed", "success") in manual.pairs


def test_backfill_of_past_nights_takes_their_batches_in_order(live: Live, past: Past) -> None:
    assert past.ends == ["success"] * 2
    assert [datetime.fromisoformat(run["run_after"]) for run in live.runs("backfill")] == (
        past.nights
    ), "the oldest night starts first"
    store, keys = live.store("past"), past.keys
    assert store.batches() == store.published() == keys
    assert store.current() == keys[-1]
    taken = [(store.manifest(key) or {})["counts"]["ingest"]["rows_taken"] for key in keys]
    assert taken == [len(part) for part in past.parts]
    assert [(store.manifest(key) or {})["batches"] for key in keys] == [keys[:1], keys]


def test_a_run_on_a_store_in_a_bucket_with_settings_of_its_own(
    live: Live, manual: Manual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFI_CACHE", str(live.home / "reader"))
    run = current_run(open_store(live.bucket.address, live.bucket.options))
    assert run.key == live.key(manual.bucket)
    published = [name for name in live.bucket.names() if name.startswith("manifests/")]
    assert published == [f"manifests/{run.key}.json"]
    assert run.manifest["counts"]["ingest"]["rows_taken"] == len(manual.ratings)
    assert run.manifest["counts"]["recommend"]["users"] == 12
    assert run.manifest["settings"]["top_n"] == 3
    assert len(run.recommendations(str(manual.ratings["userId"][0])))
    # The server of the UI has no credentials for the bucket: its page says where the report is.
    page_of_run = f"/cofi/run?run_id={quote(manual.bucket, safe='')}"
    status, page, _ = get(live, page_of_run, live.airflow.token)
    assert (status, f"{live.bucket.address}/runs/{run.key}/report/report.html" in page) == (
        404,
        True,
    )
    shown = page + "".join(task_log(live, manual.bucket, task) for task in TASKS)
    assert not [
        secret
        for secret in (live.bucket.options["key"], live.bucket.options["secret"])
        if secret in shown
    ]


def test_failure_is_reported(live: Live, scheduled: Scheduled, manual: Manual) -> None:
    assert manual.current == scheduled.key, "yesterday's lists stay"
    subject = f"cofi_nightly: ingest failed in run {manual.failed}"
    [text] = wait_for(lambda: [text for text in live.slack if text.startswith(subject)], "Slack")
    assert "bad.csv: found the columns 'shop', 'price', expected" in text
    assert f"/runs/{quote(manual.failed)}/tasks/ingest?try_number=1|log>" in text
    assert "bad.csv: found the columns" in wait_for(lambda: dict(live.mail).get(subject), "mail")
    bad = live.store("store").landing / "bad.csv"
    assert f"{subject}: {bad}: found the columns" in task_log(live, manual.failed, "ingest")
    assert not [text for text in live.slack if "publish failed" in text], "only what failed itself"


def test_a_paused_dag_goes_on_where_it_was_and_a_cleared_task_heals_a_run(
    live: Live, manual: Manual, healed: Healed
) -> None:
    assert healed.paused_state == "running"
    assert {task["state"] for name, task in healed.paused.items() if name != "ingest"} <= {
        None,
        "scheduled",
    }
    assert healed.paused_current == manual.current
    assert healed.end == "success"
    assert healed.current == healed.key
    tasks = live.airflow.tasks(healed.id)
    assert tasks.pop("deliver")["state"] == "skipped"
    tries = {name: task["try_number"] for name, task in tasks.items()}
    assert tries == {task: 2 if task == "ingest" else 1 for task in TASKS}


def test_a_run_without_a_new_file_publishes_again_what_there_is(
    live: Live, scheduled: Scheduled, healed: Healed
) -> None:
    store = live.store("store")
    first, second = (store.manifest(key) or {} for key in (scheduled.key, healed.key))
    assert second["counts"]["ingest"]["rows_taken"] == 0
    assert second["counts"]["normalize"] == first["counts"]["normalize"]
    assert second["metrics"]["ranking"] == first["metrics"]["ranking"]


def test_clearing_a_published_run_changes_nothing(live: Live, scheduled: Scheduled) -> None:
    store, run_id = live.store("store"), scheduled.id
    before = {
        path: path.stat().st_mtime_ns for path in store.table(scheduled.key, "").rglob("*.parquet")
    }
    assert before
    live.clear(run_id, only_failed=False, task_ids=["train"], include_downstream=True)
    wait_for(lambda: live.airflow.tasks(run_id)["publish"]["try_number"] == 2, "the second try")
    assert live.end(run_id) == "success"
    assert "is published already, train has nothing to do" in task_log(
        live, run_id, "train", attempt=2
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before


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


def test_reports_are_for_those_who_are_logged_in(
    live: Live, scheduled: Scheduled, past: Past
) -> None:
    run_id, key = scheduled.id, scheduled.key
    store, token = live.store("store"), live.airflow.token
    title, root = f"CoFi report, run {key}", quote(str(store.root), safe="")
    user = current_run(store).users()["user_id"][0].as_py()
    pages = {
        f"/cofi/run?dag_id=cofi_nightly&run_id={quote(run_id, safe='')}": title,
        f"/cofi/report?store={root}&run_key={key}": title,
        "/cofi/runs": str(live.home / "past"),
        f"/cofi/look-up?store={root}&id={user}": f"User {user}, ",
    }
    for path, expected in pages.items():
        for wrong in ("", "no-token"):
            status, body, _ = get(live, path, wrong)
            assert status in (401, 403), path
            assert key not in body
        status, body, headers = get(live, path, token)
        assert status == 200, path
        assert expected in body
        policy = headers["Content-Security-Policy"]
        assert policy == f"{content_security_policy()}; frame-ancestors 'self'"
    before, after = (store.table(key, "report") / "report.html").read_text().split(SERVED)
    _, shown, _ = get(live, next(iter(pages)), token)
    assert shown.startswith(before)
    assert shown.endswith(after)
    assert 'action="look-up"' in shown[len(before) : -len(after)]
    _, body, _ = get(live, "/cofi/runs", token)
    assert f'href="../dags/cofi_nightly/runs/{quote(run_id, safe="")}"' in body
    for name in ("store", "past"):
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
        ("/cofi/look-up?store=/etc&id=x", 404),
        ("/cofi/look-up?store=STORE", 422),
        ("/cofi/report?store=STORE&run_key=../store", 400),
        ("/cofi/report?store=STORE&run_key=%2Fetc%2Fpasswd", 400),
        ("/cofi/report?store=STORE&run_key=x%00", 422),
        ("/cofi/report?store=STORE&run_key=unknown", 404),
        ("/cofi/nothing", 404),
        ("/cofi/openapi.json", 404),
        ("/cofi/docs", 404),
    ],
)
@pytest.mark.usefixtures("scheduled")
def test_addresses_that_name_no_report(live: Live, path: str, status: int) -> None:
    path = path.replace("STORE", quote(str(live.home / "store"), safe=""))
    answered, body, _ = get(live, path, live.airflow.token)
    assert answered == status
    assert has_no_script_but_ours(body)
    assert "Traceback" not in body
    assert "root:x:" not in body  # a line of /etc/passwd


def has_no_script_but_ours(body: str) -> bool:
    """Whether a page has no script, or the one whose hash the pages' policy names."""
    scripts = re.findall(r"<script>(.*?)</script>", body, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    return body.lower().count("<script") == len(scripts) and all(
        f"'sha256-{each}'" in content_security_policy() for each in hashes
    )


def task_log(live: Live, run_id: str, task: str, attempt: int = 1) -> str:
    """A task's log as Airflow keeps it."""
    folder = live.home / "logs" / "dag_id=cofi_nightly" / f"run_id={run_id}" / f"task_id={task}"
    return (folder / f"attempt={attempt}.log").read_text()
