"""Made-up ratings: same seed, same ratings; the right size; skewed as real ones; learnable."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import synthetic
from benchmarks.synthetic import World, ratings, write_csv

N, USERS, ITEMS = 300_000, 2_000, 3_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pa.concat_tables(ratings(N, USERS, ITEMS)).to_pandas()


def test_the_same_seed_gives_the_same_ratings_and_another_seed_others(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(pa.concat_tables(ratings(N, USERS, ITEMS)).to_pandas(), frame)
    assert not pa.concat_tables(ratings(N, USERS, ITEMS, seed=1)).to_pandas().equals(frame)


def test_the_ratings_are_as_many_as_asked_for_and_half_stars_of_known_users_and_items(
    frame: pd.DataFrame,
) -> None:
    assert len(frame) == N
    assert frame["user_id"].between(1, USERS).all()
    assert frame["item_id"].between(1, ITEMS).all()
    assert set(frame["rating"]) == {half / 2 for half in range(1, 11)}


@pytest.mark.parametrize("n", [1, 5, 1_000, 200_001])
def test_any_number_of_ratings_can_be_had_over_any_number_of_blocks(n: int, monkeypatch) -> None:
    monkeypatch.setattr(synthetic, "BLOCK", 10_000)
    blocks = list(ratings(n, USERS, ITEMS))
    assert sum(map(len, blocks)) == n
    users = np.concatenate([block["user_id"].to_numpy() for block in blocks])
    assert (np.diff(users) >= 0).all()


def test_a_pair_repeats_only_as_a_newer_rating_and_rarely(frame: pd.DataFrame) -> None:
    again = frame[frame.duplicated(["user_id", "item_id"], keep="first")]
    assert len(again) == int(N * synthetic.AGAIN)
    first = frame.drop_duplicates(["user_id", "item_id"], keep="first")
    both = again.merge(first, on=["user_id", "item_id"], suffixes=("", "_before"))
    assert len(both) == len(again)
    assert (both["timestamp"] > both["timestamp_before"]).all()


def test_few_users_and_items_have_most_of_the_ratings(frame: pd.DataFrame) -> None:
    by_user, by_item = (frame[side].value_counts().to_numpy() for side in ("user_id", "item_id"))
    assert np.median(by_user) < 0.6 * N / USERS
    assert by_item[: ITEMS // 100].sum() > 0.1 * N
    assert by_item[: ITEMS // 10].sum() > 0.45 * N
    logarithm = np.log(by_user)
    assert 1 < logarithm.std() < 1.5


def test_ratings_follow_the_offsets_and_the_planted_factors(frame: pd.DataFrame) -> None:
    world = World(USERS, ITEMS)
    user, item = frame["user_id"].to_numpy() - 1, frame["item_id"].to_numpy() - 1
    of_users, of_items = world.offsets
    known = synthetic.MEAN + of_users[user] + of_items[item]
    taste = world.taste(user, item)
    by_offsets, by_all = (
        np.square(frame["rating"] - mean).mean() for mean in (known, known + taste)
    )
    assert by_all < 0.8 * by_offsets
    assert taste.mean() > 0.1  # what users rate they like more than what they do not


def test_a_later_night_has_newer_ratings_of_the_same_users() -> None:
    first, later = (
        pa.concat_tables(ratings(50_000, USERS, ITEMS, night=night)).to_pandas() for night in (0, 1)
    )
    assert later["timestamp"].min() > first["timestamp"].max()
    counts = [
        night["user_id"].value_counts().reindex(range(1, USERS + 1), fill_value=0)
        for night in (first, later)
    ]
    assert np.corrcoef(*counts)[0, 1] > 0.9


def test_more_ratings_than_users_can_give_are_an_error() -> None:
    with pytest.raises(ValueError, match="found 99500 ratings of 10 users"):
        next(ratings(100_000, 10, 100))


def test_the_csv_file_has_each_rating_and_as_many_bad_rows_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert write_csv(path, ratings(20_000, USERS, ITEMS)) == 0
    expected = pa.concat_tables(ratings(20_000, USERS, ITEMS)).to_pandas()
    expected.columns = ["userId", "movieId", "rating", "timestamp"]
    pd.testing.assert_frame_equal(pd.read_csv(path), expected, check_dtype=False)
    n_bad = write_csv(path, ratings(20_000, USERS, ITEMS), bad=0.01)
    lines = path.read_text().splitlines()[1:]
    assert len(lines) == 20_000
    assert 150 < n_bad < 250
    assert (
        sum(line.count(",") != 3 or line.split(",")[2] in synthetic.BAD_RATINGS for line in lines)
        == n_bad
    )
