"""The whole job in a temporary store: what it writes, and that it can stop and repeat anywhere."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.settings.renames import with_old_names
from cofi_jobs.settings.resolve import load_settings, to_environment
from cofi_jobs.store import files
from cofi_jobs.store.files import sha256
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import before
from cofi_jobs.tasks.registry import DECLARED, TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.kills import die_before
from tests.support.nights import run_night
from tests.support.processes import exit_code
from tests.support.repository import ROOT

TABLES = (
    "normalized",
    "trial",
    "model",
    "training",
    "evaluation",
    "similar_items",
    "recommendations",
    "popular_items",
)


def digests(store: Store, run_key: str) -> dict[str, str]:
    """All files of a run and its batch, by content."""
    folders = [store.table(run_key, ""), store.ratings(run_key), store.rejected(run_key)]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    manifest = store.root / "manifests" / f"{run_key}.json"
    return {
        str(path.relative_to(store.root)): sha256(path)
        for path in [*paths, manifest]
        if path.exists()
    }


@pytest.fixture(scope="module")
def one_night(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store after one night; not to be changed."""
    store = Store(tmp_path_factory.mktemp("one") / "store").create()
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, load_settings(QUICK), "night-1")
    return store


@pytest.fixture
def night(one_night: Store, tmp_path: Path) -> Store:
    """A copy of that store."""
    return copied(one_night, tmp_path / "night")


@dataclass(frozen=True)
class SecondNight:
    """A second night that nothing disturbed: copies of the store from before each of its tasks."""

    before: dict[str, Store]
    end: Store


@pytest.fixture(scope="module")
def second_night(one_night: Store, tmp_path_factory: pytest.TempPathFactory) -> SecondNight:
    """The second night of the store; not to be changed."""
    folder, before = tmp_path_factory.mktemp("second"), {}
    store = copied(one_night, folder / "store")
    write_ratings(store.landing / "more.csv", random_ratings(seed=9))
    for task in TASKS:
        before[task] = copied(store, folder / task)
        if task != "report":  # slow, and nothing reads it
            run_task(task, store, load_settings(QUICK), "night-2")
    return SecondNight(before, store)


def copied(store: Store, root: Path) -> Store:
    return Store(shutil.copytree(store.root, root, symlinks=True))


def read_with(reader: str, folder: Path) -> pd.DataFrame:
    """A table as that reader gives it to its users."""
    if reader == "pandas":
        return pd.read_parquet(folder)
    if reader == "polars":
        return pl.read_parquet(f"{folder}/*.parquet").to_pandas()
    return duckdb.execute(f"SELECT * FROM '{folder}/*.parquet'").df()


@pytest.mark.parametrize("reader", ["pandas", "polars", "duckdb"])
def test_outputs_keep_the_contract(night: Store, reader):
    ratings = random_ratings()
    rated = set(zip(ratings["userId"], ratings["movieId"], strict=True))
    current = night.root / "current"

    lists = read_with(reader, current / "recommendations")
    assert list(lists) == [
        "user_id",
        "rank",
        "item_id",
        "score",
        "predicted_rating",
        "because_item_id",
    ]
    assert [str(lists[name].dtype) for name in ("score", "predicted_rating")] == [
        "float32",
        "float32",
    ]
    assert lists[["user_id", "rank"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not lists.duplicated().any()
    for user, own in lists.groupby("user_id"):
        n_eligible = ratings["movieId"].nunique() - (ratings["userId"] == user).sum()
        assert own["rank"].tolist() == list(range(1, min(5, n_eligible) + 1))
        assert own["score"].is_monotonic_decreasing
        assert not own.duplicated("item_id").any()
    assert set(lists["user_id"]) == set(ratings["userId"])
    assert not rated & set(zip(lists["user_id"], lists["item_id"], strict=True))
    assert lists["predicted_rating"].between(1, 5).all()
    reasons = lists.dropna(subset="because_item_id")
    assert len(reasons)
    liked = ratings[ratings["rating"] >= 4]
    assert set(zip(reasons["user_id"], reasons["because_item_id"].astype(int), strict=True)) <= set(
        zip(liked["userId"], liked["movieId"], strict=True)
    )

    similar = read_with(reader, current / "similar_items")
    assert list(similar) == ["item_id", "rank", "similar_item_id", "similarity"]
    assert (similar["item_id"] != similar["similar_item_id"]).all()
    assert similar["similarity"].between(-1, 1).all()
    for _, own in similar.groupby("item_id"):
        assert own["rank"].tolist() == [1, 2, 3, 4]
        assert own["similarity"].is_monotonic_decreasing

    popular = read_with(reader, current / "popular_items")
    likes = liked.groupby("movieId").size()
    assert popular["rank"].tolist() == list(range(1, len(popular) + 1))
    assert popular["score"].tolist() == sorted(
        (likes.get(i, 0) for i in popular["item_id"]), reverse=True
    )


def test_the_published_factors_suffice_to_score_elsewhere(night: Store):
    folder = night.root / "current" / "model"
    items, users = (
        pd.read_parquet(folder / f"{side}_factors.parquet").set_index(f"{side}_id")
        for side in ("item", "user")
    )
    lists = pd.read_parquet(night.root / "current" / "recommendations")
    for row in lists.sample(50, random_state=0).itertuples():
        user, item = users.loc[row.user_id], items.loc[row.item_id]
        assert row.score == pytest.approx(
            user["ranking_factors"] @ item["ranking_factors"], rel=1e-4, abs=1e-5
        )
        stars = user["rating_factors"] @ item["rating_factors"] + user["bias"] + item["mean"]
        assert row.predicted_rating == pytest.approx(np.clip(stars, 1, 5), rel=1e-4)
    counts = random_ratings().groupby("movieId").size()
    assert items["n_ratings"].to_dict() == counts.to_dict()


def test_the_manifest_describes_the_run_and_every_file(night: Store):
    manifest = night.manifest("night-1")
    assert manifest is not None
    n = len(random_ratings())
    assert manifest["schema_version"] == 1
    assert manifest["run_key"] == "night-1"
    assert manifest["batches"] == ["night-1"]
    assert manifest["settings"] == with_old_names(load_settings(QUICK).model_dump())
    counts = {
        "rows_read": n,
        "rows_taken": n,
        "rows_refused": 0,
        "rows_withdrawn": 0,
        "reasons": {},
    }
    assert manifest["counts"]["ingest"] == counts
    ratings = {"n_rows": n, "n_superseded": 0, "n_withdrawn": 0, "n_ratings": n}
    assert ratings.items() <= manifest["counts"]["normalize"].items()
    assert set(manifest["metrics"]) >= {"rating", "ranking", "item_means", "popularity"}
    folder = night.table("night-1", "")
    published = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    assert {file["path"] for file in manifest["files"]} == {
        path for path in published if not path.startswith(("normalized", "training", "trial"))
    }
    for file in manifest["files"]:
        path = folder / file["path"]
        assert (file["rows"], file["bytes"]) == (
            pq.read_metadata(path).num_rows,
            path.stat().st_size,
        )
        assert file["sha256"] == sha256(path)


def test_the_same_input_under_the_same_key_gives_the_same_bytes(
    store: Store, one_night: Store, quick
):
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, quick, "night-1")
    assert digests(store, "night-1") == digests(one_night, "night-1")
    assert len(digests(store, "night-1")) > 8


def test_a_published_run_is_never_rewritten(night: Store, quick, tmp_path: Path):
    before = {
        path: path.stat().st_mtime_ns for path in night.table("night-1", "").rglob("*.parquet")
    }
    assert (
        run_night(night, quick, "night-1")["recommend"]["users"]
        == random_ratings()["userId"].nunique()
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    more = write_ratings(tmp_path / "more.csv", random_ratings(seed=5))
    with pytest.raises(StoreError, match="night-1 is published and never rewritten"):
        run_task("ingest", night, quick, "night-1", ratings=[more])


def test_a_second_night_adds_its_ratings_and_leaves_the_first_as_it_was(night: Store, quick):
    first = digests(night, "night-1")
    ratings = random_ratings()
    changed = ratings.head(5).assign(rating=6 - ratings["rating"].head(5), timestamp=1_700_000_000)
    newcomer = pd.DataFrame(
        {"userId": 9999, "movieId": ratings["movieId"].unique()[:4], "rating": 5.0}
    )
    write_ratings(
        night.landing / "more.csv", pd.concat([changed, newcomer.assign(timestamp=1_700_000_001)])
    )
    outcomes = run_night(night, quick, "night-2")
    assert outcomes["ingest"]["rows_read"] == 9
    assert outcomes["normalize"]["n_ratings"] == len(ratings) + 4
    assert digests(night, "night-1") == first
    assert night.current() == "night-2"
    run = current_run(night)
    assert len(run.recommendations("9999")) == 5
    newest = {
        row["item_index"]: row["rating"] for row in run.rated(str(changed["userId"][0])).to_pylist()
    }
    index = {row["item_id"]: row["item_index"] for row in run.items().to_pylist()}
    assert newest[index[changed["movieId"][0]]] == changed["rating"][0]


def test_a_run_that_begins_later_is_the_newest_whatever_its_key(night: Store, quick):
    run_night(night, quick, "night-2")
    write_ratings(night.landing / "old.csv", random_ratings(seed=3))
    run_night(night, quick, "night-0")
    assert night.current() == "night-0"
    batches = ["night-1", "night-2", "night-0"]
    assert night.required_outcome("night-0", "normalize")["batches"] == batches
    assert night.published() == batches


def test_a_run_that_began_earlier_and_is_published_later_does_not_take_readers_back(
    night: Store, quick
):
    write_ratings(night.landing / "more.csv", random_ratings(seed=3))
    run_task("ingest", night, quick, "night-3")
    run_night(night, quick, "night-2")
    run_night(night, quick, "night-3")
    assert night.current() == "night-2"
    assert night.published() == ["night-1", "night-3", "night-2"]


def run_and_die(task: str, root: str) -> None:
    """Run a task of night-2, killed outright when it renames or has written what counts."""
    die_before(1, [(files, "sync"), (Path, "rename")])
    run_task(task, Store(root), load_settings(), "night-2")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_run_killed_in_a_task_leaves_yesterday_and_can_be_resumed(
    second_night: SecondNight, tmp_path: Path, quick, task
):
    """Kill the task as it puts its first table in place, then rerun: as if nothing had happened."""
    night = copied(second_night.before[task], tmp_path / "night")
    yesterday = digests(night, "night-1")

    environment = {**os.environ, **to_environment(quick.model_dump())}
    code = exit_code(run_and_die, task, str(night.root), environment=environment)
    assert code == -signal.SIGKILL
    assert night.current() == "night-1"
    assert digests(night, "night-1") == yesterday
    assert night.outcome("night-2", task) is None

    run_night(night, quick, "night-2", report=task == "report")
    assert night.current() == "night-2"
    found = {
        path: digest for path, digest in digests(night, "night-2").items() if "/report/" not in path
    }
    assert found == digests(second_night.end, "night-2")
    leftovers = [path for path in night.root.rglob(".tmp-*") if "CURRENT" not in path.name]
    assert leftovers == []


@pytest.mark.slow
def test_a_run_killed_between_manifest_and_current_is_finished_by_the_same_command(
    night: Store, quick
):
    given = night.root / "given.csv"
    write_ratings(given, random_ratings(seed=4))
    run_night(night, quick, "night-2", ratings=[given])
    night.set_current("night-1")  # as if killed after the manifest
    run_night(night, quick, "night-2", ratings=[given])
    assert night.current() == "night-2"


def test_tasks_use_what_the_earlier_tasks_of_the_run_were_set_to(night: Store, quick):
    """Also when a later command is not given the same settings."""
    run_task("ingest", night, quick, "night-2")
    run_task("normalize", night, load_settings([*QUICK, "damping=0"]), "night-2")
    run_task(
        "train", night, load_settings([*QUICK, "ranking_alpha=5", "ranking_lambda=3"]), "night-2"
    )
    run_task("similar_items", night, quick, "night-2")
    run_task("recommend", night, quick, "night-2")
    run_task("evaluate", night, quick, "night-2")
    run_task("publish", night, quick, "night-2")
    factors = pd.read_parquet(night.table("night-2", "model") / "item_factors.parquet").set_index(
        "item_id"
    )
    plain = random_ratings().groupby("movieId")["rating"].mean()
    np.testing.assert_allclose(factors["mean"], plain[factors.index], rtol=1e-6)
    manifest = night.manifest("night-2")
    assert manifest is not None
    used = {
        name: manifest["settings"][name] for name in ("damping", "ranking_alpha", "ranking_lambda")
    }
    assert used == {"damping": 0, "ranking_alpha": 5, "ranking_lambda": 3}

    given = load_settings(
        [*QUICK, "damping=0", "ranking_alpha=5", "ranking_lambda=3", "warm_start=false"]
    )
    run_night(night, given, "night-3")
    lists = [pd.read_parquet(night.table(key, "recommendations")) for key in ("night-2", "night-3")]
    pd.testing.assert_frame_equal(*lists)


def test_a_failed_task_is_recorded_and_yesterday_stays(night: Store):
    blown_up = load_settings(
        [*QUICK, "rating_learning_rate=10", "rating_lambda=0", "rating_steps=200", "max_rejected=1"]
    )
    write_ratings(night.landing / "more.csv", random_ratings(seed=2).assign(rating="many"))
    outcome = run_task("ingest", night, blown_up, "night-2")
    assert outcome["rows_taken"] == 0
    assert outcome["rows_refused"] == outcome["rows_read"]
    with pytest.raises(
        StoreError, match="train of run night-2 needs the task normalize of the same run"
    ):
        run_task("train", night, blown_up, "night-2")
    assert night.current() == "night-1"


def test_a_repeated_task_makes_later_results_out_of_date(night: Store, quick):
    for task in ("ingest", "normalize", "train", "similar_items", "recommend"):
        run_task(task, night, quick, "night-2")
    run_task("train", night, load_settings([*QUICK, "seed=1"]), "night-2")
    with pytest.raises(StoreError, match="publish of run night-2 needs the task similar_items"):
        run_task("publish", night, quick, "night-2")


def test_string_ids_run_through(store: Store, quick):
    ratings = random_ratings()
    ratings["userId"] = "user " + ratings["userId"].astype(str)
    ratings["movieId"] = "00" + ratings["movieId"].astype(str)
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(store, quick, "n")
    lists = pd.read_parquet(store.root / "current" / "recommendations")
    assert set(lists["user_id"]) == set(ratings["userId"])
    assert set(lists["item_id"]) <= set(ratings["movieId"])
    assert lists["user_id"].is_monotonic_increasing
    assert len(current_run(store).recommendations("user 10")) == 5


def test_one_file_for_each_user(store: Store):
    ratings = random_ratings()
    ratings["userId"] = "a/b é " + ratings["userId"].astype(str)
    write_ratings(store.landing / "ratings.csv", ratings)
    for key, kind in (("n1", "whole"), ("n2", "per-user")):
        run_night(
            store, load_settings([*QUICK, "warm_start=false", f"recommendation_files={kind}"]), key
        )
    folder = store.table("n2", "recommendations")
    assert len(list(folder.glob("user_id=*/part-0.parquet"))) == ratings["userId"].nunique()
    whole = pd.read_parquet(store.table("n1", "recommendations"))
    split = pd.read_parquet(folder)
    split["user_id"] = split["user_id"].astype(str)
    order = ["user_id", "rank"]
    pd.testing.assert_frame_equal(
        split[whole.columns].sort_values(order, ignore_index=True),
        whole.sort_values(order, ignore_index=True),
    )
    assert len(current_run(store).recommendations("a/b é 10")) == 5


@pytest.mark.parametrize(("id_type", "offset"), [("string", 0), ("integer", 2**40)])
def test_one_file_for_each_user_keeps_the_type_of_ids(store: Store, id_type: str, offset: int):
    ratings = random_ratings()
    ratings["userId"] += offset
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(
        store, load_settings([*QUICK, "recommendation_files=per-user", f"id_type={id_type}"]), "n"
    )
    own = current_run(store).recommendations(str(10 + offset))
    expected = 10 + offset if id_type == "integer" else str(10)
    assert own["user_id"].to_pylist() == [expected] * 5


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("u" * 300, "is too long for the name of a folder"),
        ("__HIVE_DEFAULT_PARTITION__", "means no value as the name of a folder"),
    ],
)
def test_a_user_id_that_no_folder_can_have_is_named(store: Store, user: str, problem: str):
    ratings = random_ratings().replace({"userId": {10: user}})
    write_ratings(store.landing / "ratings.csv", ratings)
    settings = load_settings([*QUICK, "id_type=string", "recommendation_files=per-user"])
    with pytest.raises(DataError, match=f"'{user}', which {problem}; expected .* = whole"):
        run_night(store, settings, "n")
    run_night(store, load_settings([*QUICK, "id_type=string"]), "n")
    assert len(current_run(store).recommendations(user)) == 5


# Names of folders that some reader takes for a number, a date, no value, a file or a pattern.
ODD_USERS = [
    *("007", "7", "1.50", "1e3", "true", "2024-01-01", "null", "NULL", "None", "nan"),
    *("__hive_default_partition__", "a.parquet", "..", ".", "a=b", "%41", "a%2Fb", "a/b", "é*[0]"),
]


def test_every_reader_of_folders_gets_the_ids_as_text(store: Store):
    """By the ways that docs/outputs.md names."""
    ratings = random_ratings()
    ids = dict(zip(ratings["userId"].unique(), ODD_USERS, strict=False))
    ratings["userId"] = ratings["userId"].map(ids)
    write_ratings(store.landing / "ratings.csv", ratings.dropna())
    words = ["missing=-", "id_type=string", "recommendation_files=per-user"]
    run_night(store, load_settings([*QUICK, *words]), "n")
    folder = store.table("n", "recommendations")
    kind = pa.schema([("user_id", pa.string())])
    by_pandas = pd.read_parquet(folder, partitioning=ds.partitioning(kind, flavor="hive"))
    by_polars = pl.scan_parquet(folder, hive_partitioning=True, hive_schema={"user_id": pl.String})
    by_duckdb = duckdb.execute(
        "SELECT user_id FROM read_parquet($files, hive_types = {'user_id': VARCHAR})",
        {"files": f"{folder}/*/*.parquet"},
    ).fetchall()
    expected = sorted(ODD_USERS * 5)
    assert sorted(by_pandas["user_id"]) == expected
    assert sorted(by_polars.collect()["user_id"]) == expected
    assert sorted(user for (user,) in by_duckdb) == expected
    for user in ODD_USERS:
        assert len(current_run(store).recommendations(user)) == 5


def test_a_user_who_rated_nearly_everything_gets_a_shorter_list(store: Store, quick):
    ratings = random_ratings()
    missing = {100, 107}
    rest = [item for item in ratings["movieId"].unique() if item not in missing]
    busy = pd.DataFrame({"userId": 5, "movieId": rest, "rating": 3.0, "timestamp": 900_000_000})
    write_ratings(store.landing / "ratings.csv", pd.concat([ratings, busy]))
    run_night(store, quick, "n")
    assert set(current_run(store).recommendations("5")["item_id"].to_pylist()) == missing


def test_the_smallest_data_that_there_can_be(store: Store, quick):
    """One rating of one item by one user: nothing to test, recommend or compare, and no error."""
    write_ratings(
        store.landing / "ratings.csv", pd.DataFrame({"userId": [1], "movieId": [2], "rating": [4]})
    )
    run_night(store, load_settings([*QUICK, "rating_low=1", "rating_high=5"]), "n")
    manifest = store.manifest("n")
    assert manifest is not None
    assert manifest["metrics"]["rating"]["rmse"] is None
    assert [manifest["counts"][task]["rows"] for task in ("recommend", "similar_items")] == [0, 0]
    assert pd.read_parquet(store.root / "current" / "recommendations").empty
    assert pd.read_parquet(store.root / "current" / "popular_items")["item_id"].tolist() == [2]


def test_distance_is_the_textbooks_measure(store: Store):
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, load_settings([*QUICK, "similarity=distance"]), "n")
    similar = pd.read_parquet(store.root / "current" / "similar_items")
    factors = pd.read_parquet(store.root / "current" / "model" / "item_factors.parquet")
    X = np.stack(factors["ranking_factors"].tolist())
    squared = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    np.testing.assert_allclose(
        similar["distance"].to_numpy().reshape(len(X), 4),
        np.sort(squared, axis=1)[:, :4],
        atol=1e-5,
    )


# Imports each module in a fork of a process without the project, and names those that ask for
# TensorFlow, which would take seconds to come.
WITH_TENSORFLOW = """
import importlib, os, sys
import duckdb, pandas, pyarrow, typer  # once for all

class EndBeforeTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            print(module, flush=True)
            os._exit(0)

sys.meta_path.insert(0, EndBeforeTensorFlow())
for module in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(module)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{module} cannot be imported")
"""


@pytest.mark.slow
def test_only_tasks_that_learn_import_tensorflow():
    tasks = [f"cofi_jobs.tasks.{name}" for name in DECLARED]
    looks = ["cofi_jobs.cli.app", "cofi_jobs.cli.show.run", "cofi_jobs.cli.show.explanation"]
    command = [sys.executable, "-c", WITH_TENSORFLOW, *looks, *tasks]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) == {
        f"cofi_jobs.tasks.{task.name}" for task in DECLARED.values() if task.learns
    }


@pytest.mark.slow
def test_learning_does_without_what_keras_imports_to_draw_and_others_may_import_it_afterwards():
    script = "import sys; from cofi_jobs.model.keras_import import import_keras; import_keras(); "
    script += "import cofi_jobs.tasks.train; "
    script += "assert not {'matplotlib', 'pandas'} & set(sys.modules), sorted(sys.modules); "
    # Optuna is for tune alone.
    script += "import cofi_jobs.cli.app, cofi_jobs.tasks.evaluate; "
    script += "assert 'optuna' not in sys.modules; "
    script += "import pandas, pyarrow, matplotlib.pyplot; pyarrow.array([1]).to_pandas()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_task_is_a_module_with_a_run_function():
    assert all(
        callable(importlib.import_module(f"cofi_jobs.tasks.{task}").run) for task in DECLARED
    )
    assert all(
        TASKS.index(needed) < TASKS.index(task)
        for task in TASKS
        for needed in before(DECLARED, task)
    )
