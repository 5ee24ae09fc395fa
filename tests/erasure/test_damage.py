"""Damaged files and files of people: they keep no erased user in anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.cli.show.erasure import erased
from cofi_jobs.core.errors import DamageError, StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.publish import clean_up, prune
from cofi_jobs.tasks.runner import run_task
from tests.support.damage import flip, verified
from tests.support.data import QUICK, settle
from tests.support.published import NIGHTS, USER, publish_lists, published_nights


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three published nights with users who are not erased."""
    return published_nights(tmp_path_factory.mktemp("published") / "store", per_user=False)


@pytest.fixture
def store(published: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(published.root, tmp_path / "store", symlinks=True))


def lists(store: Store, key: str) -> Path:
    return store.table(key, "recommendations") / "part-00000.parquet"


def shown(store: Store, key: str) -> list[int]:
    users: list[int] = pq.read_table(lists(store, key), columns=["user_id"])["user_id"].to_pylist()
    return users


def test_a_damaged_run_keeps_no_user_in_the_other_runs(store: Store):
    for path in (lists(store, "n1"), store.table("n1", "normalized") / "users.parquet"):
        flip(path, 0.3, 3)
    with pytest.raises(DamageError) as caught:
        erase(store, load_settings(), [USER], now=True)
    assert str(caught.value).count("n1/normalized/users.parquet is damaged") == 1
    assert "may still be in n1: " in str(caught.value)
    assert "n1/recommendations/part-00000.parquet is damaged" in str(caught.value)
    assert [user["pending"] for user in store.records.tombstones()] == [["n1"]]
    assert not any(int(USER) in shown(store, key) for key in ("n2", "n3"))


def test_publish_does_all_its_cleaning_beside_a_damaged_run(store: Store):
    erase(store, load_settings(), [USER])
    content = lists(store, "n1").read_bytes()
    flip(lists(store, "n1"), 0.3, 3)
    for _ in range(2):
        with pytest.raises(DamageError, match="n1/recommendations"):
            clean_up(store, load_settings(["max_batches=2"]), "n3")
        assert not any(int(USER) in shown(store, key) for key in ("n2", "n3"))
        assert store.records.compacted()["batches"] == ["n1", "n2"]
    lists(store, "n1").write_bytes(content)
    clean_up(store, load_settings(["max_batches=2"]), "n3")
    assert int(USER) not in shown(store, "n1")
    left = look(store, load_settings(), [USER])
    assert (left.remaining, left.waiting) == ([], [])


def add(store: Store, name: str, content: str) -> None:
    path = store.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_files_of_people_among_manifests_and_runs_are_left_alone(store: Store):
    """They are no runs, even if an older version has taken one for a run that shows a user."""
    copied = (store.root / "manifests" / "n1.json").read_text()
    people = {
        "manifests/n1-copy.json": copied,
        "manifests/notes.json": json.dumps({"error": "not 13", "names": ["x 13"]}),
        "manifests/list.json": "[1, 2]",
        "runs/notes.txt": "hi",
    }
    for name, content in people.items():
        add(store, name, content)
    assert store.run_keys() == ["n1", "n2", "n3"]
    erase(store, load_settings(), [USER])
    tombstones = store.records.tombstones()
    assert tombstones[0]["pending"] == ["n1", "n2", "n3"]
    tombstones[0]["pending"] += ["n1-copy", "notes"]
    store.records.write_tombstones(tombstones)
    clean_up(store, load_settings(), "n3")
    assert store.records.tombstones()[0]["pending"] == []
    assert not any(int(USER) in shown(store, key) for key in NIGHTS)
    assert look(store, load_settings(), [USER]).remaining == ["manifests/notes.json"]
    assert prune(store, keep_runs=3, run_key="n3") == []
    assert {name: store.path(name).read_text() for name in people} == people


COLUMNS = {
    "list": pa.array([[13]], pa.list_(pa.int64())),
    "struct": pa.array([{"id": 13}], pa.struct({"id": pa.int64()})),
    "map": pa.array([[("a", 13)]], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(1),
    "missing": pa.array([None, 14], pa.int64()),
}


def test_parquet_files_of_people_stop_no_erasure(store: Store):
    """They stay as they are, and those with the user are named."""
    tables = {f"runs/n1/model/{kind}.parquet": values for kind, values in COLUMNS.items()}
    for name, values in tables.items():
        store.path(name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"user_id": values}), store.path(name))
    texts = ("notes", "runs/n1/notes", "rejected/notes", "ratings/notes")
    with_user = [f"{name}.parquet" for name in (*texts, "runs/n1/trial/notes")]
    for name in with_user:
        add(store, name, "of user 13")
    add(store, "hello.parquet", "hello")
    pq.write_table(pa.table({"user_id": [13]}), store.root / "rejected" / "of.parquet")
    before = {name: store.path(name).read_bytes() for name in (*tables, *with_user)}
    left = erase(store, load_settings(), [USER], now=True)
    assert not any(int(USER) in shown(store, key) for key in NIGHTS)
    holding = [f"runs/n1/model/{kind}.parquet" for kind in ("list", "struct", "map")]
    assert left.remaining == sorted([*with_user, *holding, "rejected/of.parquet"])
    assert {name: store.path(name).read_bytes() for name in before} == before


def test_a_table_that_cannot_be_read_is_named(store: Store, capsys: pytest.CaptureFixture[str]):
    path = lists(store, "n3")
    path.write_bytes(path.read_bytes()[:-20])
    name = str(path.relative_to(store.root))
    erased(store, traces := look(store, load_settings(), ["999"]))
    assert traces.skipped == [name]
    assert f"cannot be read, or is a link out of the store: {name}" in " ".join(
        capsys.readouterr().out.split()
    )
    with pytest.raises(DamageError, match=f"{name} is damaged"):
        erase(store, load_settings(), [USER], now=True)


def test_an_id_is_found_as_it_is_written(store: Store):
    """Nobody is 013 where ids are whole numbers."""
    left = erase(store, load_settings(), [f"0{USER}"], now=True)
    assert (left.remaining, left.waiting, left.unknown) == ([], [], [1])


def test_files_without_bounds_name_nobody(store: Store):
    """Such as those of one user each, which hold no id."""
    manifest = store.manifest("n1")
    assert manifest is not None
    for file in manifest["files"]:
        del file["first_id"], file["last_id"]
    store.records.write_manifest("n1", manifest)
    left = look(store, load_settings(), ["None"])
    assert (left.remaining, left.waiting) == ([], [])


def test_numbers_drawn_for_ratings_are_no_trace(store: Store):
    ratings = store.table("n1", "normalized") / "ratings.parquet"
    drawn = pq.read_table(ratings, columns=["draw"])["draw"].to_pylist()
    assert look(store, load_settings(), [str(max(drawn))]).remaining == []


def test_names_of_folders_of_files_that_were_taken_name_nobody(tmp_path: Path):
    """In the records, the rejected rows and the manifest; the files themselves are removed."""
    store, settings = Store(tmp_path / "store").create(), load_settings(QUICK)
    lines = [f"{USER},{item},{1 + item % 5},1000000000\n" for item in range(5)]
    text = "".join(["user_id,item_id,rating,timestamp\n", *lines])
    folders = [f"landing/dump/user_id={user}" for user in (USER, "14")]
    for folder in folders:
        user = folder.rpartition("=")[2]
        add(store, f"{folder}/part-0.csv", text.replace(f"{USER},", f"{user},"))
        add(store, f"{folder}/part-1.csv", "user_id,item_id,rating\n14,10,bad\n14,11,4\n")
    add(store, "landing/dump/_SUCCESS", "")
    for path in store.landing.rglob("*"):
        settle(path)
    for task in ("ingest", "normalize"):
        run_task(task, store, settings, "n1")
    publish_lists(store, "n1", per_user=False)
    taken = store.required_outcome("n1", "ingest")["files"]
    manifest = {**(store.manifest("n1") or {}), "input_files": [{"name": f["name"]} for f in taken]}
    store.records.write_manifest("n1", manifest)
    add(store, "runs/n1/report/report.html", f"<td>{taken[0]['name']}</td>")
    found = look(store, settings, [USER]).remaining
    report = "runs/n1/report/report.html"
    assert {"tasks/n1/ingest.json", "manifests/n1.json", report} < {*found}
    assert any(name.startswith("rejected/") for name in found)
    left = erase(store, settings, [USER], now=True)
    assert (left.remaining, left.waiting) == ([], [])
    assert not store.path(report).exists()
    records = [*store.root.rglob("*.json"), *store.root.rglob("rejected/*/*.parquet")]
    assert not any(f"user_id={USER}".encode() in path.read_bytes() for path in records)
    assert sorted(path.name for path in store.landing.glob("dump/*")) == ["_SUCCESS", "user_id=14"]
    assert ", 0 damaged" in verified(store)
    assert run_task("ingest", store, settings, "n2")["files"] == []


def normalized_users(store: Store, key: str) -> list[int]:
    """The users of a new run."""
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(QUICK), key)
    users: list[int] = pq.read_table(store.table(key, "normalized/users.parquet"))[
        "user_id"
    ].to_pylist()
    return users


def flip_a_bit(path: Path) -> None:
    flip(path, 0.3, 3)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, Path.unlink])
def test_damaged_ratings_keep_no_user_in_anything_else(
    store: Store, damage: Callable[[Path], None]
):
    """What is left of the user comes back to nobody, and the next erasure removes it."""
    [path] = store.ratings("n2").iterdir()
    content, name = path.read_bytes(), str(path.relative_to(store.root))
    damage(path)
    with pytest.raises(DamageError, match=f"erase the same users again .*/{name} is"):
        erase(store, load_settings(), [USER], now=True)
    assert not any(int(USER) in shown(store, key) for key in NIGHTS)
    for key in ("n1", "n3"):
        [part] = store.ratings(key).iterdir()
        assert int(USER) not in pq.read_table(part)["user_id"].to_pylist()
    assert (store.landing / "n2.csv").exists(), "maybe the only whole copy of these ratings"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"1 erased users .* and erase these users again"):
        normalized_users(store, "n4")
    left = erase(store, load_settings(), [USER], now=True)
    assert (left.remaining, left.waiting, left.unknown) == ([], [], [])
    assert not (store.landing / "n2.csv").exists()
    assert normalized_users(store, "n4") == [10, 16, 19]
    assert ", 0 damaged" in verified(store)


def test_damaged_compacted_ratings_keep_no_user_in_anything_else(store: Store):
    clean_up(store, load_settings(["max_batches=2"]), "n3")
    [path] = store.path("ratings/merged").iterdir()
    content = path.read_bytes()
    flip(path, 0.3, 3)
    with pytest.raises(DamageError, match="ratings/merged"):
        erase(store, load_settings(), [USER], now=True)
    assert not any(int(USER) in shown(store, key) for key in NIGHTS)
    path.write_bytes(content)
    left = erase(store, load_settings(), [USER], now=True)
    assert (left.remaining, left.waiting) == ([], [])
    assert normalized_users(store, "n4") == [10, 16, 19]


def test_damaged_rejected_rows_keep_no_user_in_runs(store: Store):
    [path] = store.rejected("n2").iterdir()
    content = path.read_bytes()
    flip(path, 0.2, 3)
    name = str(path.relative_to(store.root))
    assert look(store, load_settings(), [USER]).skipped == [name]
    with pytest.raises(DamageError, match=f"{name} is damaged"):
        erase(store, load_settings(), [USER], now=True)
    assert not any(int(USER) in shown(store, key) for key in NIGHTS)
    with pytest.raises(StoreError, match="erase these users again"):
        normalized_users(store, "n4")
    path.write_bytes(content)
    erase(store, load_settings(), [USER], now=True)
    assert normalized_users(store, "n4") == [10, 16, 19]


def test_numbers_and_names_in_json_of_people_are_found(store: Store):
    """But not the ends of the scale, which the store itself writes down."""
    for name, content in {"a": {"user": 13}, "b": {"13": "x"}, "c": [[13.0]], "d": [130]}.items():
        add(store, f"runs/n1/{name}.json", json.dumps(content))
    left = look(store, load_settings(), [USER]).remaining
    assert {name for name in left if name.endswith(".json")} >= {
        f"runs/n1/{name}.json" for name in "abc"
    }
    assert "runs/n1/d.json" not in left
    assert json.loads(store.path("store.json").read_text())["scale"] == [1.0, 4.0]
    assert look(store, load_settings(), ["4"]).remaining == []
