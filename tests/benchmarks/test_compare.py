"""The comparison with peers: the job's own split, honest arithmetic, our side still runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import compare, contest, data, scoring, training, tuning
from benchmarks.synthetic import ratings
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.settings.resolve import load_settings


def curve(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [
        {"epochs": n, "seconds": seconds, "value": value}
        for n, (seconds, value) in enumerate(pairs, start=1)
    ]


def test_a_set_holds_out_each_users_newest_fifth_and_counts_a_pair_once() -> None:
    frame = pa.concat_tables(ratings(20_000, 200, 500)).to_pandas()
    shuffled = frame.sample(frac=1, random_state=0)
    known, held_out = data.split(pa.Table.from_pandas(shuffled, preserve_index=False))
    current = frame.drop_duplicates(["user_id", "item_id"], keep="last")
    expected = current.groupby("user_id")["rating"].apply(
        lambda own: max(1, int(0.2 * len(own))) if len(own) > 1 else 0
    )
    users, items = (np.unique(frame[f"{side}_id"]) for side in ("user", "item"))

    def rows(part: Ratings) -> pd.DataFrame:
        columns = {
            "user_id": users[part.user_index],
            "item_id": items[part.item_index],
            "rating": part.rating,
        }
        return pd.DataFrame(columns).merge(current, on=["user_id", "item_id", "rating"])

    first, last = rows(known), rows(held_out)
    assert len(first) == len(known.rating)
    assert len(last) == len(held_out.rating)
    assert len(first) + len(last) == len(current)
    pd.testing.assert_series_equal(
        last.groupby("user_id").size(), expected[expected > 0], check_names=False
    )
    newest, oldest = (
        first.groupby("user_id")["timestamp"].max(),
        last.groupby("user_id")["timestamp"].min(),
    )
    assert (newest[oldest.index] <= oldest).all()


def test_a_set_of_a_movielens_file_is_kept_as_it_was_split(tmp_path: Path) -> None:
    source = tmp_path / "ml-small" / "ratings.csv"
    source.parent.mkdir()
    source.write_text(
        "userId,movieId,rating,timestamp\n1,10,4.0,1\n1,11,3.5,2\n2,11,0.5,9\n2,12,5.0,8\n2,10,1.0,7\n"
    )
    folder = data.prepared(tmp_path / "sets", str(source))
    known, held_out = (data.read(folder, part) for part in data.PARTS)
    assert held_out.item_index.tolist() == [1, 1]
    assert held_out.rating.tolist() == [3.5, 0.5]
    assert known.item_index.tolist() == [0, 0, 2]
    assert (known.n_users, known.n_items) == (2, 3)


def test_time_to_quality_is_the_first_point_as_good_as_the_peers_best() -> None:
    peer = curve((1, 0.95), (2, 0.9), (3, 0.8995), (4, 0.92))
    assert training.compared("rating", peer, curve((0.5, 0.95), (5, 0.9), (9, 0.85))) == {
        "goal": 0.8995, "peer": 2, "ours": 5, "ratio": 2.5, "our_best": 0.85
    }  # fmt: skip
    peer = curve((1, 0.1), (2, 0.3), (3, 0.2))
    assert training.compared("ranking", peer, curve((0.5, 0.2), (1, 0.31)))["ratio"] == 0.5
    missed = training.compared("ranking", peer, curve((0.5, 0.2), (1, 0.29)))
    assert (missed["ours"], missed["ratio"], missed["our_best"]) == (None, None, 0.29)


def test_the_medians_of_the_rounds_count_where_a_number_of_epochs_was_measured() -> None:
    rounds = [curve((3, 0.5), (4, 0.6)), curve((1, 0.5)), curve((2, 0.8), (8, 0.6))]
    assert training.middle(rounds) == curve((2, 0.5), (6, 0.6))
    assert training.middle([[], []]) == []


def test_rmse_is_that_of_the_clipped_sum_of_all_that_a_contestant_hands_back(
    tmp_path: Path,
) -> None:
    source = small_set(tmp_path)
    held_out, rng = data.read(source, "held-out"), np.random.default_rng(0)
    W, X = (
        rng.standard_normal((n, 4)).astype(np.float32) for n in (held_out.n_users, held_out.n_items)
    )
    user, item = (
        rng.standard_normal(len(W)).astype(np.float32),
        rng.standard_normal(len(X)).astype(np.float32),
    )
    stars = np.clip(W @ X.T + user[:, None] + item + 3, 0.5, 5)[
        held_out.user_index, held_out.item_index
    ]
    expected = np.sqrt(np.mean((stars - held_out.rating) ** 2))
    found = training.measured(
        "rating", source, {"W": W, "X": X, "user": user, "item": item, "mean": np.array(3.0)}
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_ndcg_is_1_where_a_contestant_knows_the_future_and_known_items_do_not_count(
    tmp_path: Path,
) -> None:
    source = small_set(tmp_path)
    known, held_out = (data.read(source, part) for part in data.PARTS)
    score = np.zeros((known.n_users, known.n_items), np.float32)
    liked = held_out.where(held_out.rating >= 4)
    score[liked.user_index, liked.item_index] = 1
    score[known.user_index, known.item_index] = 2
    every = np.eye(known.n_items, dtype=np.float32)
    assert training.measured("ranking", source, {"W": score, "X": every}) == 1
    assert training.measured("ranking", source, {"W": -score, "X": every}) < 0.2


def test_the_table_says_who_was_not_reached_and_who_did_not_finish() -> None:
    row = {"kind": "rating", "set": "ratings-1000000", "curve": curve((1, 1))}
    reached = {"goal": 0.8, "peer": 4, "ours": 1, "ratio": 0.25, "our_best": 0.79}
    rows: list[dict[str, Any]] = [
        {**row, "contestant": "a", **reached},
        {**row, "contestant": "b", **reached, "ours": None, "ratio": None, "our_best": 0.81},
        {**row, "contestant": "c", "curve": []},
        {**row, "contestant": "ours"},
    ]
    assert [cells[2:] for cells in compare.rows_of_training(rows)] == [
        ["a", "4.00", "1.00", "0.25"],
        ["b", "4.00", "not reached, best 0.8100", ""],
        ["c", "not finished", "", ""],
    ]


def test_scoring_is_compared_with_our_time_for_the_same_lists() -> None:
    rows = [
        {
            "kind": kind,
            "users": users,
            "items": 10,
            "contestant": name,
            "write": write,
            "seconds": seconds,
        }
        for kind, users, name, write, seconds in (
            ("lists", 5, "ours", False, 1.0),
            ("lists", 5, "ours", True, 3.0),
            ("lists", 7, "ours", False, 8.0),
            ("lists", 5, "faiss", False, 2.0),
            ("lists", 5, "faiss", True, 2.0),
            ("lists", 7, "faiss", False, 2.0),
        )
    ]
    assert [cells[-1] for cells in compare.rows_of_scoring(rows)] == ["0.50", "1.50", "4.00"]


def test_every_contestant_of_the_sets_has_its_chosen_options_and_they_are_of_its_grid() -> None:
    chosen = json.loads(training.CHOSEN.read_text())
    for options in chosen.values():
        for name, own in options.items():
            assert own in list(tuning.grid(name))


def test_on_real_ratings_peers_have_the_samples_options_and_we_the_jobs_defaults() -> None:
    defaults = load_settings()
    for name in training.REAL:
        options = training.chosen_options(name)
        assert [peer for peer in options if not peer.startswith("ours")] == ["implicit ranking"]
        assert options["ours ranking"]["settings"] == {
            "ranking_learning_rate": defaults.ranking_learning_rate,
            "ranking_steps": defaults.ranking_steps,
        }
    made_up = training.chosen_options("ratings-20000000")
    assert set(made_up) == set(training.chosen_options(training.MILLION)) == set(tuning.GRIDS)


def test_the_sample_is_one_of_the_sets_and_other_real_ratings_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "SHARED", tmp_path)
    assert compare.default_sets() == ["1000000", "20000000", "sample"]
    path = tmp_path / "ml-latest-small" / "ratings.csv"
    path.parent.mkdir()
    path.touch()
    assert compare.default_sets()[3:] == [str(path)]
    folder = data.prepared(tmp_path / "sets", data.SAMPLE)
    known, held_out = (data.read(folder, part) for part in data.PARTS)
    assert len(known.rating) + len(held_out.rating) == 100_004
    assert (known.n_users, known.n_items) == (671, 9_066)


def test_our_side_makes_the_lists_of_a_full_sort(tmp_path: Path) -> None:
    source, found = tmp_path / "data", tmp_path / "found"
    source.mkdir()
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((50, 64), np.float32), rng.standard_normal((300, 64), np.float32)
    rated = rng.random((50, 300)) < 0.1
    starts = np.concatenate([[0], np.cumsum(rated.sum(axis=1))])
    for name, values in {
        "W": W,
        "X": X,
        "starts": starts,
        "items": np.nonzero(rated)[1].astype(np.int32),
    }.items():
        np.save(source / f"{name}.npy", values)
    options = {"batch": 10}
    assert contest.run("ours", "ours lists", source, found, 60, write=False, **options)
    expected = np.argsort(-np.where(rated, -np.inf, W @ X.T), axis=1)[:, : contest.TOP_N]
    np.testing.assert_array_equal(np.load(found / "items.npy"), expected)
    assert 0 < json.loads((found / "seconds.json").read_text()) < 60
    for kind in ("lists", "similar"):
        assert contest.run("ours", f"ours {kind}", source, found, 60, write=True, **options)
        assert len(pd.read_parquet(found / "lists.parquet")) == np.load(found / "items.npy").size
        assert contest.run("ours", f"task {kind}", source, found, 60, write=True, **options)
        table = {"lists": "recommendations", "similar": "similar_items"}[kind]
        assert (
            len(pd.read_parquet(found / "store" / "runs" / "night" / table))
            == 20 * {"lists": 50, "similar": 300}[kind]
        )
    with pytest.raises(RuntimeError, match="KeyError"):
        contest.run("ours", "nobody", source, found, 60)


def test_lists_that_differ_are_an_error() -> None:
    rng = np.random.default_rng(0)
    lists = rng.permuted(np.tile(np.arange(100), (30, 1)), axis=1)[:, : contest.TOP_N]
    scoring.check_same("peer", lists[:, ::-1], lists)
    with pytest.raises(RuntimeError, match="lists of peer"):
        scoring.check_same("peer", (lists + 1) % 100, lists)


def small_set(folder: Path) -> Path:
    source = folder / "a" / "ratings.csv"
    source.parent.mkdir()
    frame = pa.concat_tables(ratings(1_500, 40, 150)).to_pandas()
    frame.to_csv(source, index=False)
    return data.prepared(folder / "sets", str(source))
