"""The checks and the oracle notice what is wrong: else an attack without violations says little."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from cofi_jobs.store.store import Store
from torture import story
from torture.checks import owned, served, settled, traces
from torture.oracle import current_ratings, differences

pytestmark = pytest.mark.slow
LISTS = "recommendations/part-00000.parquet"


@pytest.fixture(scope="module")
def one_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("night") / "store").create()
    story.drop(store, 1)
    story.run(store, "n1", story.QUIET)
    return store.root


@pytest.fixture
def store(one_night: Path, tmp_path: Path) -> Store:
    return Store(story.copy(one_night, tmp_path / "store"))


def wrong(store: Store) -> str:
    expected = current_ratings([story.night_file(1)])
    return "\n".join([*served(store, {"n1"}), *settled(store), *differences(store, "n1", expected)])


def edit(path: Path, **columns: object) -> None:
    """Write a table again, with other values in its first row."""
    table = pd.read_parquet(path)
    for column, value in columns.items():
        table.loc[0, column] = value
    table.to_parquet(path)


def test_nothing_is_wrong_with_a_good_store(store: Store):
    assert wrong(store) == ""
    assert traces(store, 987654320, shown_in=()) == []


def test_a_changed_rating_is_noticed(store: Store):
    edit(store.table("n1", "normalized/ratings.parquet"), rating=2.5)
    assert "n1: ratings differ" in wrong(store)


def test_a_rated_item_in_a_list_is_noticed(store: Store):
    lists = store.table("n1", LISTS)
    user = pd.read_parquet(lists)["user_id"][0]
    rated = current_ratings([story.night_file(1)])
    edit(lists, item_id=next(pair.item for pair in rated if pair.user == user))
    assert "lists hold rated items" in wrong(store)
    assert "readers get DamageError" in wrong(store)
    assert f"runs/n1/{LISTS} is not as its record says" in wrong(store)


def test_a_pointer_to_another_run_and_lost_tables_are_noticed(store: Store):
    (store.root / "current").unlink()
    (store.root / "current").symlink_to("runs/n0")
    assert "current dangles" in wrong(store)
    shutil.rmtree(store.table("n1", "similar_items"))
    assert "is missing" in wrong(store)
    shutil.rmtree(store.table("n1", ""))
    assert owned(store) == ["run n1 is published, but has no tables"]


def test_a_run_that_nobody_owns_is_noticed(store: Store):
    store.table("n0", "model").mkdir(parents=True)
    assert owned(store) == ["runs/n0 has neither a manifest nor the outcome of a task"]


def test_an_erased_user_is_noticed_in_tables_names_and_texts(store: Store):
    user = story.ERASED
    shown = [name for name in traces(store, user, shown_in=("landing",)) if "runs/n1" in name]
    assert f"runs/n1/{LISTS} shows an erased user" in shown
    (store.root / "note.txt").write_text(f"of {user}")
    (store.root / f"user_id={user}").touch()
    names = [
        name for name in traces(store, user, shown_in=("landing", "runs")) if "runs/" not in name
    ]
    assert {"note.txt shows an erased user", f"user_id={user} shows an erased user"} <= set(names)
