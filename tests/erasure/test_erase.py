"""Erasure: no trace is left, others' data is untouched, after any kill; the erased stay erased."""

import fcntl
import functools
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.cli.show.erasure import erased as show_erased
from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.erasure import erase as module
from cofi_jobs.erasure.scan import Traces
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.batches import compacted_part
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.manifest_files import describe
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.removal import remove_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.damage import verified
from tests.support.data import QUICK, random_ratings, settle, write_ratings
from tests.support.kills import die_before, killed_at_each_step
from tests.support.nights import run_night

USER, NAME = 987654321, "987654321"
SOON = int(time.time()) + 3600  # after an erasure in the tests
OTHERS_RAW = "13,107,bad,1000000000"


def with_user(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[frame["userId"] == 10, "userId"] = USER
    return frame


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two published runs and one that ended after training, each with the user in all its files."""
    store = Store(tmp_path_factory.mktemp("nights") / "store").create()
    settings = load_settings(QUICK)
    path = write_ratings(store.landing / "a.csv", with_user(random_ratings()))
    with path.open("a") as file:
        file.write(
            f"{NAME},107,bad,1000000000\n{OTHERS_RAW}\n{NAME},107\n13,114\n{NAME},107,4,yesterday\n"
        )
    run_night(store, settings, "night-1")
    write_ratings(
        store.landing / "b.csv", with_user(random_ratings(seed=1)).assign(timestamp=1_100_000_000)
    )
    run_night(store, settings, "night-2")
    write_ratings(
        store.landing / "c.csv", with_user(random_ratings(seed=2)).drop(columns="timestamp")
    )
    for task in list(TASKS)[:3]:
        run_task(task, store, settings, "night-3")
    store.records.write_failure(
        "night-3", "recommend", {"error": f"found the user_id '{NAME}', too bad", "permanent": True}
    )
    report = store.table("night-2", "report")
    report.mkdir()
    (report / "report.html").write_text(f"<table><tr><td>{NAME}</td></tr></table>")
    return store


@pytest.fixture
def store(nights: Store, tmp_path: Path) -> Store:
    return copy_of(nights, tmp_path / "copy")


def copy_of(store: Store, root: Path) -> Store:
    """A copy of a store in which the records of files name the copy's landing folder."""
    shutil.copytree(store.root, root, symlinks=True)
    for path in root.glob("tasks/*/ingest.json"):
        path.write_text(path.read_text().replace(str(store.root), str(root)))
    return Store(root)


@functools.cache
def text_of(content: bytes) -> str:
    """A Parquet file as text; most files of a store are those of the store before."""
    return pq.read_table(io.BytesIO(content)).to_pandas().to_csv()


@functools.cache
def without_user(content: bytes, users: bytes | None) -> str:
    """A Parquet file as text without the user's rows, row numbers of users told by their ids."""
    frame = pq.read_table(io.BytesIO(content)).to_pandas()
    if users is not None:
        ids = pd.read_parquet(io.BytesIO(users)).set_index("user_index")["user_id"]
        frame["user_id"] = frame["user_index"].map(ids)
    if "user_index" in frame:
        frame = frame.drop(columns="user_index")
    if "raw" in frame:
        frame = frame[frame["raw"].notna() & ~frame["raw"].astype(str).str.contains(NAME)]
    elif "user_id" in frame:
        frame = frame[frame["user_id"] != USER]
    return frame.to_csv(index=False)


def trace(store: Store, name: str = NAME) -> set[str]:
    """Files with the id anywhere: the oracle, which knows nothing of tables."""
    hits = set()
    for path in store.root.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        is_table = path.suffix == ".parquet"
        text = text_of(content) if is_table else content.decode("utf-8", errors="replace")
        if name in text or name in str(path.relative_to(store.root)):
            hits.add(str(path.relative_to(store.root)))
    return hits


def everything(store: Store) -> dict[str, str]:
    """All tables without the user, by name."""
    contents = {}
    for path in sorted(store.root.rglob("*.parquet")):
        if path.is_relative_to(store.landing):
            continue
        columns = pq.read_schema(path).names
        by_number = "user_index" in columns and "user_id" not in columns
        users = path.with_name("users.parquet").read_bytes() if by_number else None
        name = str(path.relative_to(store.root)).partition("-erased-")[0].removesuffix(".parquet")
        contents[name] = without_user(path.read_bytes(), users)
    return contents


def parquet_metadata(store: Store) -> dict[str, Any]:
    """What readers learn of the columns of published tables."""
    files = store.root.glob("runs/*/[rem]*/*.parquet")
    metadata = {path: pq.read_metadata(path).metadata or {} for path in files}
    return {
        str(path.relative_to(store.root)): {k: v for k, v in of.items() if k != b"ARROW:schema"}
        for path, of in metadata.items()
    }


def manifests_are_true(store: Store) -> None:
    for key in store.published():
        manifest = store.manifest(key)
        assert manifest is not None
        for file in manifest["files"]:
            path = store.table(key, "") / file["path"]
            content = path.read_bytes()
            assert (file["bytes"], file["sha256"]) == (
                len(content),
                hashlib.sha256(content).hexdigest(),
            )
            assert file == describe(path, store.table(key, ""))


def test_the_user_was_everywhere(nights: Store) -> None:
    hits = trace(nights)
    for start in (
        "landing/a.csv",
        "ratings/",
        "rejected/",
        "runs/night-1/recommendations",
        "runs/night-1/model",
        "runs/night-1/trial",
        "runs/night-1/evaluation",
        "runs/night-3/normalized",
        "runs/night-3/model",
        "runs/night-2/report",
        "tasks/night-3/recommend.failed.json",
    ):
        assert any(hit.startswith(start) for hit in hits), start
    traces = look(nights, load_settings(), [NAME])
    assert set(traces.remaining) == hits - {hit for hit in hits if hit.startswith("landing")}
    assert set(traces.waiting) == {"landing/a.csv", "landing/b.csv", "landing/c.csv"}


def test_at_once_nothing_is_left_and_the_others_are_as_before(store: Store) -> None:
    before, metadata = everything(store), parquet_metadata(store)
    traces = erase(store, load_settings(), [NAME], now=True)
    assert (traces.remaining, traces.waiting) == ([], [])
    assert parquet_metadata(store) == metadata
    assert trace(store) == set()
    assert everything(store) == before
    manifests_are_true(store)
    notes = [store.manifest(key)["erasures"] for key in ("night-1", "night-2")]  # type: ignore[index]
    assert [len(of) for of in notes] == [1, 1]
    assert notes[0][0]["users"] == 1
    assert set(notes[0][0]) == {"time", "users"}
    assert (store.root / "erased.key").stat().st_mode & 0o777 == 0o600
    rejected = pd.concat(map(pd.read_parquet, store.root.glob("rejected/*/*.parquet")))
    assert sorted(rejected["raw"].dropna()) == ["13,107,bad,1000000000", "13,114"]
    assert (rejected["reason"] == "erased").sum() == 3


def test_published_tables_wait_for_the_next_publication(store: Store, quick: Settings) -> None:
    published = {key: store.table(key, "recommendations") for key in ("night-1", "night-2")}
    before = {
        key: [path.read_bytes() for path in sorted(folder.iterdir())]
        for key, folder in published.items()
    }
    traces = erase(store, load_settings(), [NAME])
    assert traces.remaining == []
    assert trace(store) == set(traces.waiting)
    assert {name.split("/")[1].removesuffix(".json") for name in traces.waiting} == {
        "night-1",
        "night-2",
    }
    assert before == {
        k: [p.read_bytes() for p in sorted(folder.iterdir())] for k, folder in published.items()
    }
    for task in list(TASKS)[3:]:  # the run that was under way goes on
        run_task(task, store, quick, "night-3")
    assert trace(store) == set()
    manifests_are_true(store)
    assert not len(current_run(store).recommendations(NAME))
    assert len(current_run(store).recommendations("13")) == 5


def test_a_replayed_file_does_not_bring_the_user_back(store: Store, quick: Settings) -> None:
    erase(store, load_settings(), [NAME], now=True)
    frame = with_user(random_ratings())
    own = int((frame["userId"] == USER).sum())
    path = write_ratings(store.landing / "again.csv", frame)
    with path.open("a") as file:
        file.write(f"{NAME},107,bad,1000000000\n{NAME},107\n13,114\n")
    outcomes = run_night(store, quick, "night-4")
    ingested = outcomes["ingest"]
    assert ingested["reasons"] == {"erased": own + 2, "line is malformed": 1}
    assert (
        ingested["rows_read"] == len(frame) + 3 == ingested["rows_taken"] + ingested["rows_refused"]
    )
    assert trace(store) == set()
    assert not path.exists()  # its other rows are in the batch
    rejected = pd.concat(map(pd.read_parquet, store.rejected("night-4").iterdir()))
    assert rejected["raw"].dropna().tolist() == ["13,114"]


@pytest.mark.parametrize("name", ["a.csv", "copy.csv"])
def test_the_very_file_dropped_again_does_not_stay(store: Store, name: str) -> None:
    replay = store.root.parent / "replay"
    shutil.copy2(store.landing / "a.csv", replay)
    shutil.copy2(store.landing / "b.csv", store.landing / "b-again.csv")
    erase(store, load_settings(), [NAME], now=True)
    assert trace(store) == set()
    shutil.copy2(replay, store.landing / name)  # as old, by its time, as it was
    assert run_task("ingest", store, load_settings(), "night-4")["files"] == []
    assert trace(store) == set()


def test_ratings_given_after_the_erasure_are_accepted(store: Store) -> None:
    erase(store, load_settings(), [NAME], now=True)
    (store.landing / "new.csv").write_text(
        f"userId,movieId,rating,timestamp\n{NAME},107,4,{SOON}\n{NAME},114,2,{SOON}\n{NAME},121,3,1000000000\n"
    )
    (store.landing / "undated.csv").write_text(f"userId,movieId,rating\n{NAME},128,4\n")
    outcome = run_task("ingest", store, load_settings(), "night-4")
    assert outcome["reasons"] == {"erased": 2}
    taken = pd.concat(map(pd.read_parquet, store.ratings("night-4").iterdir()))
    assert sorted(taken[taken["user_id"] == USER]["item_id"]) == [107, 114]
    # The user may leave again. Ratings dated in the future do not come back either.
    erase(store, load_settings(), [NAME], now=True)
    (store.landing / "replay.csv").write_text(
        f"userId,movieId,rating,timestamp\n{NAME},114,2,{SOON}\n"
    )
    assert run_task("ingest", store, load_settings(), "night-5")["reasons"] == {"erased": 1}


def test_a_file_not_yet_taken_is_named_and_goes_with_the_run_that_takes_it(
    store: Store, quick: Settings
) -> None:
    (store.landing / "d.csv").write_text(
        f"userId,movieId,rating,timestamp\n{NAME},107,4,1100000000\n13,107,4,1200000000\n"
    )
    traces = erase(store, load_settings(), [NAME], now=True)
    assert (traces.remaining, traces.waiting) == ([], ["landing/d.csv"])
    run_night(store, quick, "night-4")
    assert trace(store) == set()
    assert pd.concat(map(pd.read_parquet, store.ratings("night-4").glob("*")))[
        "user_id"
    ].tolist() == [13]


def test_reruns_of_a_batch_do_not_bring_the_user_back(store: Store) -> None:
    erase(store, load_settings(), [NAME], now=True)
    batch = everything(store)
    run_task("ingest", store, load_settings(), "night-3")  # not published; its file is gone
    assert trace(store) == set()
    assert {k: v for k, v in everything(store).items() if "ratings/" in k} == {
        k: v for k, v in batch.items() if "ratings/" in k
    }


def test_compacted_batches_are_cleaned_too(store: Store, quick: Settings) -> None:
    remove_run(store, "night-3")  # which would hold compaction up
    assert compact(store, load_settings(["max_batches=2"])) == ["night-1", "night-2"]
    before = everything(store)
    assert any(hit.startswith("ratings/merged/") for hit in trace(store))
    assert erase(store, load_settings(), [NAME], now=True).remaining == []
    assert trace(store) == set()
    assert everything(store) == before
    assert len(list(compacted_part(store, "").iterdir())) == 1
    run_night(store, quick, "night-4")
    assert 13 in current_run(store).users()["user_id"].to_pylist()
    counts = store.required_outcome("night-4", "normalize")
    assert counts["n_erased"] > 0
    assert counts["n_read"] == counts["n_rows"] + counts["n_refused"] + counts["n_erased"]


def test_a_run_that_was_stopped_for_its_rejected_rows_is_cleaned_too(store: Store) -> None:
    (store.landing / "stopped.csv").write_text(f"userId,movieId,rating,timestamp\n{NAME},10,x,1\n")
    with pytest.raises(DataError, match="1 of 1 rows to be rejected"):
        run_task("ingest", store, load_settings(["max_rejected=0.5"]), "night-5")
    assert any(hit.startswith("rejected/batch=night-5") for hit in trace(store))
    traces = erase(store, load_settings(), [NAME], now=True)
    assert trace(store) == {"landing/stopped.csv"} == set(traces.waiting)


def test_ids_of_other_things_are_no_trace(store: Store) -> None:
    """13 is a user, but also ratings of others, ranks and counts."""
    erase(store, load_settings(), ["13"], now=True)
    assert look(store, load_settings(), ["13"]).remaining == []
    for path in store.root.glob("runs/*/*/*.parquet"):
        frame = pd.read_parquet(path)
        assert "user_id" not in frame or 13 not in frame["user_id"].tolist()


def test_times_and_trials_are_no_trace(store: Store) -> None:
    erase(store, load_settings(), [NAME], now=True)
    store.records.write_tombstones(
        [{**user, "until": "2026-01-01T00:13:00+00:00"} for user in store.records.tombstones()]
    )
    store.records.write_tuned({"settings": {}, "time": "2026-01-01T00:13:00+00:00"})
    store.studies.mkdir()
    (store.studies / "study.journal").write_text('{"op_code": 5, "trial_id": 13}\n')
    remaining = look(store, load_settings(), ["13"]).remaining
    assert remaining
    assert not {"erased.json", "settings.json", "tune/study.journal"} & set(remaining)


def test_what_is_left_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.root / "notes.txt").write_text(f"asked on Monday: {NAME}, to be erased")
    (store.root / f"user-{NAME}0.txt").write_text(f"{NAME}0, {NAME}-1 and x{NAME} are others")
    traces = erase(store, load_settings(), [NAME], now=True)
    assert traces.remaining == ["notes.txt"]


def test_an_id_that_nobody_has_is_no_user_without_traces(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """One erased before is known by its tombstone."""
    assert erase(store, load_settings(), [NAME], now=True).unknown == []
    show_erased(store, look(store, load_settings(), ["nobody", NAME]))
    said = capsys.readouterr().out
    assert "no user with 1 of the ids (no. 1) has a rating in this store" in said
    assert "no trace" not in said


def test_no_task_runs_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    def try_locks(*_: Any) -> Traces:
        for task in (*TASKS, "deliver"):
            with (store.root / f".lock-{task}").open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(task)
        return Traces()

    monkeypatch.setattr(module, "scan", try_locks)
    erase(store, load_settings(), [NAME])
    assert held == [*TASKS, "deliver"]


def test_a_lost_key_is_an_error(store: Store) -> None:
    erase(store, load_settings(), [NAME], now=True)
    (store.root / "erased.key").unlink()
    with pytest.raises(StoreError, match=r"no .*erased\.key"):
        run_task("ingest", store, load_settings(), "night-4")


LOST: dict[str, Callable[[Path], Any]] = {
    "no tombstones": lambda root: (root / "erased.json").unlink(),
    "null": lambda root: (root / "erased.json").write_text("null"),
    "another shape": lambda root: (root / "erased.json").write_text('{"erased": []}'),
    "an empty key": lambda root: (root / "erased.key").write_text(""),
    "half a key": lambda root: (root / "erased.key").write_text("0" * 32 + "\n"),
    "another key": lambda root: (root / "erased.key").write_text("0" * 64 + "\n"),
}


@pytest.mark.parametrize("lost", LOST)
def test_whatever_is_lost_of_the_tombstones_no_erased_user_comes_back(
    tmp_path: Path, lost: str
) -> None:
    store = Store(tmp_path / "store").create()
    path = write_ratings(store.landing / "a.csv", with_user(random_ratings()))
    run_task("ingest", store, load_settings(), "night-1")
    replayed = path.read_text() + "1,107,4,1000000000\n"
    erase(store, load_settings(), [NAME])
    LOST[lost](store.root)
    write_text(store.landing / "again.csv", replayed)
    for attempt in (
        lambda: run_task("ingest", store, load_settings(), "night-2"),
        lambda: erase(store, load_settings(), ["13"]),
    ):
        with pytest.raises(StoreError, match=r"erased\.(json|key)"):
            attempt()
    assert store.batches() == ["night-1"]


def test_an_erasure_in_a_store_of_an_older_version_keeps_its_tombstones(store: Store) -> None:
    erase(store, load_settings(), [NAME])
    record = json.loads((store.root / "erased.json").read_text())
    del record["key_check"]  # which older versions do not write
    record["users"][0]["of_a_newer_version"] = 1
    (store.root / "erased.json").write_text(json.dumps(record))
    erase(store, load_settings(), ["13", NAME])
    users = store.records.tombstones()
    assert len(users) == 2
    assert [user.get("of_a_newer_version") for user in users].count(1) == 1


@pytest.mark.parametrize("files", ["whole", "per-user"])
@pytest.mark.parametrize("user", ["Smith, J", "00012345", "日本 é", "a&b", "x" * 40, "1" * 40])
def test_ids_of_every_shape(tmp_path: Path, user: str, files: str, quick: Settings) -> None:
    store = Store(tmp_path / "store").create()
    frame = random_ratings()
    frame["userId"] = frame["userId"].astype(str).replace("10", user)
    write_ratings(store.landing / "a.csv", frame)
    with (store.landing / "a.csv").open("a") as file:
        file.write(f'"{user}",107,bad,1\n"{user}",107\n')
    settings = load_settings([*QUICK, f"recommendation_files={files}", "id_type=string"])
    outcome = run_task("ingest", store, settings, "n1")
    assert outcome["rows_refused"] == 2
    run_task("normalize", store, settings, "n1")
    folder = store.table("n1", "recommendations")
    user_folder = folder / f"user_id={quote(user, safe='')}"
    user_folder.mkdir(parents=True)
    pq.write_table(
        pq.read_table(store.table("n1", "normalized") / "items.parquet"),
        user_folder / "part-0.parquet",
    )
    assert any("user_id=***" in name for name in look(store, settings, [user]).remaining)
    traces = erase(store, settings, [user], now=True)
    assert traces.remaining == []
    assert trace(store, user) == set()
    assert not user_folder.exists()


def write_text(path: Path, text: str) -> None:
    path.write_text(text)
    settle(path)


@pytest.mark.parametrize(
    ("erased", "gone"),
    [("anna\t", "anna\t"), ("anna", "anna"), (" anna\u00a0", "anna"), ("17.0", "17")],
)
def test_an_id_means_the_same_to_ingest_and_to_erase(
    tmp_path: Path, erased: str, gone: str, quick: Settings
) -> None:
    store, users = Store(tmp_path / "store").create(), ["anna\t", "anna", "bert", "17"]
    lines = [{"user": user, "item": 10, "rating": 3 + n % 2} for n, user in enumerate(users)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(store.landing / "a.jsonl", text)
    run_task("ingest", store, quick, "n1")
    assert erase(store, quick, [erased], now=True).remaining == []
    write_text(store.landing / "again.jsonl", text + "\n")
    run_task("ingest", store, load_settings([*QUICK, "max_rejected=1"]), "n2")
    for key in ("n1", "n2"):
        [part] = store.ratings(key).iterdir()
        assert set(pd.read_parquet(part)["user_id"]) == set(users) - {gone}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_is_searched_by_the_columns_of_the_run_that_took_it(
    name: str, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store").create()
    frame = with_user(random_ratings()).rename(columns={"userId": "Kundin"}).assign(customer=1)
    path = store.landing / name
    frame.to_csv(path, index=False) if name == "a.csv" else frame.to_parquet(path)
    settle(path)
    run_task("ingest", store, load_settings(["user_column=Kundin"]), "night-1")
    assert look(store, load_settings(), [NAME]).remaining
    erase(store, load_settings(), [NAME])
    assert not path.exists()
    assert not look(store, load_settings(), [NAME]).remaining


def test_parts_of_dropped_folders_go_with_their_users(tmp_path: Path, quick: Settings) -> None:
    store, others = Store(tmp_path / "store").create(), "userId,movieId,rating\n1,10,4\n2,10,1\n"
    parts = {"0.csv": others + f"{NAME},10,3\n", "day=1/1.csv": others + "3,10,2\n", ".x.crc": ""}
    for folder, names in (("a.csv", list(parts)), ("b.csv", ["0.csv"])):
        for name in [*names, "_SUCCESS"]:
            (store.landing / folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(store.landing / folder / name, parts.get(name, ""))
    run_task("ingest", store, quick, "n1")
    assert erase(store, quick, [NAME], now=True).remaining == []
    assert trace(store) == set()
    assert sorted(path.name for path in store.landing.rglob("*") if path.is_file()) == [
        *(".x.crc", "1.csv", "_SUCCESS")
    ]
    # Dropped again, the part is rejected, and removed once the run is published.
    write_text(store.landing / "a.csv" / "0.csv", parts["0.csv"] + "4,10,2\n")
    (store.landing / "a.csv" / "_temporary").mkdir()
    assert look(store, quick, [NAME]).waiting == ["landing/a.csv/0.csv"]
    (store.landing / "a.csv" / "_temporary").rmdir()
    run_night(store, load_settings([*QUICK, "max_rejected=1"]), "n2")
    assert trace(store) == set()
    assert not (store.landing / "a.csv" / "0.csv").exists()


def test_names_that_ingest_refuses_do_not_stop_an_erasure(tmp_path: Path, quick: Settings) -> None:
    store = Store(tmp_path / "store").create()
    write_ratings(store.landing / "a.csv", with_user(random_ratings()))
    run_task("ingest", store, quick, "n1")
    for name in ("line\nbreak.csv", "bytes\udcff.csv", "a\\[b].csv"):
        write_text(store.landing / name, f"userId,movieId,rating\n{NAME},10,3\n")
    traces = erase(store, quick, [NAME], now=True)
    assert traces.remaining == []
    assert sorted(traces.waiting) == [
        "landing/a\\[b].csv",
        "landing/bytes\\xff.csv",
        "landing/line\\nbreak.csv",
    ]


# ---- kills


def erase_and_die(root: str, step: int) -> None:
    """Erase, killed before the step-th kind of change; ends with code 0 if there are fewer."""
    die_before(step, [(Path, name) for name in ("replace", "rename", "unlink")])
    erase(Store(root), load_settings(), [NAME], now=True)


@pytest.mark.slow
def test_killed_at_any_step_it_can_be_run_again(nights: Store, tmp_path: Path) -> None:
    before, n_others, n_killed = everything(nights), len(others(nights)), 0
    for store, killed in killed_at_each_step(
        erase_and_die, lambda step: copy_of(nights, tmp_path / f"store-{step}")
    ):
        if killed:
            n_killed += 1
            # Readers are served at each moment, and the next night's input is whole.
            assert current_run(store).recommendations("13").num_rows == 5
            if not [*store.root.rglob(".tmp-old-*")]:  # killed between the renames of a folder
                assert ", 0 damaged" in verified(store)
            ratings = [store.ratings(key) / file["part"] for key in store.batches()
                       for file in store.required_outcome(key, "ingest")["files"]]  # fmt: skip
            kept = pd.concat(map(pd.read_parquet, ratings))
            assert len(kept[kept["user_id"] != USER]) == n_others
            assert erase(store, load_settings(), [NAME], now=True) == Traces(files=_files(store))
        assert trace(store) == set()
        assert everything(store) == before
        manifests_are_true(store)
        assert not list(store.root.rglob(".tmp-*"))
        shutil.rmtree(store.root)
    assert n_killed > 20


def others(store: Store) -> pd.DataFrame:
    frame = pd.concat(map(pd.read_parquet, store.root.glob("ratings/*/*.parquet")))
    return frame[frame["user_id"] != USER]


def _files(store: Store) -> int:
    return look(store, load_settings(), [NAME]).files
