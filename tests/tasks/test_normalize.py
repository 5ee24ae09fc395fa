"""Normalize: the newest rating of each (user, item), item means, row numbers; pandas as oracle."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.model.item_means import damped_means
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.current import WAYS, as_if_few_repeat, as_it_is, way_of
from tests.support.data import random_ratings, settle, write_ratings

COLUMNS = ["userId", "movieId", "rating", "timestamp"]
SCALE = ["rating_low=1", "rating_high=5"]
Tables = dict[str, pd.DataFrame]


@pytest.fixture(params=[as_it_is, as_if_few_repeat])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    with way_of(request.param):
        yield


def frame(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Ratings from (user, item, rating, seconds since 1970); the seconds may be missing."""
    return pd.DataFrame(rows, columns=COLUMNS[: len(rows[0])])


def ingest_night(store: Store, run_key: str, *files: pd.DataFrame, id_type: str = "auto") -> None:
    """One batch from one or more files, which arrive in the order given."""
    for number, ratings in enumerate(files):
        write_ratings(store.landing / f"{run_key}-{number:02d}.csv", ratings)
    run_task("ingest", store, load_settings([*SCALE, f"id_type={id_type}"]), run_key)


def normalize(store: Store, run_key: str, *overrides: str) -> dict[str, Any]:
    return run_task("normalize", store, load_settings([*SCALE, *overrides]), run_key)


def tables(store: Store, run_key: str) -> Tables:
    folder = store.table(run_key, "normalized")
    return {
        name: pd.read_parquet(folder / f"{name}.parquet") for name in ("ratings", "users", "items")
    }


def ratings_by_id(found: Tables) -> list[tuple[Any, Any, float]]:
    """(user_id, item_id, rating) in the table's order: row numbers must lead to the right ids."""
    rows = found["ratings"].merge(
        found["users"][["user_index", "user_id"]], on="user_index", how="left"
    )
    rows = rows.merge(found["items"][["item_index", "item_id"]], on="item_index", how="left")
    return list(rows[["user_id", "item_id", "rating"]].itertuples(index=False, name=None))


def oracle(files: list[pd.DataFrame]) -> pd.DataFrame:
    """The newest of each pair: by time (none is oldest), then arrival. Sorted by user and time."""
    rows = pd.concat(files, ignore_index=True).reindex(columns=COLUMNS)
    rows = rows.sort_values("timestamp", kind="stable", na_position="first")
    newest = rows.drop_duplicates(["userId", "movieId"], keep="last")
    return newest.sort_values("userId", kind="stable").reset_index(drop=True)


def check(found: Tables, files: list[pd.DataFrame], damping: float) -> None:
    """All that normalize promises of its three tables, from the files in order of arrival."""
    expected = oracle(files)
    check_order(found["ratings"])
    rows = pd.DataFrame(ratings_by_id(found), columns=COLUMNS[:3])
    rows = rows.assign(y_norm=found["ratings"]["y_norm"]).sort_values(COLUMNS[:2])
    expected = expected.sort_values(COLUMNS[:2]).reset_index(drop=True)
    assert rows[COLUMNS[:3]].to_numpy().tolist() == expected[COLUMNS[:3]].to_numpy().tolist()

    for side, column in (("user", "userId"), ("item", "movieId")):
        table, counts = found[f"{side}s"], expected.groupby(column).size().to_dict()
        assert table[f"{side}_id"].tolist() == sorted(counts)
        assert table[f"{side}_index"].tolist() == list(range(len(counts)))
        assert table["n_ratings"].tolist() == [counts[key] for key in sorted(counts)]

    stars: dict[Any, list[float]] = {}
    for item_id, rating in zip(expected["movieId"], expected["rating"], strict=True):
        stars.setdefault(item_id, []).append(rating)
    everything = [rating for ratings in stars.values() for rating in ratings]
    global_mean = sum(everything) / len(everything)
    means = [
        (sum(stars[i]) + damping * global_mean) / (len(stars[i]) + damping) for i in sorted(stars)
    ]
    assert found["items"]["mean"].to_numpy() == pytest.approx(means, rel=1e-6)
    plain = [sum(stars[i]) / len(stars[i]) for i in sorted(stars)]
    assert found["items"]["mean_rating"].to_numpy() == pytest.approx(plain, rel=1e-12)
    y_norm = expected["rating"] - expected["movieId"].map(
        dict(zip(sorted(stars), means, strict=True))
    )
    assert rows["y_norm"].to_numpy() == pytest.approx(y_norm.to_numpy(), abs=1e-6)


def check_order(ratings: pd.DataFrame) -> None:
    """By user and time, without a time first; where times are equal by a draw that rises."""
    time = ratings["timestamp"].fillna(pd.Timestamp("1900-01-01", tz="UTC"))
    before = ratings.shift().assign(timestamp=time.shift())
    same_user = ratings["user_index"] == before["user_index"]
    tied = same_user & (time == before["timestamp"])
    assert (ratings["user_index"].diff().fillna(0) >= 0).all()
    assert (time >= before["timestamp"])[same_user].all()
    assert (ratings["draw"] >= before["draw"])[tied].all()


# ---- against the oracle

NIGHTS = [
    [random_ratings(seed=1), random_ratings(seed=2)],
    [
        random_ratings(n_users=40, n_items=10, seed=3).assign(timestamp=999_999_999)
    ],  # older than most, all at once
    [
        random_ratings(seed=4).drop(columns="timestamp"),
        random_ratings(n_users=5, n_items=50, seed=5),
    ],
]


@dataclass(frozen=True)
class Taken:
    """A store, and the files of each night that ingest has taken."""

    store: Store
    nights: list[list[pd.DataFrame]]


@pytest.fixture(scope="module", params=["integers", "strings"])
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    store, nights = Store(tmp_path_factory.mktemp("taken")).create(), NIGHTS
    if request.param == "strings":  # whose order is not that of the numbers in them
        nights = [
            [
                part.assign(**{name: "é" + part[name].astype(str) for name in COLUMNS[:2]})
                for part in night
            ]
            for night in NIGHTS
        ]
    for number, night in enumerate(nights):
        ingest_night(store, f"night-{number}", *night)
    return Taken(store, nights)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("damping", [0, 5, 0.5, 1e6])
def test_three_nights_give_what_pandas_gives(taken: Taken, damping: float) -> None:
    store, files = taken.store, list[pd.DataFrame]()
    for number, night in enumerate(taken.nights):
        files += night
        outcome = normalize(store, f"night-{number}", f"damping={damping}")
        found = tables(store, f"night-{number}")
        check(found, files, damping)
        assert outcome["batches"] == [f"night-{n}" for n in range(number + 1)]
        sizes = [outcome[f"n_{name}"] for name in ("ratings", "users", "items")]
        assert sizes == [len(found[name]) for name in ("ratings", "users", "items")]


def files_of(
    users: st.SearchStrategy, items: st.SearchStrategy
) -> st.SearchStrategy[list[list[pd.DataFrame]]]:
    """One to three runs of one to two files; few ids and times: pairs repeat, times tie."""
    stars = st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.5, 5.0])
    timed = st.lists(st.tuples(users, items, stars, st.integers(0, 2)), min_size=1, max_size=8)
    untimed = st.lists(st.tuples(users, items, stars), min_size=1, max_size=8)
    file = st.builds(lambda rows: frame(*rows), timed | untimed)
    nights = st.lists(st.lists(file, min_size=1, max_size=2), min_size=1, max_size=3)
    return nights.filter(all_differ)


def all_differ(nights: list[list[pd.DataFrame]]) -> bool:
    contents = [file.to_csv() for night in nights for file in night]
    return len(set(contents)) == len(contents)  # ingest takes each content once


OF_INTEGERS = files_of(st.sampled_from([-7, 3, 20, 10**15]), st.integers(1, 3))
OF_STRINGS = files_of(
    st.sampled_from(["B", "a", "É", "10", "9"]), st.sampled_from(["x y", "x,y", "007"])
)


@pytest.mark.slow
@given(
    nights=OF_INTEGERS | OF_STRINGS,
    damping=st.sampled_from([0, 1, 5]),
)
@settings(max_examples=6, deadline=None)
def test_any_small_batches_give_what_pandas_gives(
    nights: list[list[pd.DataFrame]],
    damping: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    kind = "string" if isinstance(nights[0][0]["userId"][0], str) else "integer"
    store = Store(tmp_path_factory.mktemp("store")).create()
    for number, night in enumerate(nights):
        ingest_night(store, f"night-{number}", *night, id_type=kind)
    last = f"night-{len(nights) - 1}"
    for way in WAYS:
        with way_of(way):
            normalize(store, last, f"damping={damping}")
        check(tables(store, last), [file for night in nights for file in night], damping)


# ---- the newest rating, case by case


@pytest.mark.parametrize(
    ("nights", "newest"),
    [
        ([[frame((1, 9, 2.0, 50), (1, 9, 4.0, 60))]], 4.0),
        ([[frame((1, 9, 2.0, 60), (1, 9, 4.0, 50))]], 2.0),
        ([[frame((1, 9, 2.0, 50), (1, 9, 4.0, 50))]], 4.0),
        ([[frame((1, 9, 2.0, 50))], [frame((1, 9, 4.0, 60))]], 4.0),
        ([[frame((1, 9, 2.0, 60))], [frame((1, 9, 4.0, 50))]], 2.0),
        ([[frame((1, 9, 2.0, 50))], [frame((1, 9, 4.0, 50))]], 4.0),
        ([[frame((1, 9, 2.0, 50)), frame((1, 9, 4.0, 50))]], 4.0),
        ([[frame(*[(1, 9, 2.0, 50)] * 100_000)], [frame((1, 9, 4.0, 50))]], 4.0),
        ([[frame((1, 9, 2.0, 50))], [frame((1, 9, 4.0))]], 2.0),
        ([[frame((1, 9, 2.0))], [frame((1, 9, 4.0))]], 4.0),
        ([[frame((1, 9, 2.0))], [frame((1, 9, 4.0, 0))]], 4.0),
        ([[frame((1, 9, 2.0, 10**9 + 0.2), (1, 9, 4.0, 10**9 + 0.1))]], 2.0),
    ],
    ids=[
        "newer row",
        "older row",
        "same time, later row",
        "newer batch",
        "older rating in a newer batch",
        "same time, later batch",
        "same time, later file",
        "same time, later batch, after a long one",
        "no time is older than any",
        "no times, later batch",
        "no time is older than the first of an order",
        "fractions of a second",
    ],
)
@pytest.mark.usefixtures("both_ways")
def test_the_newest_rating_of_a_pair_counts(
    nights: list[list[pd.DataFrame]], newest: float, store: Store
) -> None:
    for number, night in enumerate(nights):
        ingest_night(store, f"night-{number}", *night)
    normalize(store, f"night-{len(nights) - 1}")
    assert ratings_by_id(tables(store, f"night-{len(nights) - 1}")) == [(1, 9, newest)]


@pytest.mark.usefixtures("both_ways")
def test_batches_without_new_files_between_others_change_nothing(store: Store) -> None:
    first, last = random_ratings(seed=1), random_ratings(seed=2)
    ingest_night(store, "night-0", first)
    run_task("ingest", store, load_settings(SCALE), "night-1")
    ingest_night(store, "night-2", last)
    normalize(store, "night-2")
    check(tables(store, "night-2"), [first, last], damping=5)


@pytest.mark.usefixtures("both_ways")
def test_a_run_reads_its_own_batch_and_those_before_it_but_no_later_one(store: Store) -> None:
    nights = [random_ratings(seed=seed) for seed in range(3)]
    for number, ratings in enumerate(nights):
        ingest_night(store, f"night-{number}", ratings)
    assert normalize(store, "night-1")["batches"] == ["night-0", "night-1"]
    check(tables(store, "night-1"), nights[:2], damping=5)


def test_a_batch_whose_ingest_did_not_end_does_not_count(store: Store) -> None:
    ratings = random_ratings()
    ingest_night(store, "night-1", ratings)
    half = store.ratings("night-0")
    half.mkdir()
    (half / "part-00000.parquet").write_bytes(b"half a fi")
    assert normalize(store, "night-1")["batches"] == ["night-1"]
    check(tables(store, "night-1"), [ratings], damping=5)


@pytest.mark.usefixtures("both_ways")
def test_the_same_run_again_gives_the_same_bytes(store: Store) -> None:
    ingest_night(store, "night-0", random_ratings(seed=1), random_ratings(seed=2))
    normalize(store, "night-0")
    folder = store.table("night-0", "normalized")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    normalize(store, "night-0", "threads=1")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {"ratings.parquet", "users.parquet", "items.parquet"}


@pytest.mark.usefixtures("both_ways")
def test_the_order_of_the_rows_of_a_file_does_not_show_if_times_differ(
    store: Store, tmp_path: Path
) -> None:
    ratings = pd.concat([random_ratings(seed=1), random_ratings(seed=2)]).reset_index(drop=True)
    ratings["timestamp"] = np.arange(len(ratings)) + 1_000_000_000
    other = Store(tmp_path / "other").create()
    for each, rows in ((store, ratings), (other, ratings.sample(frac=1, random_state=0))):
        ingest_night(each, "night-0", rows)
        normalize(each, "night-0")
    for name, table in tables(store, "night-0").items():
        pd.testing.assert_frame_equal(table, tables(other, "night-0")[name], check_exact=True)


def test_a_night_whose_rows_were_all_refused_is_an_error(store: Store) -> None:
    write_ratings(store.landing / "a.csv", random_ratings())
    outside = load_settings(["rating_low=6", "rating_high=10", "max_rejected=1"])
    assert run_task("ingest", store, outside, "night-0")["rows_taken"] == 0
    with pytest.raises(DataError, match="found no ratings in the batches up to night-0"):
        run_task("normalize", store, outside, "night-0")
    assert not store.table("night-0", "normalized").exists()


# ---- types


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(("user", "item"), [(1, 2), ("anna", "film")])
def test_the_tables_have_the_types_that_later_tasks_rely_on(
    user: Any, item: Any, store: Store
) -> None:
    ingest_night(store, "night-0", frame((user, item, 3.0, 5)))
    normalize(store, "night-0")
    found = tables(store, "night-0")
    assert list(found["ratings"].columns) == [
        "user_index",
        "item_index",
        "rating",
        "y_norm",
        "timestamp",
        "draw",
    ]
    kinds = [str(kind) for kind in found["ratings"].dtypes]
    assert kinds[:4] == ["int32", "int32", "float32", "float32"]
    assert kinds[4].startswith("datetime64")
    assert list(found["users"].columns) == ["user_index", "user_id", "n_ratings", "trust"]
    assert list(found["items"].columns) == [
        "item_index",
        "item_id",
        "mean",
        "n_ratings",
        "n_trusted",
        "title",
        "groups",
        "mean_rating",
    ]
    assert str(found["items"]["mean"].dtype) == "float32"
    assert (found["users"]["user_id"][0], found["items"]["item_id"][0]) == (user, item)


# ---- damped means


@pytest.mark.parametrize(
    ("damping", "means"),
    [
        (0, [5, 2]),  # the plain means
        (1, [4, 2.25]),  # (5 + 3) / 2 and (2 + 2 + 2 + 3) / 4
        (3, [3.5, 2.5]),  # (5 + 3 * 3) / 4 and (2 + 2 + 2 + 3 * 3) / 6
    ],
)
def test_damping_mixes_that_many_ratings_of_the_global_mean_into_each_mean(
    damping: float, means: list[float]
) -> None:
    # A rating of 5, three that sum to 6 and two that sum to 7: the global mean is 3.
    found = damped_means(np.array([1, 3, 2]), np.array([5.0, 6.0, 7.0]), damping)
    assert found[:2].tolist() == means


def test_much_damping_leaves_the_global_mean() -> None:
    assert damped_means(np.array([1, 3, 2]), np.array([5.0, 6.0, 7.0]), 1e6) == pytest.approx(
        3, abs=1e-5
    )


@pytest.mark.parametrize("damping", [0, 5])
def test_an_item_without_ratings_gets_the_global_mean(damping: float) -> None:
    means = damped_means(np.array([2, 0, 2]), np.array([4.0, 0.0, 8.0]), damping)
    assert means.dtype == np.float32
    assert means[1] == 3.0


# ---- titles


def test_titles_and_groups_come_from_the_catalogue_and_are_empty_where_it_has_none(
    store: Store,
) -> None:
    ingest_night(store, "night-0", frame((1, 10, 3.0, 5), (1, 20, 4.0, 6), (1, 30, 5.0, 7)))
    (store.catalogue / "movies.csv").write_text(
        'movieId,title,genres\n20,"Two, too",Comedy|Drama\n10,One,\n99,Unseen,War\n'
    )
    normalize(store, "night-0")
    items = tables(store, "night-0")["items"]
    assert items["item_id"].tolist() == [10, 20, 30]
    assert [None if pd.isna(title) else title for title in items["title"]] == [
        "One",
        "Two, too",
        None,
    ]
    assert items["groups"][1] == "Comedy|Drama"


def test_of_two_catalogues_the_later_one_by_name_counts(store: Store) -> None:
    ingest_night(store, "night-0", frame(("a", "x", 3.0, 5), ("a", "007", 4.0, 6)))
    (store.catalogue / "1.csv").write_text("item_id,title\nx,old\n007,Bond\n")
    (store.catalogue / "2.csv").write_text("item_id,title\nx,new\n7,Seven\n")
    normalize(store, "night-0")
    items = tables(store, "night-0")["items"]
    assert dict(zip(items["item_id"], items["title"], strict=True)) == {"007": "Bond", "x": "new"}


def test_of_two_rows_for_an_item_the_last_one_counts(store: Store) -> None:
    ingest_night(store, "night-0", frame(("a", "x", 3.0, 5), ("b", "x", 4.0, 6)))
    (store.catalogue / "1.csv").write_text("item_id,title\nx,first\nx,zweite\nx,last\n")
    normalize(store, "night-0")
    assert tables(store, "night-0")["items"]["title"].tolist() == ["last"]


@pytest.mark.parametrize(
    ("ids", "warned"), [(["007", "008"], True), (["7", "8"], False), (["7"], False), ([], False)]
)
def test_a_catalogue_of_other_ids_is_warned_of(
    ids: list[str], warned: bool, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ingest_night(store, "night-0", frame((1, 7, 3.0, 5), (2, 8, 4.0, 6)))
    (store.catalogue / "1.csv").write_text(
        "item_id,title\n" + "".join(f"{item},title\n" for item in ids)
    )
    normalize(store, "night-0")
    assert ("its ids are such as '007', those of ratings such as '7'" in caplog.text) == warned


def test_a_catalogue_that_cannot_be_read_is_an_error_that_names_it(store: Store) -> None:
    ingest_night(store, "night-0", random_ratings())
    (store.catalogue / "movies.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"movies\.csv.*'a', 'b'"):
        normalize(store, "night-0")
    assert not store.table("night-0", "normalized").exists()


def test_a_damaged_catalogue_is_not_passed_over_in_silence(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n1,10,4\n1,11,2\n")
    run_task("ingest", store, load_settings(), "night-1")
    (store.catalogue / "movies.csv").write_text("movieId,title\n10,Ten\n11,Eleven,more\n")
    run_task("normalize", store, load_settings(), "night-1")
    assert "1 malformed lines of the catalogue were skipped" in caplog.text
    (store.catalogue / "movies.csv").write_text('movieId,title\n10,"Ten\n11,Eleven\n')
    with pytest.raises(DataError, match="opens in line 2 is not closed"):
        run_task("normalize", store, load_settings(), "night-1")


# ---- withdrawals


def withdrawals_of(
    users: st.SearchStrategy, items: st.SearchStrategy
) -> st.SearchStrategy[list[list[tuple]]]:
    stars = st.sampled_from([1.0, 2.0, 5.0, None])  # None: withdrawn
    night = st.lists(st.tuples(users, items, stars, st.integers(0, 3)), min_size=1, max_size=30)
    return st.lists(night, min_size=1, max_size=3, unique_by=str)


@pytest.mark.slow
@given(
    nights=withdrawals_of(st.integers(1, 4), st.integers(10, 14)),
)
@settings(max_examples=4, deadline=None)
def test_a_withdrawal_counts_until_a_newer_rating_comes(
    tmp_path_factory: pytest.TempPathFactory, nights: Any
) -> None:
    store = Store(tmp_path_factory.mktemp("store")).create()
    state: dict[tuple[int, int], tuple[int, Any]] = {}
    n_rows = 0
    for number, night in enumerate([[(9, 99, 1.0, 0), (9, 98, 5.0, 0)], *nights]):
        rows = [
            f"{user},{item},{stars or ''},{time},{'d' if stars is None else 'u'}"
            for user, item, stars, time in night
        ]
        path = store.landing / f"{number}.csv"
        path.write_text("\n".join(["userId,movieId,rating,timestamp,op", *rows]) + "\n")
        settle(path)
        outcome = run_task("ingest", store, load_settings(SCALE), f"night-{number}")
        assert outcome["rows_withdrawn"] == sum(stars is None for _, _, stars, _ in night)
        n_rows += len(night)
        for user, item, stars, time in night:
            if time >= state.get((user, item), (-1, None))[0]:
                state[user, item] = (time, stars)
    current = {pair: stars for pair, (_, stars) in state.items() if stars is not None}
    for way in WAYS:
        with way_of(way):
            outcome = normalize(store, f"night-{len(nights)}")
        found = ratings_by_id(tables(store, f"night-{len(nights)}"))
        assert {(user, item): stars for user, item, stars in found} == current
        counts = [outcome[name] for name in ("n_rows", "n_superseded", "n_withdrawn", "n_ratings")]
        assert counts == [n_rows, n_rows - len(state), len(state) - len(current), len(current)]


@pytest.mark.usefixtures("both_ways")
def test_what_became_of_each_row_that_was_read_is_counted(store: Store) -> None:
    (store.landing / "a.csv").write_text(
        "userId,movieId,rating,timestamp,op\n1,10,5,1,\n1,10,4,2,\n1,11,3,1,\n"
    )
    run_task("ingest", store, load_settings(SCALE), "night-0")
    (store.landing / "b.csv").write_text(
        "userId,movieId,rating,timestamp,op\n1,11,,2,d\n2,10,nine,1,\n2,11,2,1,\n"
    )
    run_task("ingest", store, load_settings(SCALE), "night-1")
    outcome = normalize(store, "night-1")
    read, refused, erased = (outcome[name] for name in ("n_read", "n_refused", "n_erased"))
    assert (read, refused, erased) == (6, 1, 0)
    assert (outcome["n_ratings"], outcome["n_superseded"], outcome["n_withdrawn"]) == (2, 2, 1)
    record = store.required_outcome("night-0", "ingest")
    record["files"][0]["rows_read"] += 1
    store.records.write_outcome("night-0", "ingest", record)
    with pytest.raises(
        StoreError, match=r"found 5 rows taken, 1 rejected and 0 erased in .*, expected the 7 that"
    ):
        normalize(store, "night-1")


def test_a_batch_that_lost_rows_is_noticed(store: Store) -> None:
    ingest_night(store, "night-0", random_ratings())
    [part] = store.ratings("night-0").iterdir()
    pd.read_parquet(part)[1:].to_parquet(part, index=False)
    with pytest.raises(StoreError, match=r"is damaged: it has .* restore it from a backup"):
        normalize(store, "night-0")
    part.unlink()
    with pytest.raises(StoreError, match="is missing; restore it from a backup"):
        normalize(store, "night-0")


def test_a_batch_of_an_older_version_that_lost_rows_is_noticed(store: Store) -> None:
    ingest_night(store, "night-0", random_ratings())
    [part] = store.ratings("night-0").iterdir()
    pd.read_parquet(part)[1:].to_parquet(part, index=False)
    record = store.required_outcome("night-0", "ingest")
    del record["digests"]
    store.records.write_outcome("night-0", "ingest", record)
    n = len(random_ratings())
    with pytest.raises(
        StoreError, match=f"found {n - 1} rows in .*, expected the {n} that were put there"
    ):
        normalize(store, "night-0")
    part.unlink()
    with pytest.raises(StoreError, match="found 0 rows"):
        normalize(store, "night-0")
