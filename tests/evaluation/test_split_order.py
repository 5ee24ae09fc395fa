"""What is said of a split: by time, at random, or mixed."""

import numpy as np
import pytest

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.split_order import SplitOrder, order_of_split, split_sentences

N = 4  # ratings of each user


def order_of(*ties: str, n_test: int = 2) -> SplitOrder | None:
    """Of users of whom each letter is a rating's time; the last `n_test` are test ratings."""
    tied = [i > 0 and times[i] == times[i - 1] for times in ties for i in range(N)]
    user = np.repeat(np.arange(len(ties)), N).astype(np.int32)
    item, stars = np.tile(np.arange(N), len(ties)), np.ones(len(user))
    ratings = Ratings(user, item, stars, len(ties), N, np.array(tied))
    return order_of_split(ratings, np.arange(len(user)) % N >= N - n_test)


@pytest.mark.parametrize(
    ("ties", "kind", "order"),
    [
        (["abcd", "aabb"], "by time", SplitOrder(2, 0, 0, 0.0)),
        (["aaaa", "bbbb"], "at random", SplitOrder(2, 2, 2, 1.0)),
        (["aaaa", "abbc", "abcd", "abbb"], "mixed", SplitOrder(4, 3, 1, (1 + 0.5 + 0 + 1) / 4)),
    ],
)
def test_by_hand(ties: list[str], kind: str, order: SplitOrder):
    assert order_of(*ties) == order
    assert order.kind == kind
    assert SplitOrder.from_record(order.to_record()) == order
    [sentence] = split_sentences({"split": order.to_record()})
    assert order.in_words() in sentence
    assert sentence.startswith("Warning") == (kind != "by time")


def test_few_drawn_ratings_are_no_reason_to_warn():
    [sentence] = split_sentences({"split": SplitOrder(610, 118, 0, 0.044).to_record()})
    assert sentence.startswith("The split is by time as far as times go: of 19.3% of the users")
    assert "show little" not in sentence


def test_where_nothing_is_known_nothing_is_said():
    assert order_of("abcd", n_test=0) is None
    unknown = Ratings(np.zeros(2, np.int32), np.arange(2), np.ones(2), 1, 2)
    assert order_of_split(unknown, np.array([False, True])) is None
    assert split_sentences({}) == []
