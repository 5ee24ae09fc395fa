"""The peers of quality.py, in their own environment: each is tuned, then makes its lists.

A peer is fitted with every choice of its grid to the known ratings without each user's last fifth.
The choice with the best NDCG@10 on that fifth is fitted to all known ratings. Each choice also says
what is positive: what a user rated, or what the user liked.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_matrix

from benchmarks.contest import THREADS, TOP_N, main
from benchmarks.data import last_fifth, read
from benchmarks.list_quality import quality
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.ranking.top_k import block_size, top_k_unrated

# Scores (n, n_items) of some users, which the caller may change.
Scores = Callable[[np.ndarray], np.ndarray]
Choice = Mapping[str, Any]
LARGEST_INVERSE = 12_000  # rows of the largest matrix that EASE may invert


@dataclass(frozen=True)
class Peer:
    """A way to learn from a matrix (n_users, n_items) of ones, and the options to choose from.

    Every combination of `grid` is tried, then each value of `then` with the best of them.
    """

    fit: Callable[..., Scores]
    grid: Mapping[str, Sequence[Any]]
    then: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def choices(self, has_disliked: bool) -> Iterator[dict[str, Any]]:
        """Every combination of the grid and of what is positive."""
        grid = {"positive": ("rated", "liked") if has_disliked else ("rated",), **self.grid}
        return combinations(grid)

    def lists(
        self, known: Ratings, liked_from: float, users: np.ndarray, choice: Choice
    ) -> np.ndarray:
        """Unrated items with the best scores (n_users, TOP_N); -1 for users not asked for."""
        rated = matrix(known)
        liked = choice["positive"] == "liked"
        positive = matrix(known.where(known.rating >= liked_from)) if liked else rated
        options = {name: value for name, value in choice.items() if name != "positive"}
        return top_lists(self.fit(positive, **options), rated, users)

    def tuned(self, known: Ratings, liked_from: float) -> dict[str, Any]:
        """The choice with the best NDCG@10 on the last fifth of each user's known ratings."""
        is_validation = last_fifth(known.user_index)
        train, validation = known.where(~is_validation), known.where(is_validation)
        liked = validation.where(validation.rating >= liked_from)
        users = np.unique(liked.user_index)

        def ndcg(choice: Choice) -> float:
            return quality(self.lists(train, liked_from, users, choice), liked).ndcg

        tried = [
            (ndcg(choice), choice)
            for choice in self.choices(bool((known.rating < liked_from).any()))
        ]
        for name, values in self.then.items():
            _, best = max(tried, key=itemgetter(0))
            tried += [(ndcg(choice), choice) for choice in ({**best, name: v} for v in values)]
        return max(tried, key=itemgetter(0))[1]


def combinations(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the options of a grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def top_lists(scores: Scores, rated: csr_matrix, users: np.ndarray) -> np.ndarray:
    """The TOP_N best items that a user has not rated (n_users, TOP_N), padded with -1."""
    lists = np.full((rated.shape[0], TOP_N), -1, np.int32)
    size = block_size(rated.shape[1])
    for start in range(0, len(users), size):
        block = users[start : start + size]
        rows, items = rated[block].nonzero()
        best, values = top_k_unrated(scores(block), rows, items, TOP_N)
        lists[block, : best.shape[1]] = np.where(np.isfinite(values), best, -1)
    return lists


def popularity(positive: csr_matrix) -> Scores:
    """How many users an item has."""
    n_users = np.asarray(positive.sum(axis=0)).ravel()
    return lambda users: np.tile(n_users, (len(users), 1))


def ease(positive: csr_matrix, penalty: float) -> Scores:
    """EASE (Steck 2019): scores of unrated items are -x P / diag P, P = (X'X + penalty I)^-1.

    With K = (XX' + penalty I)^-1, X P is K X and P is (I - X'K X) / penalty: the smaller one of the
    two matrices is inverted.
    """
    n_users, n_items = positive.shape
    if n_items <= n_users:
        P = _inverse(positive.T @ positive, penalty)
        weights = -P / np.diag(P)
        return lambda users: positive[users] @ weights
    K = _inverse(positive @ positive.T, penalty)
    product = (positive.T @ K).T
    diagonal = 1 - np.asarray(positive.multiply(product).sum(axis=0)).ravel()
    return lambda users: -product[users] * (penalty / diagonal)


def als(
    positive: csr_matrix, factors: int, regularization: float, alpha: float, iterations: int
) -> Scores:
    """implicit's alternating least squares."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        iterations=iterations,
        num_threads=THREADS,
        random_state=0,
    )
    model.fit(positive, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def knn(positive: csr_matrix, recommender: str, neighbours: int) -> Scores:
    """implicit's nearest items, of the recommender with this name."""
    from implicit import nearest_neighbours

    model = getattr(nearest_neighbours, recommender)(K=neighbours, num_threads=THREADS)
    model.fit(positive, show_progress=False)
    similarity = csr_matrix(model.similarity)
    return lambda users: (positive[users] @ similarity).toarray()


def _inverse(gram: csr_matrix, penalty: float) -> np.ndarray:
    """(gram + penalty I)^-1 by Cholesky, in half of the time of a general inverse."""
    square = gram.toarray()
    square[np.diag_indices_from(square)] += penalty
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (square,))
    root, _ = potrf(square, lower=True)
    lower = np.tril(potri(root, lower=True)[0])
    return lower + np.tril(lower, -1).T


def matrix(ratings: Ratings) -> csr_matrix:
    """Ones where a user rated an item (n_users, n_items)."""
    ones = np.ones(len(ratings.rating), np.float32)
    shape = (ratings.n_users, ratings.n_items)
    return csr_matrix((ones, (ratings.user_index, ratings.item_index)), shape)


NEIGHBOURS = {"neighbours": (20, 50, 100, 200, 400)}
PEERS = {
    "popularity": Peer(popularity, {}),
    "EASE": Peer(ease, {"penalty": (100.0,)}, then={"penalty": (30.0, 300.0, 1000.0)}),
    "implicit ALS": Peer(
        als,
        {
            "factors": (64,),
            "regularization": (0.1, 1.0, 10.0),
            "alpha": (1.0, 5.0, 20.0),
            "iterations": (15,),
        },
        then={"factors": (32, 128, 256)},
    ),
    "item-kNN cosine": Peer(knn, {"recommender": ("CosineRecommender",), **NEIGHBOURS}),
    "item-kNN BM25": Peer(knn, {"recommender": ("BM25Recommender",), **NEIGHBOURS}),
}


def taking_part(n_users: int, n_items: int) -> list[str]:
    """The names of the peers for a set of this size."""
    too_large = min(n_users, n_items) > LARGEST_INVERSE
    return [name for name in PEERS if not (name == "EASE" and too_large)]


def judged(peer: Peer, data: Path, output: Path, options: Mapping[str, Any]) -> None:
    """Tune a peer; write its lists, its choice, and the seconds from the ratings to the lists."""
    known, held_out = read(data, "known"), read(data, "held-out")
    users, liked_from = np.unique(held_out.user_index), options["liked_from"]
    start = time.perf_counter()
    choice = peer.tuned(known, liked_from)
    lists = peer.lists(known, liked_from, users, choice)
    seconds = time.perf_counter() - start
    np.save(output / "lists.npy", lists)
    (output / "tuned.json").write_text(json.dumps({"seconds": seconds, "choice": choice}))


if __name__ == "__main__":
    main({name: partial(judged, peer) for name, peer in PEERS.items()})
