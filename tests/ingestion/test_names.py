"""Names of files and folders are no patterns and no data: landing, catalogue, and the store."""

import io
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs import read
from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, settle, write_ratings
from tests.support.ingestion import GOOD, GOOD_ROWS, drop, failure, ingest, taken
from tests.support.names import ODD_NAMES, REFUSED_NAMES
from tests.support.nights import run_night
from tests.support.rating_files import write

FRAME = pd.read_csv(io.StringIO(GOOD))
WRITERS = {
    "csv": lambda path: FRAME.to_csv(path, index=False),
    "jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "parquet": lambda path: FRAME.to_parquet(path),
}


def put(path: Path) -> Path:
    """The good ratings in the format that the name shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix[1:]](path)
    return settle(path)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_landing_are_read_once(store: Store, name: str) -> None:
    for number, extension in enumerate(WRITERS):
        # Each file has content of its own: the same content counts once.
        path = put(store.landing / f"{name}.{extension}")
        run_key = f"night-{number}"
        ingest(store, run_key)
        if extension == "csv":
            assert taken(store, run_key) == GOOD_ROWS
        else:
            assert {row[:3] for row in taken(store, run_key)} == {row[:3] for row in GOOD_ROWS}
        [file] = store.required_outcome(run_key, "ingest")["files"]
        assert (file["name"], file["path"]) == (path.name, str(path))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("ingested") / "store").create()
    put(store.landing / "ratings.csv")
    ingest(store)
    return store


@pytest.fixture
def before_normalize(ingested: Store, tmp_path: Path) -> Store:
    """A store whose ratings are there, and whose catalogue is empty."""
    return Store(shutil.copytree(ingested.root, tmp_path / "copy"))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_the_catalogue(before_normalize: Store, quick: Settings, name: str) -> None:
    store = before_normalize
    write(store.catalogue / f"{name}.csv", "movieId,title\n10,Ten\n")
    run_task("normalize", store, quick, "night-1")
    items = pd.read_parquet(store.table("night-1", "normalized") / "items.parquet")
    assert items["title"].dropna().tolist() == ["Ten"]


@pytest.mark.parametrize(("name", "problem"), REFUSED_NAMES.items())
def test_names_that_cannot_be_used_in_the_catalogue(
    before_normalize: Store, quick: Settings, name: str, problem: str
) -> None:
    store = before_normalize
    write(store.catalogue / f"{name}.csv", "movieId,title\n10,Ten\n")
    with pytest.raises(DataError, match=f"found {problem}"):
        run_task("normalize", store, quick, "night-1")


def test_a_folder_in_the_catalogue_is_read(store: Store, quick: Settings) -> None:
    put(store.landing / "ratings.csv")
    (store.catalogue / "items.csv" / "item_id=3").mkdir(parents=True)
    write(store.catalogue / "items.csv" / "_SUCCESS", "")
    for item in (10, 20):
        path = store.catalogue / "items.csv" / "item_id=3" / f"{item}.parquet"
        pd.DataFrame({"movieId": [item], "title": [f"Film {item}"]}).to_parquet(path)
    ingest(store)
    run_task("normalize", store, quick, "night-1")
    items = pd.read_parquet(store.table("night-1", "normalized") / "items.parquet")
    assert items["title"].tolist() == ["Film 10", "Film 20"]


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "?" not in name])
def test_odd_names_of_stores(tmp_path: Path, quick: Settings, name: str) -> None:
    for decoy in ("a0b", "x", "starsx", "whatx", "a"):  # what the names match as patterns
        put(Store(tmp_path / decoy / "store").create().landing / "b.csv")
    store = open_store(tmp_path / name / "store").create()
    put(store.landing / "a.csv")
    ingest(store)
    assert run_task("normalize", store, quick, "night-1")["n_users"] == 3
    users = pq.ParquetFile(store.table("night-1", "normalized") / "users.parquet").read()
    assert users["user_id"].to_pylist() == [1, 2, 3]
    assert not list(store.root.rglob(".spill"))


@pytest.mark.parametrize(("name", "problem"), REFUSED_NAMES.items())
@pytest.mark.parametrize("inside", ["", "ratings.csv/"])
def test_names_that_cannot_be_used_stop_ingest(
    store: Store, name: str, problem: str, inside: str
) -> None:
    put(store.landing / "good.csv")
    put(store.landing / f"{inside}{name}.csv")
    assert f"found {problem}" in failure(store)


@pytest.mark.slow
@pytest.mark.parametrize("files", ["whole", "per-user"])
def test_published_lists_of_a_store_below_odd_folders(
    tmp_path: Path, quick: Settings, files: str
) -> None:
    ratings = random_ratings().assign(userId=lambda frame: "u/" + frame["userId"].astype(str))
    store = Store(tmp_path / "user_id=shop1" / "date=2024-01-01" / "it's {a}").create()
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(store, quick.model_copy(update={"recommendation_files": files}), "n1", report=True)
    users, lists = set(ratings["userId"]), store.table("n1", "recommendations")
    by_pandas = pd.read_parquet(lists)
    assert set(by_pandas["user_id"]) == users
    assert set(pq.read_table(lists)["user_id"].to_pylist()) == users
    if files == "whole":
        query = "FROM read_parquet($files, hive_partitioning = false)"
        frame = duckdb.execute(query, {"files": f"{lists}/*.parquet"}).df()
        assert set(frame["user_id"]) == users
    one = read.recommendations(store.root, "u/10")
    assert one["user_id"].tolist() == ["u/10"] * 5
    assert one["item_id"].tolist() == by_pandas[by_pandas["user_id"] == "u/10"]["item_id"].tolist()
    assert read.similar_items(store.root, "100")["item_id"].tolist() == [100] * 4


def test_a_file_beside_its_pattern_is_its_own(store: Store) -> None:
    drop(store, "a[0]b.csv", "userId,movieId,rating\n1,10,4\n")
    drop(store, "a0b.csv", "userId,movieId,rating\n2,20,3\n")
    ingest(store)
    assert sorted(row[:3] for row in taken(store)) == [(1, 10, 4.0), (2, 20, 3.0)]
