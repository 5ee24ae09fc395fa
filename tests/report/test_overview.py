"""All runs at a glance: each with its state, its reason and its duration; and any user or item."""

import pandas as pd
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.report.look_up import cards_of
from cofi_jobs.report.overview import RunsOfStore, colour_of, overview, trends
from cofi_jobs.report.template import fill
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_all
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A published night, and one whose file could not be read."""
    store = Store(tmp_path_factory.mktemp("overview") / "store").create()
    items = [{"movieId": 100 + 7 * n, "title": f"Film {n} <b>", "genres": ""} for n in range(20)]
    pd.DataFrame(items).to_csv(store.catalogue / "movies.csv", index=False)
    write_ratings(store.landing / "1.csv", random_ratings())
    run_night(store, load_settings(QUICK), "good")
    (store.landing / "bad.csv").write_text("shop,price\n1,2\n")
    with pytest.raises(DataError):
        run_all(store, load_settings(QUICK), "bad")
    return store


@pytest.mark.slow
def test_failed_nights_have_rows_with_reason_and_link(store: Store):
    lines = overview(store, list(TASKS))
    assert [(line.key, line.colour) for line in lines] == [("bad", "refused"), ("good", "passed")]
    assert "bad.csv" in lines[0].reason
    assert lines[0].duration == ""
    assert lines[1].seconds is not None
    assert lines[1].duration.endswith("s")
    shown = RunsOfStore("/s", ["books"], lines, trends(lines), {"bad": "../dags/books/runs/r1"})
    page = fill("runs.html", stores=[shown])
    assert "failed in ingest" in page
    assert 'data-outer href="../dags/books/runs/r1"' in page
    assert page.count('name="store" value="/s"') == 1


def test_a_store_that_cannot_be_shown_says_why():
    shown = RunsOfStore("s3://a/b", ["books"], [], trends([]), {}, "The store is in a bucket <1>.")
    page = fill("runs.html", stores=[shown])
    assert "Store s3://a/b" in page
    assert "The store is in a bucket &lt;1&gt;." in page
    assert "<table" not in page
    assert "look-up" not in page.split("<body>")[1]


@pytest.mark.slow
def test_any_user_and_any_item_is_looked_up(store: Store):
    ratings = random_ratings()
    user = str(ratings["userId"].iloc[0])
    [card] = cards_of(store, user)
    assert card.title == f"User {user}, {(ratings['userId'] == int(user)).sum()} ratings"
    [card] = cards_of(store, "107")
    assert card.title.startswith("Film 1 <b>: ")
    assert len(cards_of(store, "film")) == 12
    assert cards_of(store, "nobody") == []
    page = fill("look_up.html", store="/s", name="<i>", cards=[card])
    assert "<i>" not in page.split("<body>")[1]
    assert "Film 1 &lt;b&gt;" in page


def test_colours_of_states():
    states = ("current", "published (forced)", "refused", "failed in train", "not finished: train")
    assert [colour_of(state) for state in states] == [
        *("passed", "forced", "refused", "refused", "waiting")
    ]
