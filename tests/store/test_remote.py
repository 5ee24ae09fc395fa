"""Runs in a store in a bucket, over real HTTP: what readers see, what moves, what fails."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cofi_jobs import read
from cofi_jobs.airflow_integration.child import run_in_child
from cofi_jobs.core.errors import CofiError
from cofi_jobs.serve import Recommender, recommend_for
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import lease
from cofi_jobs.store.batches import checked_parts
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.objects import ConflictError, Objects
from cofi_jobs.store.open import open_store
from cofi_jobs.store.removal import remove_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.publish import prune
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.run_split import files_of, parts_of_users, read_part
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place
from tests.support.command_line import SETTINGS, cofi
from tests.support.data import random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.remote import (
    check_complete,
    elsewhere,
    night,
    published,
    put_store,
    ratings_of,
)
from tests.support.repository import blocks


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_service_recommends_in_place_and_follows_the_nights(
    place: Place,
    one_published: Store,
    two_published: Store,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
):
    put_store(place, one_published)
    moved = Moved(environment)
    recommender = Recommender(elsewhere(place, environment, tmp_path))
    run = read.current_run(place.address).arrow
    for user in run.users()["user_id"].to_pylist()[:5]:
        listed, published = recommender.recommend_for({}, user_id=user), run.recommendations(user)
        assert [row.item_id for row in listed] == published["item_id"].to_pylist()
        assert [row.because_item_id for row in listed] == published["because_item_id"].to_pylist()
    place.put("lists/deny.txt", f"{listed[0].item_id}\n")
    again = recommend_for(place.address, {}, user_id=user, options=place.options)
    assert [row.item_id for row in again[:3]] == [row.item_id for row in listed[1:4]]
    assert moved.down == [], "a service downloads no files"
    put_store(place, two_published)
    recommender.recommend_for({})
    assert recommender.run_key == "n2"


@pytest.mark.slow
def test_a_night_on_changing_workers_is_the_same(
    s3: Place,
    quick: Settings,
    one_published: Store,
    two_published: Store,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """Each task on a worker whose cache is empty; against a store in a folder."""
    put_store(s3, one_published)
    folder = two_published
    s3.put("landing/n2.csv", (folder.landing / "n2.csv").read_bytes())
    for task in (task for task in TASKS if task != "report"):
        environment.setenv("COFI_CACHE", str(tmp_path / task))
        run_task(task, open_store(s3.address), quick.model_copy(update={"settle_seconds": 0}), "n2")
    for name in ("recommendations", "similar_items", "popular_items"):
        ours = pd.read_parquet(f"{s3.address}/runs/n2/{name}", storage_options=s3.options)
        pd.testing.assert_frame_equal(
            ours, pd.read_parquet(folder.table("n2", name)), check_dtype=False
        )
    copied = {name for name in s3.names() if not name.startswith(".")}
    files = {str(p.relative_to(folder.root)) for p in folder.root.rglob("*") if p.is_file()}
    assert copied == {name for name in files if not name.startswith((".", "current/"))}
    trained = {
        str(p.relative_to(tmp_path / "train")) for p in (tmp_path / "train").rglob("*.parquet")
    }
    assert trained
    assert not [name for name in trained if "/ratings/" in name], "train needs no batches"


def test_the_way_to_read_of_the_document(s3: Place, one_published: Store):
    put_store(s3, one_published)
    names: dict[str, Any] = {"options": s3.options}
    [code] = blocks("docs/outputs.md", "python bucket")
    exec(code.replace("STORE", s3.address), names)
    assert names["run"] == f"{s3.address}/runs/n1"
    assert set(names["lists"]["user_id"]) == set(ratings_of(0)["userId"])


@pytest.mark.slow
def test_command_line(s3: Place, tmp_path: Path, one_published: Store):
    put_store(s3, one_published)
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


def test_a_failed_task_is_recorded_in_the_bucket_and_readers_stay(
    s3: Place, quick: Settings, one_published: Store
):
    put_store(s3, one_published)
    s3.put("landing/bad.csv", "shop,price\n1,2\n")
    with pytest.raises(Exception, match="found the columns"):
        run_task("ingest", open_store(s3.address), quick, "n2")
    assert "found the columns" in json.loads(s3.read("tasks/n2/ingest.failed.json"))["error"]
    assert published(s3)["run_key"] == "n1"


@pytest.mark.slow
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


def test_a_record_that_somebody_changed_meanwhile_is_not_overwritten(place: Place):
    """Also by one who has no lease."""
    mine = {"user_id": "integer", "item_id": "integer", "scale": [1, 5]}
    theirs = json.dumps(mine | {"scale": [1, 10]})
    place.put("store.json", json.dumps(mine | {"scale": None}))
    store = open_store(place.address)
    with pytest.raises(
        ConflictError, match=f"{place.address}/store.json was written by somebody else meanwhile"
    ):
        with store.lock("ingest") as copy:
            copy.records.write_properties(mine)
            place.put("store.json", theirs)
    assert place.read("store.json").decode() == theirs
    with pytest.raises(ConflictError):
        with store.lock("ingest") as copy:
            copy.records.write_tuned({"n": 1})
            place.put("settings.json", "{}")
    assert place.read("settings.json") == b"{}"
    assert store.records.properties() == json.loads(theirs)


@pytest.mark.slow
def test_erased_users_are_gone_from_the_bucket_and_old_runs_go(
    s3: Place, quick: Settings, environment: pytest.MonkeyPatch, tmp_path: Path
):
    quick = quick.model_copy(update={"recommendation_files": "per-user"})
    nights = Store(tmp_path / "nights").create()
    for seed, run_key in enumerate(("n1", "n2", "n3")):
        frame = random_ratings(seed=seed, n_users=5, n_items=12)
        write_ratings(nights.landing / f"{run_key}.csv", frame)
        run_night(nights, quick, run_key)
    put_store(s3, nights)
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


def test_a_task_finds_the_folders_that_it_needs(
    s3: Place, one_published: Store, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also with an empty cache: nothing that a task asks for is silently empty."""
    put_store(s3, one_published)
    taken = json.loads(s3.read("tasks/n1/ingest.json"))["rows_taken"]
    moved = Moved(environment)
    with elsewhere(s3, environment, tmp_path).lock("audit", "n1", needs=("ratings",)) as copy:
        parts = sorted(copy.root.glob("ratings/batch=*/*.parquet"))
        assert sum(len(pd.read_parquet(part)) for part in parts) == taken > 0
        assert not [name for name in moved.down if name.startswith(("runs/", "landing/"))]
        assert not list(copy.table("n1", "model").glob("*"))
        copy.fetch("runs/*/model")
        assert list(copy.table("n1", "model").glob("*.parquet"))
        assert not list(copy.table("n1", "normalized").glob("*"))
    assert moved.up == []


def test_a_worker_on_another_machine_reads_its_ratings_in_the_bucket(
    s3: Place,
    quick: Settings,
    one_published: Store,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    put_store(s3, one_published)
    with open_store(s3.address).lock("train", "n1", needs=("runs/*/normalized",)) as copy:
        expected, expected_mask = read_split(copy, "n1", quick)
        location = copy.location
    store, moved = elsewhere(s3, environment, tmp_path), Moved(environment)
    assert store.location == location
    files = files_of(store, "n1", "ray")
    parts = [read_part(files, quick, part, 12) for part in parts_of_users(files("users"), 2)]
    assert len(parts) == 2
    for column in ("item_index", "rating"):
        joined = np.concatenate([getattr(ratings, column) for ratings, _ in parts])
        np.testing.assert_array_equal(joined, getattr(expected, column))
    np.testing.assert_array_equal(np.concatenate([mask for _, mask in parts]), expected_mask)
    assert moved.down == []


@pytest.mark.parametrize("folder", ["user_id=7/data[1]", "it's {a} *", "Größe #1 %41"])
def test_names_of_folders_in_a_bucket_are_no_patterns_and_no_columns(
    s3: Place, quick: Settings, folder: str
):
    decoy, place = (Place(f"{s3.address}/{name}", s3.options) for name in ("data1", folder))
    decoy.put("landing/a.csv", "userId,movieId,rating\n999,1,5\n")
    frame = random_ratings(n_users=20, n_items=12)
    place.put("landing/ratings.csv/date=2024-01-01/part-0.csv", frame.to_csv(index=False))
    store = open_store(place.address)
    for task in ("ingest", "normalize"):
        run_task(task, store, quick.model_copy(update={"settle_seconds": 0}), "n1")
    assert store.batches() == ["n1"]
    assert open_store(place.address).batches() == ["n1"], "on a worker that lists the bucket anew"
    assert store.required_outcome("n1", "normalize")["n_users"] == frame["userId"].nunique()
    assert {name.split("/")[0] for name in place.names()} > {"landing", "ratings", "runs", "tasks"}


def test_batches_are_compacted_by_who_does_not_hold_the_lease(
    s3: Place, environment: pytest.MonkeyPatch, tmp_path: Path
):
    store, settings = open_store(s3.address), load_settings(["max_batches=2", "settle_seconds=0"])
    for seed, key in enumerate(("n1", "n2", "n3")):
        s3.put(f"landing/{key}.csv", random_ratings(seed=seed).to_csv(index=False))
        run_task("ingest", store, settings, key)
        with store.lock("publish") as copy:
            remove_run(copy, key)  # it is no longer under way
    assert compact(store, settings) == ["n1", "n2"]
    names = {name.partition("/part-")[0] for name in s3.names() if name.startswith("ratings/")}
    assert names == {"ratings/merged/up-to-n2.parquet", "ratings/batch=n3"}
    with elsewhere(s3, environment, tmp_path).lock("verify") as copy:
        assert len(checked_parts(copy)) == 2
