"""Bit rot: each flipped bit is noticed by who reads the file, and by `verify`."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from cofi_jobs import read
from cofi_jobs.core.errors import DamageError
from cofi_jobs.serve import Recommender
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from cofi_jobs.tasks.runner import run_task
from tests.support.command_line import cofi
from tests.support.damage import flip, verified
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night

SETTINGS = load_settings(QUICK)
USERS, ITEMS = (10, 97), (100, 233)  # the first and the last: each page of the tables is read
BEFORE_PUBLICATION = ("ingest", "normalize", "train", "similar_items", "recommend", "evaluate")
PLACES = {
    "place": st.floats(0, 1, exclude_max=True),
    "bit": st.integers(0, 7),
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A published run n1, and a run n2 that is about to be published; not to be changed."""
    store = Store(tmp_path_factory.mktemp("nights") / "store").create()
    path = write_ratings(store.landing / "a.csv", random_ratings())
    with path.open("a") as file:
        file.write("13,107,bad,1000000000\n")
    run_night(store, SETTINGS, "n1")
    write_ratings(store.landing / "b.csv", random_ratings(seed=1).assign(timestamp=1_100_000_000))
    for task in BEFORE_PUBLICATION:
        run_task(task, store, SETTINGS, "n2")
    return store


@contextmanager
def copy_of(store: Store) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        yield Store(shutil.copytree(store.root, Path(folder, "store"), symlinks=True))


def lists(store: Store) -> list[Any]:
    """All that a program can read of the published run."""
    run = read.current_run(store).arrow
    return [
        *(run.recommendations(str(user)) for user in USERS),
        *(run.similar_items(str(item)) for item in ITEMS),
        *(run.popular_items(), run.items(), run.users(), run.item_factors()),
        *(run.user_factors(str(user)) for user in USERS),
        *(run.rated(str(user)) for user in USERS),
    ]


# Folders, and a task of n2 that reads the files in them.
READERS = {
    "ratings/batch=n1": "normalize",
    "ratings/batch=n2": "normalize",
    "runs/n2/normalized": "train",
    "runs/n1/trial": "train",
    "runs/n1/normalized": "train",
    "runs/n2/trial": "evaluate",
    "runs/n2/model": "recommend",
    "runs/n2/recommendations": "publish",
    "runs/n2/similar_items": "publish",
    "runs/n2/evaluation": "publish",
}
# Tables that programs read of n1.
READ = ("recommendations", "similar_items", "popular_items", "model", "normalized")


def flipped(store: Store, folder: str, number: int, place: float, bit: int) -> str:
    """Flip a bit in a file of a folder; returns the file's name."""
    files = sorted(store.path(folder).glob("*.parquet"))
    damaged = files[number % len(files)]
    flip(damaged, place, bit)
    return str(damaged.relative_to(store.root))


@pytest.mark.slow
@effort(max_examples=30, deadline=None)
@given(folder=st.sampled_from(sorted(READERS)), number=st.integers(0, 5), **PLACES)
def test_a_task_refuses_a_file_with_a_flipped_bit_and_verify_finds_it(
    nights: Store, folder: str, number: int, place: float, bit: int
):
    with copy_of(nights) as store:
        name = flipped(store, folder, number, place, bit)
        assert ", 1 damaged" in verified(store)
        with pytest.raises(DamageError, match=f"{name} is damaged.*(from a backup|make it again)"):
            run_task(READERS[folder], store, SETTINGS, "n2")


@effort(max_examples=30, deadline=None)
@given(table=st.sampled_from(READ), number=st.integers(0, 5), **PLACES)
def test_no_program_reads_other_rows_after_a_flipped_bit(
    nights: Store, table: str, number: int, place: float, bit: int
):
    with copy_of(nights) as store:
        before = lists(store)
        name = flipped(store, f"runs/n1/{table}", number, place, bit)
        assert ", 1 damaged" in verified(store)
        try:
            after = lists(store)
        except DamageError as error:
            after, message = before, str(error)
        else:
            message = name
        assert after == before
        assert name in message


def test_a_flip_anywhere_in_a_list_is_noticed_by_a_look_up(nights: Store, tmp_path: Path):
    """Every byte of the file, its headers and footer too: no flip gives other rows."""
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    run = read.current_run(store).arrow
    path = store.table("n1", "recommendations") / "part-00000.parquet"
    whole, before = path.read_bytes(), run.recommendations("13")
    noticed = 0
    for place in range(0, len(whole), 5):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            assert run.recommendations("13") == before, place
        except DamageError:
            noticed += 1
    assert noticed > len(range(0, len(whole), 5)) // 2


def test_verify_names_each_damaged_file_and_what_to_do(
    nights: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    assert ", 0 damaged" in verified(store)
    advice = {
        "ratings/batch=n1": "restore it from a backup",
        "rejected/batch=n1": "restore it from a backup",
        "runs/n2/model": "clear the task train, or `cofi train --run-key n2`",
        "runs/n1/recommendations": "`cofi rollback`",
        "runs/n1/trial": "remove runs/n1/trial",
    }
    names = []
    for folder in advice:
        path = sorted(store.path(folder).glob("*.parquet"))[0]
        flip(path, 0.5, 3)
        names.append(f"{store.location}/{path.relative_to(store.root)}")
    gone = store.table("n1", "popular_items") / "part-00000.parquet"
    gone.unlink()
    caplog.clear()
    assert ", 6 damaged" in verified(store)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == 6
    for name, words in zip(names, advice.values(), strict=True):
        [line] = [line for line in lines if line.startswith(f"{name} is damaged")]
        assert words in line
    assert any(
        line.startswith(f"{store.location}/runs/n1/popular") and "is missing" in line
        for line in lines
    )


def test_a_folder_with_the_name_of_a_file_is_damage_and_the_rest_is_compared(
    nights: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    path = next(store.ratings("n1").glob("*.parquet"))
    path.unlink()
    path.mkdir()
    flip(store.table("n2", "model") / "user_factors.parquet", 0.5, 2)
    assert ", 2 damaged" in verified(store)
    assert f"{path} is missing; restore it" in caplog.text


def test_what_is_advised_about_tables_of_a_published_run_works(
    nights: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    flip(store.table("n1", "normalized") / "users.parquet", 0.5, 2)
    with pytest.raises(DamageError, match="remove runs/n1/trial, give readers another run"):
        erase(store, SETTINGS, ["13"])
    shutil.rmtree(store.table("n1", "trial"))
    assert ", 1 damaged" in verified(store)
    for task in ("train", "similar_items", "recommend", "evaluate"):
        run_task(task, store, SETTINGS, "n2")
    with pytest.raises(DamageError):  # readers have n2 now; of n1 the user is still to be erased
        run_task("publish", store, SETTINGS, "n2")
    shutil.rmtree(store.table("n1", "normalized"))
    assert ", 0 damaged" in verified(store)
    run_task("publish", store, SETTINGS, "n2")
    assert f"{store.location}/runs/n1/trial was removed" in caplog.text
    erase(store, SETTINGS, ["13"], now=True)
    assert ", 0 damaged" in verified(store)


def test_a_table_that_somebody_still_needs_is_not_taken_for_removed(nights: Store, tmp_path: Path):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    shutil.rmtree(store.table("n2", "trial"))  # n2 is not published
    next(store.table("n1", "trial").glob("*.parquet")).unlink()
    assert ", 3 damaged" in verified(store)
    shutil.rmtree(store.table("n1", "trial"))
    shutil.rmtree(store.table("n1", "normalized"))  # readers use n1
    assert ", 5 damaged" in verified(store)


@pytest.mark.parametrize("task", BEFORE_PUBLICATION[1:])
def test_the_record_of_a_task_of_a_published_run_is_missed(
    nights: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, task: str
):
    """Without it nobody would compare the files of that task."""
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    store.path(f"tasks/n2/{task}.json").unlink()  # n2 is not published, and says that it is next
    assert ", 0 damaged" in verified(store)
    store.path(f"tasks/n1/{task}.json").unlink()
    assert ", 1 damaged" in verified(store)
    assert f"{store.location}/tasks/n1/{task}.json is missing; restore it from a" in caplog.text
    shutil.rmtree(store.table("n1", "trial"))  # as the line says
    run_task(task, store, SETTINGS, "n2")
    run_task("train", store, SETTINGS, "n2")


def test_the_command_ends_with_a_summary_and_fails_on_damage(nights: Store, tmp_path: Path):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    good = cofi("verify", "--store", str(store.root))
    assert good.returncode == 0
    assert ", 0 damaged" in good.stdout.splitlines()[-1]
    flip(next(store.ratings("n1").glob("*.parquet")), 0.3, 1)
    bad = cofi("verify", "--store", str(store.root))
    assert bad.returncode == 1
    assert ", 1 damaged" in bad.stderr.splitlines()[-1]
    assert "Traceback" not in bad.stderr


def test_compaction_and_erasure_keep_the_digests_right(nights: Store, tmp_path: Path):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    run_task("publish", store, SETTINGS, "n2")
    erase(store, SETTINGS, ["13"])
    assert ", 0 damaged" in verified(store)
    erase(store, SETTINGS, ["16"], now=True)
    assert ", 0 damaged" in verified(store)
    write_ratings(store.landing / "c.csv", random_ratings(seed=2))
    run_task("ingest", store, SETTINGS, "n3")
    assert compact(store, SETTINGS.model_copy(update={"max_batches": 2})) == ["n1", "n2"]
    assert ", 0 damaged" in verified(store)
    erase(store, SETTINGS, ["19"], now=True)
    assert ", 0 damaged" in verified(store)
    assert len(read.current_run(store).recommendations("22")) == 5
    [part] = store.path("ratings/merged").iterdir()
    flip(part, 0.5, 0)
    assert ", 1 damaged" in verified(store)
    with pytest.raises(DamageError, match="ratings/merged"):
        erase(store, SETTINGS, ["22"])  # it would write the file again, with a new digest


def test_damage_is_not_hidden_by_an_erasure(nights: Store, tmp_path: Path):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    path = store.table("n2", "model") / "user_factors.parquet"
    flip(path, 0.5, 2)
    with pytest.raises(DamageError, match="user_factors"):
        erase(store, SETTINGS, ["13"])


def test_folders_between_the_two_renames_of_their_replacement_are_read_as_before(
    nights: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Where two folders cannot be exchanged, a kill can leave each of these under another name."""
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    before, listed = lists(store), Recommender(store).recommend_for({107: 5}, user_id=13)
    for name in ("runs/n1/normalized", "runs/n1/trial", "ratings/batch=n1", "rejected/batch=n1"):
        folder = store.path(name)
        folder.rename(folder.with_name(f".tmp-old-{folder.name}"))
    assert lists(store) == before
    assert Recommender(store).recommend_for({107: 5}, user_id=13) == listed
    assert ", 0 damaged" in verified(store)
    caplog.set_level(logging.INFO)
    run_task("train", store, SETTINGS, "n2")
    assert "going on from the holdout model of run n1" in caplog.text
    flip(next(store.table("n1", "normalized").glob("ratings.parquet")), 0.5, 3)
    assert ", 1 damaged" in verified(store)


def test_outcomes_name_no_erased_user(tmp_path: Path):
    store = Store(tmp_path / "store").create()
    write_ratings(store.landing / "a.csv", random_ratings())
    settings = load_settings([*QUICK, "recommendation_files=per-user"])
    for name in BEFORE_PUBLICATION:
        run_task(name, store, settings, "n1")
    erase(store, settings, ["13"])
    assert ", 0 damaged" in verified(store)
    assert "user_id=13/" not in (store.path("tasks/n1") / "recommend.json").read_text()
    run_task("publish", store, settings, "n1")
    assert read.current_run(store).recommendations("13").empty
    assert ", 0 damaged" in verified(store)


def test_runs_of_older_versions_are_read_as_before(nights: Store, tmp_path: Path, caplog):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    for path in store.path("tasks").rglob("*.json"):
        outcome = json.loads(path.read_text())
        outcome.pop("digests", None)
        path.write_text(json.dumps(outcome))
    run_task("publish", store, SETTINGS, "n2")
    assert len(lists(store)) > 0
    assert ", 0 damaged" in verified(store)
    assert "2 batches of an older version have no digests: n1, n2" in caplog.text


def test_a_service_stays_on_the_run_it_has_if_the_next_is_damaged(nights: Store, tmp_path: Path):
    store = Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))
    service = Recommender(store)
    run_task("publish", store, SETTINGS, "n2")
    flip(store.table("n2", "model") / "item_factors.parquet", 0.4, 5)
    assert service.recommend_for({107: 5})
    assert service.run_key == "n1"
    with pytest.raises(DamageError, match="item_factors"):
        Recommender(store)
