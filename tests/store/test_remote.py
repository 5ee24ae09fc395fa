"""Nights in a store in a bucket, over real HTTP: what readers see, what moves, two writers, and kills on the way."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cofi_jobs import read
from cofi_jobs.airflow_integration.child import run_in_child
from cofi_jobs.core.errors import CofiError, SettingsError, StoreError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import lease
from cofi_jobs.store.objects import ConflictError, Objects
from cofi_jobs.store.open import open_store
from cofi_jobs.store.remote import RemoteStore
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.publish import prune
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place
from tests.support.command_line import SETTINGS, cofi
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.kills import die_before
from tests.support.live import wait_for
from tests.support.nights import run_night
from tests.support.processes import exit_code
from tests.support.repository import ROOT, blocks


def elsewhere(place: Place, environment: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """The store as another worker sees it, whose cache is empty."""
    environment.setenv("COFI_CACHE", str(tmp_path / "elsewhere"))
    return open_store(place.address)


def night(place: Place, run_key: str, seed: int, quick: Settings) -> Store:
    frame = random_ratings(seed=seed, n_users=20, n_items=12)
    place.put(f"landing/{run_key}.csv", frame.to_csv(index=False))
    store = open_store(place.address)
    run_night(store, quick.model_copy(update={"settle_seconds": 0}), run_key)
    return store


def published(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.read("CURRENT.json"))
    return found


def check_complete(place: Place, run_key: str) -> None:
    """All files of a published run are as its manifest says, and read as tables."""
    manifest = json.loads(place.read(f"manifests/{run_key}.json"))
    assert {file["path"].split("/")[0] for file in manifest["files"]} >= {
        "recommendations",
        "similar_items",
        "model",
    }
    for file in manifest["files"]:
        content = place.read(f"runs/{run_key}/{file['path']}")
        assert hashlib.sha256(content).hexdigest() == file["sha256"], file["path"]


class Moved:
    """What went through `Objects` meanwhile, by name."""

    def __init__(self, environment: pytest.MonkeyPatch) -> None:
        self.down: list[str] = []
        self.up: list[str] = []
        download, upload, write = Objects.download, Objects.upload, Objects.write

        def downloads(objects: Objects, files: Any) -> None:
            self.down += files
            download(objects, files)

        def uploads(objects: Objects, files: Any) -> None:
            self.up += files
            upload(objects, files)

        def writes(objects: Objects, name: str, *rest: Any) -> str:
            self.up += [name] if name != lease.NAME else []
            return write(objects, name, *rest)

        environment.setattr(Objects, "download", downloads)
        environment.setattr(Objects, "upload", uploads)
        environment.setattr(Objects, "write", writes)


def test_nights_move_what_is_new_only_and_readers_read_in_place(
    place: Place, quick: Settings, environment: pytest.MonkeyPatch, tmp_path: Path
):
    moved = Moved(environment)
    store = night(place, "n1", 0, quick)
    assert set(moved.down) == {"landing/n1.csv"}
    check_complete(place, "n1")
    assert published(place) == {"run_key": "n1", "path": "runs/n1"}
    names = place.names()
    assert not [name for name in names if "/." in f"/{name}" and name != ".lease"], (
        "nothing temporary"
    )
    assert "current" not in names

    moved = Moved(environment)
    night(place, "n2", 1, quick)
    assert set(moved.down) == {"landing/n2.csv"}, "on the same worker nothing is fetched twice"
    assert not [name for name in moved.up if "n1" in name and name != "manifests/n1.left"]
    check_complete(place, "n1")
    check_complete(place, "n2")

    moved = Moved(environment)
    run = read.current_run(elsewhere(place, environment, tmp_path))
    assert run.key == "n2"
    [user, *_] = run.users()["user_id"]
    local = pd.read_parquet(store.table("n2", "recommendations"), filters=[("user_id", "==", user)])
    own = read.recommendations(place.address, str(user))
    pd.testing.assert_frame_equal(own, local.reset_index(drop=True), check_dtype=False)
    assert len(run.rated(str(user)))
    assert len(run.popular_items())
    assert moved.down == [], "a reader downloads no files"
    assert not list((tmp_path / "elsewhere").rglob("*.parquet"))


def test_a_night_on_changing_workers_is_the_same(
    s3: Place, quick: Settings, environment: pytest.MonkeyPatch, tmp_path: Path
):
    """Each task on a worker whose cache is empty; against a store in a folder."""
    night(s3, "n1", 0, quick)
    folder = Store(tmp_path / "folder").create()
    for run_key, seed in (("n1", 0), ("n2", 1)):
        frame = random_ratings(seed=seed, n_users=20, n_items=12)
        write_ratings(folder.landing / f"{run_key}.csv", frame)
        run_night(folder, quick, run_key)
    s3.put("landing/n2.csv", (folder.landing / "n2.csv").read_bytes())
    for task in (task for task in TASKS if task != "report"):
        environment.setenv("COFI_CACHE", str(tmp_path / task))
        run_task(task, open_store(s3.address), quick.model_copy(update={"settle_seconds": 0}), "n2")
    for name in ("recommendations", "similar_items", "popular_items"):
        ours = pd.read_parquet(f"{s3.address}/runs/n2/{name}", storage_options=s3.options)
        pd.testing.assert_frame_equal(
            ours, pd.read_parquet(folder.table("n2", name)), check_dtype=False
        )
    mirrored = {name for name in s3.names() if not name.startswith(".")}
    files = {str(p.relative_to(folder.root)) for p in folder.root.rglob("*") if p.is_file()}
    assert mirrored == {name for name in files if not name.startswith((".", "current/"))}
    trained = {
        str(p.relative_to(tmp_path / "train")) for p in (tmp_path / "train").rglob("*.parquet")
    }
    assert trained
    assert not [name for name in trained if "/ratings/" in name], "train needs no batches"


def test_the_way_to_read_of_the_document(s3: Place, quick: Settings):
    night(s3, "n1", 0, quick)
    names: dict[str, Any] = {"options": s3.options}
    [code] = blocks("docs/outputs.md", "python bucket")
    exec(code.replace("STORE", s3.address), names)
    assert names["run"] == f"{s3.address}/runs/n1"
    assert set(names["lists"]["user_id"]) == set(
        random_ratings(seed=0, n_users=20, n_items=12)["userId"]
    )


def test_command_line(s3: Place, tmp_path: Path, quick: Settings):
    night(s3, "n1", 0, quick)
    ratings = write_ratings(tmp_path / "ratings.csv", random_ratings())
    items = tmp_path / "movies.csv"
    items.write_text("movieId,title,genres\n100,One,Drama\n")
    ended = cofi(
        "run",
        "--store",
        s3.address,
        "--ratings",
        ratings,
        "--items",
        items,
        "--run-key",
        "n2",
        *SETTINGS,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"recommendations: {s3.address}/runs/n2/recommendations" in ended.stdout
    assert "canary" not in ended.stderr + ended.stdout
    ended = cofi("runs", "--store", s3.address)
    assert "current" in ended.stdout
    assert "published" in ended.stdout
    assert cofi("rollback", "n1", "--store", s3.address).returncode == 0
    assert published(s3)["run_key"] == "n1"
    assert cofi("show", "user", "10", "--store", s3.address).returncode == 0
    assert "One" in s3.read("catalogue/movies.csv").decode()


def test_a_failed_task_is_recorded_in_the_bucket_and_readers_stay(s3: Place, quick: Settings):
    night(s3, "n1", 0, quick)
    s3.put("landing/bad.csv", "shop,price\n1,2\n")
    with pytest.raises(Exception, match="found the columns"):
        run_task("ingest", open_store(s3.address), quick, "n2")
    assert "found the columns" in json.loads(s3.read("tasks/n2/ingest.failed.json"))["error"]
    assert published(s3)["run_key"] == "n1"


def test_a_task_of_airflow_reads_its_childs_outcome_from_the_bucket(
    s3: Place, environment: pytest.MonkeyPatch
):
    environment.delenv("COFI_STORE_OPTIONS")
    s3.put("landing/bad.csv", "shop,price\n1,2\n")
    lines: list[str] = []
    with pytest.raises(CofiError, match=r"found the columns 'shop', 'price'"):
        run_in_child("ingest", s3.address, {}, "n1", lines.append, s3.options)
    s3.put("landing/bad.csv", random_ratings().to_csv(index=False))
    outcome = run_in_child(
        "ingest", s3.address, {"settle_seconds": 0}, "n1", lines.append, s3.options
    )
    assert outcome["rows_taken"] == len(random_ratings())
    assert "tasks/n1/ingest.failed.json" not in s3.names()
    assert "canary" not in "\n".join(lines)


# ---- kills


def publish_and_die(address: str, step: int) -> None:
    die_before(step, [(Objects, name) for name in ("upload", "remove", "write")])
    run_task("publish", open_store(address), load_settings(QUICK), "n2")


def recommend_and_die(address: str, step: int) -> None:
    die_before(step, [(Objects, name) for name in ("upload", "remove", "write")])
    run_task("recommend", open_store(address), load_settings([*QUICK, "top_n=3"]), "n2")


def killed(work: Any, place: Place, step: int) -> bool:
    code = exit_code(work, place.address, step)
    assert code in (0, -signal.SIGKILL)
    if code:  # as if its time were over
        place.filesystem.rm_file(f"{place.address}/{lease.NAME}")
    return code != 0


def test_publish_killed_anywhere_leaves_yesterdays_run_or_todays(s3: Place, quick: Settings):
    night(s3, "n1", 0, quick)
    s3.put("landing/n2.csv", random_ratings(seed=1).to_csv(index=False))
    for task in list(TASKS)[:-1]:
        if task != "report":
            run_task(
                task, open_store(s3.address), quick.model_copy(update={"settle_seconds": 0}), "n2"
            )
    step, seen = 1, set()
    while killed(publish_and_die, s3, step):
        key = published(s3)["run_key"]
        seen.add(key)
        check_complete(s3, "n1")
        check_complete(s3, key)
        assert len(read.current_run(s3.address).popular_items())
        step += 1
    assert seen == {"n1", "n2"}
    assert published(s3)["run_key"] == "n2"
    check_complete(s3, "n2")


def test_a_task_done_anew_and_killed_never_counts_by_halves(s3: Place, quick: Settings):
    s3.put("landing/n2.csv", random_ratings(seed=1).to_csv(index=False))
    for task in list(TASKS)[:-2]:
        run_task(task, open_store(s3.address), quick.model_copy(update={"settle_seconds": 0}), "n2")
    before = s3.read("tasks/n2/recommend.json")
    table = {
        name: s3.read(name) for name in s3.names() if name.startswith("runs/n2/recommendations/")
    }
    step = 1
    while killed(recommend_and_die, s3, step):
        if "tasks/n2/recommend.json" in s3.names() and s3.read("tasks/n2/recommend.json") == before:
            assert {name: s3.read(name) for name in table} == table, "what counts is as it was"
        step += 1
    assert step > 4
    assert json.loads(s3.read("tasks/n2/recommend.json"))["settings"]["top_n"] == 3
    assert "tasks/n2/evaluate.json" not in s3.names(), "what was made from it is out of date"


HOLD = """
import os, signal, sys
from cofi_jobs.store.open import open_store
with open_store(sys.argv[1]).lock("ingest"):
    print("held", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lease_of_a_killed_process_is_taken_over(
    s3: Place, quick: Settings, caplog: pytest.LogCaptureFixture
):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COFI_LEASE_SECONDS": "1",
    }
    s3.put("landing/a.csv", random_ratings().to_csv(index=False))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, s3.address], env=environment, stdin=-1, stdout=-1, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.communicate("")
    assert holder.returncode == -signal.SIGKILL
    run_task("ingest", open_store(s3.address), quick, "n1")
    assert f"took the lease on {s3.address} over from" in caplog.text
    assert "tasks/n1/ingest.json" in s3.names()


# ---- two writers


def test_the_second_writer_waits_and_neither_is_lost(
    place: Place, environment: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    place.put("lists/allow.txt", "100\n")
    caplog.set_level("INFO")
    environment.setenv("COFI_LEASE_SECONDS", "3")
    first, second = open_store(place.address), elsewhere(place, environment, tmp_path)
    seen: list[Any] = []

    def other() -> None:
        with second.lock("ingest") as copy:
            seen.append(copy.records.properties())
            copy.records.write_properties({"n": 2})

    thread = threading.Thread(target=other)
    with first.lock("ingest") as copy:
        thread.start()
        # It outlives the lease's three seconds: the holder renews it.
        wait_for(lambda: "waiting for" in caplog.text, "the second to wait", 10)
        threading.Event().wait(3.5)
        assert seen == []
        copy.records.write_properties({"n": 1})
    thread.join()
    assert seen == [{"n": 1}]
    assert json.loads(place.read("store.json")) == {"n": 2}
    assert "over from" not in caplog.text


def test_who_has_lost_the_lease_writes_nothing(
    s3: Place, environment: pytest.MonkeyPatch, tmp_path: Path
):
    s3.put("lists/allow.txt", "100\n")
    environment.setenv("COFI_LEASE_SECONDS", "1")
    first = open_store(s3.address)
    environment.setattr(lease.Lease, "_renew", lambda self: None)  # as a process that is stopped
    with pytest.raises(
        RuntimeError, match=r"the lease on .* was lost, so nothing more is written there"
    ):
        with first.lock("ingest") as copy:
            copy.records.write_properties({"n": 1})
            with elsewhere(s3, environment, tmp_path).lock("ingest"):
                pass
            threading.Event().wait(1)
    assert "store.json" not in s3.names()


def test_a_record_that_somebody_changed_meanwhile_is_not_overwritten(place: Place):
    """Also by one who has no lease."""
    place.put("store.json", '{"n": 0}')
    store = open_store(place.address)
    with pytest.raises(
        ConflictError, match=f"{place.address}/store.json was written by somebody else meanwhile"
    ):
        with store.lock("ingest") as copy:
            copy.records.write_properties({"n": 1})
            place.put("store.json", '{"n": 2}')
    assert place.read("store.json") == b'{"n": 2}'
    with pytest.raises(ConflictError):
        with store.lock("ingest") as copy:
            copy.records.write_tuned({"n": 1})
            place.put("settings.json", "{}")
    assert place.read("settings.json") == b"{}"
    assert store.records.properties() == {"n": 2}


# ---- erasing, pruning, addresses


def test_erased_users_are_gone_from_the_bucket_and_old_runs_go(
    s3: Place, quick: Settings, environment: pytest.MonkeyPatch, tmp_path: Path
):
    quick = quick.model_copy(update={"recommendation_files": "per-user"})
    for run_key, seed in (("n1", 0), ("n2", 1), ("n3", 2)):
        night(s3, run_key, seed, quick)
    user = "13"
    assert erase(elsewhere(s3, environment, tmp_path), quick, [user], now=True).remaining == []
    for key in ("n1", "n2", "n3"):
        check_complete(s3, key)
        lists = pd.read_parquet(
            f"{s3.address}/runs/{key}/recommendations", storage_options=s3.options
        )
        assert 10 in set(lists["user_id"])
        assert 13 not in set(lists["user_id"])
    assert "landing/n1.csv" not in s3.names()
    assert look(elsewhere(s3, environment, tmp_path / "again"), quick, [user]).remaining == []

    store = elsewhere(s3, environment, tmp_path / "third")
    with store.lock("publish", "n3", needs=("runs/*",)) as copy:
        assert not list(copy.table("n1", "model").glob("*")), "an old run's tables are not fetched"
        assert prune(copy, 2, "n3") == ["n1"]
    assert not [name for name in s3.names() if name.startswith("runs/n1/")]
    assert store.run_keys() == store.published() == ["n2", "n3"]


class Killed(BaseException):
    """As if the process were killed: nothing is caught or tidied up on its way."""


def test_an_erasure_killed_anywhere_is_done_when_it_is_run_again(
    s3: Place, quick: Settings, environment: Any
):
    night(s3, "n1", 0, quick)
    saved = {name: s3.read(name) for name in s3.names()}
    step, steps = 0, [0]
    while steps[0] >= 0:
        step += 1
        steps[0] = step
        for name in s3.names() - set(saved):
            s3.filesystem.rm_file(f"{s3.address}/{name}")
        for name, content in saved.items():
            s3.put(name, content)
        with environment.context() as patched:
            for method in ("upload", "remove", "write"):
                patched.setattr(Objects, method, dying(getattr(Objects, method), steps))
            try:
                erase(open_store(s3.address), quick, ["13"], now=True)
            except Killed:
                steps[0] = 0
            else:
                steps[0] = -1
        if any(tomb["pending"] == [] for tomb in open_store(s3.address).records.tombstones()):
            assert look(open_store(s3.address), quick, ["13"]).remaining == [], "done is done"
        assert erase(open_store(s3.address), quick, ["13"], now=True).remaining == []
    assert step > 5
    check_complete(s3, "n1")


def dying(original: Any, left: list[int]) -> Any:
    """A method of `Objects` that is the last thing to happen in a process; the lease aside."""

    def change(objects: Objects, *arguments: Any) -> Any:
        if arguments[0] != lease.NAME:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return original(objects, *arguments)

    return change


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "s3://bucket",
            "found the bucket s3://bucket as a store, expected a folder in it: s3://bucket/<folder>",
        ),
        ("ftp://host/store", "found a store whose location starts with 'ftp:', expected a folder"),
    ],
)
def test_addresses_that_are_no_store(address: str, message: str, environment: pytest.MonkeyPatch):
    with pytest.raises(SettingsError, match=message):
        open_store(address)


def test_an_address_of_a_folder_is_that_folder(tmp_path: Path):
    assert open_store(f"file://{tmp_path}/a%20store").root == tmp_path / "a store"


def test_a_place_without_a_store_is_named(s3: Place, quick: Settings):
    with pytest.raises(
        StoreError, match=f"found no store in {s3.address}, expected one in which ingest has run"
    ):
        run_task("normalize", open_store(s3.address), quick, "n1")
    with pytest.raises(StoreError, match=f"found no published run in {s3.address}"):
        read.recommendations(s3.address, "1")
    assert isinstance(open_store(s3.address), RemoteStore)
