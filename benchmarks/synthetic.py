"""Made-up ratings of any size, with the skew of real ones and a structure that a model can learn.

How many ratings a user gives is log-normal, how many an item gets falls by Zipf's law (Mandelbrot's
form), with numbers near those of the Netflix prize: of 100 million ratings half of the 480,000
users give fewer than 100, the first of the 17,800 items has some 200,000. A rating is the mean plus
the user's and the item's offset, the product of a few planted factors, and noise, in half stars
from 0.5 to 5. Users meet what they like more often than chance would have it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

N_FACTORS = 6
MEAN, USER_SPREAD, ITEM_SPREAD, TASTE_SPREAD, NOISE = (
    3.5,
    0.4,
    0.45,
    0.5,
    0.75,
)  # stars, standard deviations
ACTIVITY = 1.25  # standard deviation of the logarithm of a user's number of ratings
ZIPF, FLAT_HEAD = 1.2, 150  # popularity ~ (rank + n_items / FLAT_HEAD)^-ZIPF
BUSIEST = 1 / 3  # share of the items that a user rates at most
AGAIN = 0.005  # share of the ratings that replace one of the same user and item
FIRST, YEAR, DAY = 1_262_304_000, 31_536_000, 86_400  # 2010-01-01; seconds
YEARS = 10
BLOCK, USERS = 1 << 20, 1 << 13  # ratings and users made at once, about
HEADER = b"userId,movieId,rating,timestamp\n"  # as MovieLens
BAD_RATINGS = ("abc", "", "99", "nan")
BAD_LINE = b"17,42\n"


@dataclass(frozen=True)
class World:
    """Users and items: who is active, what is popular, who likes what. Set by three numbers."""

    n_users: int
    n_items: int
    seed: int = 0

    @cached_property
    def activity(self) -> np.ndarray:
        """Share of the ratings that each user gives, (n_users,)."""
        weights = self._rng(0).lognormal(0, ACTIVITY, self.n_users)
        return weights / weights.sum()

    @cached_property
    def drawn_items(self) -> np.ndarray:
        """Items, each as often as it is popular: an even draw from here is a draw by popularity."""
        weights = (np.arange(self.n_items) + self.n_items / FLAT_HEAD) ** -ZIPF
        size = max(1 << 20, 64 * self.n_items)
        by_rank = np.searchsorted(
            np.cumsum(weights / weights.sum()), (np.arange(size) + 0.5) / size
        )
        return (
            self._rng(1)
            .permutation(self.n_items)
            .astype(np.int32)[np.minimum(by_rank, self.n_items - 1)]
        )

    @cached_property
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Stars that each user and each item stands above the mean."""
        rng = self._rng(2)
        users, items = (
            rng.standard_normal(size, np.float32) for size in (self.n_users, self.n_items)
        )
        return users * np.float32(USER_SPREAD), items * np.float32(ITEM_SPREAD)

    @cached_property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Planted factors, (n_users, N_FACTORS), (n_items, N_FACTORS), scaled to TASTE_SPREAD."""
        rng, scale = self._rng(3), np.float32((TASTE_SPREAD**2 / N_FACTORS) ** 0.25)
        users, items = (
            rng.standard_normal((size, N_FACTORS), np.float32)
            for size in (self.n_users, self.n_items)
        )
        return users * scale, items * scale

    def taste(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Stars that each pair's rating lies above the offsets, without noise."""
        of_users, of_items = self.factors
        return np.einsum("ij,ij->i", of_users[users], of_items[items])

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, part])


def ratings(
    n: int, n_users: int, n_items: int, seed: int = 0, night: int = 0
) -> Iterator[pa.Table]:
    """`n` ratings in blocks: user_id, item_id (int64, from 1), rating (float32), timestamp (int64).

    Night 0 is the history, in order of user and time. A later night has other ratings of the same
    users and items, all newer. A user rates an item once, but for a share of AGAIN, where a newer
    rating follows. Raises ValueError if so many ratings cannot be had of so few users and items.
    """
    world = World(n_users, n_items, seed)
    rng = np.random.default_rng([seed, 4, night])
    n_again = int(n * AGAIN)
    counts = _spread(rng, n - n_again, world.activity, max(int(n_items * BUSIEST), 1))
    again = _spread(rng, n_again, counts / counts.sum(), counts) if n else counts
    start = 0
    full = np.searchsorted(np.cumsum(counts + again), np.arange(BLOCK, n, BLOCK), side="right")
    for stop in np.unique(np.concatenate([full, np.arange(USERS, n_users, USERS), [n_users]])):
        if counts[start:stop].any():
            yield _block(
                world, rng, np.arange(start, stop), counts[start:stop], again[start:stop], night
            )
        start = stop


def write_csv(path: Path, blocks: Iterable[pa.Table], bad: float = 0.0, seed: int = 0) -> int:
    """Write ratings to a CSV file as MovieLens has them; returns how many rows are no ratings.

    `bad` is the share of rows whose rating is something else, such as abc; with it each block also
    ends in a line without all columns, in the place of a rating.
    """
    rng = np.random.default_rng([seed, 5])
    stars = pa.array([f"{half / 2}" for half in range(11)] + list(BAD_RATINGS))
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    n_bad = 0
    with path.open("wb") as file:
        file.write(HEADER)
        for table in blocks:
            codes = (2 * table["rating"].to_numpy()).astype(np.int8)
            size = len(codes) - bool(bad)
            chosen = rng.random(len(codes)) < bad
            codes[chosen] = rng.integers(11, len(stars), chosen.sum())
            written = table.set_column(2, "rating", pc.take(stars, pa.array(codes))).slice(0, size)
            pyarrow.csv.write_csv(written, file, options)
            if bad:
                file.write(BAD_LINE)
                n_bad += int(chosen[:size].sum()) + 1
    return n_bad


def _spread(
    rng: np.random.Generator, n: int, weights: np.ndarray, most: int | np.ndarray
) -> np.ndarray:
    """`n` things over users by weight, none of whom gets more than `most`."""
    counts = np.zeros(len(weights), np.int64)
    if n > np.broadcast_to(most, counts.shape).sum():
        raise ValueError(
            f"found {n} ratings of {len(weights)} users, expected at most {most} of each"
        )
    while (more := n - counts.sum()) > 0:
        open_weights = np.where(counts < most, weights, 0)
        counts = np.minimum(counts + rng.multinomial(more, open_weights / open_weights.sum()), most)
    return counts


def _block(
    world: World,
    rng: np.random.Generator,
    users: np.ndarray,
    counts: np.ndarray,
    again: np.ndarray,
    night: int,
) -> pa.Table:
    """The ratings of some users, sorted by user and time."""
    pairs = _pairs(world, rng, users, counts)
    # Of each user's pairs as many are rated again; which ones does not matter, for they are in no
    # order.
    first = np.repeat(np.cumsum(counts) - counts, again) + _rank(again)
    user, item = np.divmod(np.concatenate([pairs, pairs[first]]), world.n_items)
    if night:
        time = FIRST + YEARS * YEAR + (night - 1) * DAY + rng.integers(0, DAY // 2, len(user))
    else:  # a user comes at some time and stays for a year
        came = FIRST + rng.integers(0, (YEARS - 1) * YEAR, len(users))
        time = came[user - users[0]] + rng.integers(0, YEAR // 2, len(user))
    time[len(pairs) :] = time[first] + DAY // 4
    order = np.lexsort([time, user])
    user, item, time = user[order], item[order], time[order]
    of_users, of_items = world.offsets
    stars = MEAN + of_users[user] + of_items[item] + world.taste(user, item)
    stars += np.float32(NOISE) * rng.standard_normal(len(user), np.float32)
    rating = np.clip(np.round(2 * stars), 1, 10).astype(np.float32) / 2
    return pa.table({"user_id": user + 1, "item_id": item + 1, "rating": rating, "timestamp": time})


def _pairs(
    world: World, rng: np.random.Generator, users: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Pairs without repetition, sorted, as user * n_items + item: `counts` items for each user.

    Popular and liked items are drawn more often.

    Items are drawn until each user has enough different ones.
    """
    rated = np.zeros((len(users), world.n_items), bool)
    missing = counts.copy()
    while len(wanting := np.flatnonzero(missing)):
        row = np.repeat(wanting, 3 * missing[wanting])
        item = world.drawn_items[rng.integers(0, len(world.drawn_items), len(row))]
        liked = rng.random(len(row), np.float32) < 1 / (
            1 + np.exp(-2 * world.taste(users[row], item))
        )
        row, item = row[liked], item[liked]
        enough = _rank(np.bincount(row, minlength=len(users))) < missing[row]
        rated[row[enough], item[enough]] = True
        missing[wanting] = counts[wanting] - rated[wanting].sum(axis=1)
    return np.flatnonzero(rated) + users[0] * world.n_items


def _rank(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each of some groups that follow each other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
