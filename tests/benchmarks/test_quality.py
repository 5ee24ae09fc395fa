"""The benchmark of lists: honest splits, metrics of an oracle, peers tuned by validation alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from benchmarks import quality, quality_peers, quality_table
from benchmarks.contest import TOP_N
from benchmarks.data import last_fifth
from benchmarks.list_quality import Quality
from benchmarks.list_quality import quality as quality_of
from benchmarks.published import rows_of
from benchmarks.quality_peers import PEERS, Peer
from benchmarks.quality_sets import NAMES, Parted, RatingSet, at_hand, from_file, parted, rating_set
from benchmarks.quality_table import Judgement, Result
from cofi_jobs.core.ratings import Ratings
from tests.support.repository import ROOT


def matrix(n_users: int, n_items: int, share: float, seed: int = 0) -> csr_matrix:
    return csr_matrix((np.random.default_rng(seed).random((n_users, n_items)) < share) * 1.0)


def padded(*lists: list[int]) -> np.ndarray:
    return np.array([each + [-1] * (TOP_N - len(each)) for each in lists])


def likes(pairs: list[tuple[int, int]], n_users: int, n_items: int) -> Ratings:
    user, item = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    return Ratings(user, item, np.ones(len(pairs), np.float32), n_users, n_items)


def test_ndcg_and_recall_are_those_computed_by_hand():
    lists = padded([4, 2, 7], [1], [5, 6])
    liked = likes([(0, 2), (0, 7), (0, 9), (1, 1)], 3, 10)  # nobody judges the third user
    ndcg = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4))
    assert quality_of(lists, liked) == pytest.approx(((ndcg + 1) / 2, (2 / 3 + 1) / 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_ndcg_and_recall_are_those_of_a_loop_over_users(seed: int, n_items: int):
    rng = np.random.default_rng(seed)
    lists = padded(*(rng.permutation(n_items)[: rng.integers(TOP_N + 1)].tolist() for _ in "abc"))
    is_liked = rng.random((3, n_items)) < rng.random()
    is_liked[0, 0] = True
    liked = likes(list(zip(*np.nonzero(is_liked), strict=True)), 3, n_items)
    expected = []
    for items, wanted in zip(lists, is_liked, strict=True):
        if n := int(wanted.sum()):
            hits = [item >= 0 and wanted[item] for item in items]
            gains = [hit / np.log2(rank + 2) for rank, hit in enumerate(hits[:10])]
            most = sum(1 / np.log2(rank + 2) for rank in range(min(n, 10)))
            expected.append((sum(gains) / most, sum(hits) / min(n, 20)))
    assert quality_of(lists, liked) == pytest.approx(tuple(np.mean(expected, axis=0)))


Row = tuple[str, str, float, int]  # user, item, rating, time
ROWS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("abcdefghijklm"), st.integers(1, 4)),
    min_size=5,
    max_size=60,
).map(lambda rows: [(user, item, n / 4, time) for n, (user, item, time) in enumerate(rows)])


def set_of(rows: list[Row], timed: bool = True, liked_from: float | None = None) -> RatingSet:
    table = pd.DataFrame(rows, columns=["user", "item", "rating", "time"]).astype(str)
    return rating_set("made up", table, liked_from, timed)


def pairs(part: Ratings, parts: Parted) -> list[tuple[str, str, float]]:
    columns = (parts.users[part.user_index], parts.items[part.item_index], part.rating)
    return [
        (str(user), str(item), float(rating)) for user, item, rating in zip(*columns, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans(), st.integers(0, 99))
def test_a_fifth_of_each_users_ratings_is_held_out(rows: list[Row], timed: bool, seed: int):
    parts = parted(set_of(rows, timed), seed)
    known, held_out = pairs(parts.known, parts), pairs(parts.held_out, parts)
    assert {pair[:2] for pair in known + held_out} == {row[:2] for row in rows}
    assert len(known) + len(held_out) == len({row[:2] for row in rows})
    assert set(known + held_out) <= {row[:3] for row in rows}
    for user in parts.users:
        n_held_out, n_known = (sum(pair[0] == user for pair in part) for part in (held_out, known))
        assert n_held_out == (n_held_out + n_known) // 5
    shown = [(user, item, float(rating)) for user, item, rating, *_ in parts.known_table.to_numpy()]
    assert sorted(shown) == sorted(known)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 99))
def test_with_times_the_newest_ratings_are_held_out(rows: list[Row], seed: int):
    time_of = {row[:3]: row[3] for row in rows}
    parts = parted(set_of(rows), seed)
    newest = dict.fromkeys(parts.users, 0)
    for pair in pairs(parts.known, parts):
        newest[pair[0]] = max(newest[pair[0]], time_of[pair])
    assert all(time_of[pair] >= newest[pair[0]] for pair in pairs(parts.held_out, parts))
    latest: dict[tuple[str, str], int] = {}
    for row in rows:
        latest[row[:2]] = max(latest.get(row[:2], 0), row[3])
    kept = pairs(parts.known, parts) + pairs(parts.held_out, parts)
    assert all(time_of[pair] == latest[pair[:2]] for pair in kept)


def test_without_times_what_is_held_out_is_drawn_anew_by_every_seed_and_by_no_id():
    rows: list[Row] = [("x", f"{item:03}", 1.0, item) for item in range(500)]
    held_out = [
        {int(item) for _, item, _ in pairs(parts.held_out, parts)}
        for parts in (parted(set_of(rows, timed=False), seed) for seed in (0, 0, 1))
    ]
    assert held_out[0] == held_out[1] != held_out[2]
    assert 200 < np.mean(list(held_out[0])) < 300
    assert "time" not in parted(set_of(rows, timed=False)).known_table.columns
    same_time = [(*row[:3], 7) for row in rows]
    assert "time" not in parted(set_of(same_time)).known_table.columns


def test_validation_is_the_last_fifth_of_what_is_known():
    user = np.repeat([0, 2, 3], [4, 11, 5])
    assert np.flatnonzero(last_fifth(user)).tolist() == [13, 14, 19]
    assert not last_fifth(user[:0]).any()


def test_files_of_several_kinds_are_sets(tmp_path: Path):
    stars, colons, likes_only = (
        tmp_path / name for name in ("stars.csv", "colons.dat", "likes.csv")
    )
    stars.write_text("u,venue,stars,day,text\n1,a,4.5,2024-05-01,x\n2,007,0.5,2024-05-02,y\n")
    colons.write_text("1::0104257::8::5\n1::a::0::6\n")
    likes_only.write_text("u,i\n1,a\n1,b\n")
    read = from_file(stars)
    assert list(read.table.columns) == ["u", "venue", "stars", "day"]
    assert (read.rating.tolist(), read.liked_from) == ([4.5, 0.5], 3.5)
    assert read.time is not None
    assert read.time[0] < read.time[1]
    assert from_file(colons).table["item_id"].tolist() == ["0104257", "a"]
    assert from_file(colons, liked_from=8).liked_from == 8
    assert from_file(likes_only).rating.tolist() == [1, 1]
    assert from_file(likes_only).time is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no table"),
        ("u,i,r\n", "found 3 columns and 0 rows"),
        ("a\n1\n", "found 1 columns and 1 rows"),
        ("u,i,r\n1,a,good\n", "found 'good' as rating in the column r"),
        ("u,i,r,t\n1,a,1,soon\n", "found 'soon' as time in the column t"),
    ],
)
def test_a_file_that_is_no_set_is_one_sentence(tmp_path: Path, text: str, message: str):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        from_file(path)


def test_sets_that_are_not_there_are_named_and_the_sample_is_always_there(tmp_path: Path):
    sets, missing = at_hand(NAMES, tmp_path)
    assert [each.name for each in sets] == ["MovieLens sample"]
    assert missing == list(NAMES[1:])
    with pytest.raises(ValueError, match="found the set 'ml', expected some of sample, ml-latest"):
        at_hand(["ml"], tmp_path)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_ease_ranks_as_its_closed_form_whichever_side_is_inverted(shape: tuple[int, int]):
    X = matrix(*shape, share=0.3)
    P = np.linalg.inv((X.T @ X).toarray() + 5 * np.eye(shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    users = np.arange(0, shape[0], 2)
    unrated = X[users].toarray() == 0
    scores = quality_peers.ease(X, 5.0)(users)
    np.testing.assert_allclose(scores[unrated], (X[users] @ B)[unrated], atol=1e-10)


def test_lists_are_the_best_unrated_items_of_the_users_asked_for():
    rated = matrix(5, 30, share=0.4)
    score = np.random.default_rng(1).random((5, 30))
    lists = quality_peers.top_lists(lambda users: score[users].copy(), rated, np.array([1, 4]))
    assert (lists[[0, 2, 3]] == -1).all()
    for user in (1, 4):
        best = [item for item in np.argsort(-score[user]) if not rated[user, item]]
        assert lists[user].tolist() == padded(best[:TOP_N])[0].tolist()


def test_a_peer_takes_the_choice_that_is_best_on_validation_and_sees_no_held_out_rating():
    """The last fifth of everyone's known ratings is item 9, liked: which `favourite` finds it?"""
    user = np.repeat(np.arange(4), 5)
    item = np.tile([0, 1, 2, 3, 9], 4)
    known = Ratings(user, item, np.tile([1, 1, 1, 5, 5], 4), 4, 12)
    learned_from = []

    def fit(positive: csr_matrix, favourite: int) -> quality_peers.Scores:
        learned_from.append(positive.nonzero())
        score = np.eye(12)[favourite] + np.linspace(0, 0.1, 12)[::-1]
        return lambda users: np.tile(score, (len(users), 1))

    peer = Peer(fit, {"favourite": (4, 9, 11)})
    assert peer.tuned(known, liked_from=4)["favourite"] == 9
    assert all(9 not in items for _, items in learned_from)
    assert {tuple(np.unique(items)) for _, items in learned_from} == {(0, 1, 2, 3), (3,)}
    assert peer.tuned(known, liked_from=1)["positive"] == "rated"
    later = replace(peer, grid={"favourite": (4,)}, then={"favourite": (9, 11)})
    assert later.tuned(known, liked_from=4)["favourite"] == 9
    assert list(Peer(fit, {"favourite": (4, 9)}).choices(has_disliked=False)) == [
        {"positive": "rated", "favourite": favourite} for favourite in (4, 9)
    ]


def test_ease_takes_part_where_one_side_is_small():
    assert "EASE" in quality_peers.taking_part(10**6, 12_000)
    assert "EASE" in quality_peers.taking_part(12_000, 10**6)
    assert quality_peers.taking_part(12_001, 12_001) == [name for name in PEERS if name != "EASE"]


def test_published_lists_are_read_by_id_whatever_its_type():
    parts = parted(set_of([(user, item, 1, 1) for user in ("1", "2") for item in ("30", "4")]))
    table = pd.DataFrame({"user_id": [2, 2, 9], "rank": [2, 1, 1], "item_id": [30, 4, 4]})
    lists = rows_of(table, parts.users, parts.items, TOP_N)
    assert (lists[0] == -1).all()
    assert [str(parts.items[item]) for item in lists[1] if item >= 0] == ["4", "30"]


def test_a_set_of_which_nobody_likes_what_is_held_out_is_one_sentence(tmp_path: Path):
    rows: list[Row] = [("x", item, 1.0, n) for n, item in enumerate("abcdef")]
    with pytest.raises(ValueError, match="found no held-out rating of 4 or more in made up"):
        quality.judge(set_of(rows, liked_from=4), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_peers_lists_of_an_earlier_run_are_kept_if_asked_for(tmp_path: Path):
    (tmp_path / "item-kNN-BM25").mkdir()
    np.save(tmp_path / "item-kNN-BM25" / "lists.npy", padded([1], [0]))
    tuned = {"seconds": 9.5, "choice": {"neighbours": 20}}
    (tmp_path / "item-kNN-BM25" / "tuned.json").write_text(json.dumps(tuned))
    liked = likes([(0, 1), (1, 2)], 2, 3)
    result = quality.peer_result("item-kNN BM25", 4.0, liked, tmp_path, keep=True)
    assert result == Result("item-kNN BM25", Quality(0.5, 0.5), 9.5, {"neighbours": 20})


def test_the_table_names_the_best_peer_and_says_where_there_are_no_lists():
    ours = Result("ours", Quality(0.21, 0.3), 60, {})
    peers = [
        Result("EASE", Quality(0.2, 0.5), 9, {"penalty": 30}),
        Result("item-kNN", Quality(0.1, 0.6), 4, {}),
    ]
    judgement = Judgement("films", "by time", 1000, 20, 5000, ours, peers)
    sizes = ["1,000", "20", "5,000"]
    best = ["EASE", "0.2000"]
    assert judgement.summary() == [
        *("films", "by time", *sizes, "0.2100", *best, "1.050", "60.0", "9.0")
    ]
    assert judgement.details()[1] == ["films", "EASE", "0.2000", "0.5000", "9.0", "penalty 30"]
    stopped = replace(judgement, ours=Result("ours", None, 2, {}))
    assert stopped.summary() == [*("films", "by time", *sizes, "no lists", *best, "", "2.0", "9.0")]


def test_a_table_takes_the_place_of_the_one_between_the_marks():
    table = quality_table.markdown(["a", "b"], [["1", "2"]])
    assert table == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    document = f"x\n{quality_table.OPENING}| old |\n{quality_table.CLOSING}\ny\n"
    assert quality_table.with_table(document, table) == document.replace("| old |\n", table)


def test_the_document_has_the_marks_and_the_columns_of_the_table():
    written = (ROOT / "docs" / "benchmarks.md").read_text()
    assert quality_table.OPENING + quality_table.markdown(quality_table.SUMMARY, []) in written
    assert quality_table.CLOSING in written
