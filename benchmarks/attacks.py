"""How far fake accounts push an item in others' lists, and what trusting new ones less costs.

    python -m benchmarks.attacks                          # the MovieLens sample
    python -m benchmarks.attacks --ratings FILE [--shares 0.01,0.03] [--items 4]

One item at a time is pushed, by accounts of the last night that are `shares` of all users
(`benchmarks/attack_profiles.py` says how), and the ranking model with the default settings is
learned again. Each user's newest fifth of ratings is held out, and says how good the lists are
without an attack.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from benchmarks.attack_profiles import ATTACKS, Attack, attacked
from benchmarks.data import last_fifth, sample
from benchmarks.quality_sets import RatingSet, from_file, in_order, rating_set
from cofi_jobs.core import arrays
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.core.factors import Factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.intervals import NORMAL, widening
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.model.models import fit_ranking_model
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.trust import account_trust
from cofi_jobs.ranking.recommendations import most_liked
from cofi_jobs.ranking.similar import nearest, similarity_vectors
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings

TOP, SIMILAR, MOST_RATED = 10, 20, 200
MEASURED_USERS = 2000
POPULARITY = ((0.25, 0.5), (0.75, 0.9))  # of pushed items: quantiles of the rated ones
HEAD = """\
| attack | accounts | weight | in the top 10 % | mean rank | popular % | similar % |
|---|---|---|---|---|---|---|"""
PRICE_HEAD = """\
| users | number | weight | NDCG@10 | difference |
|---|---|---|---|---|"""


class Reach(NamedTuple):
    """Where a pushed item is shown. `top` and `rank` are over real users who have not rated it."""

    top: float  # per cent of them who have it among their first 10
    rank: float  # its mean place among all that they have not rated, 1 is best
    popular: float  # 100 if it is among the popular items, else 0
    similar: float  # per cent of the 200 most rated items beside which it is


@dataclass(frozen=True)
class Honest:
    """A set of ratings before an attack."""

    known: Ratings
    held_out: Ratings  # liked ones
    first: np.ndarray  # (n_users,) time of each user's first rating, datetime64; NaT: no times
    newest: np.datetime64  # time of the newest rating
    scale: Scale
    liked_from: float

    @classmethod
    def of(cls, ratings: RatingSet) -> "Honest":
        """All but the last fifth of each user's ratings."""
        every = in_order(ratings, np.random.default_rng(0))
        held_out = last_fifth(every.ratings.user_index)
        time = np.full(len(every.row), np.datetime64("NaT"), "datetime64[s]")
        if ratings.time is not None:
            time = in_seconds(ratings.time[every.row]).astype("datetime64[s]")
        first = time[np.flatnonzero(np.diff(every.ratings.user_index, prepend=-1))]
        liked = every.ratings.where(held_out & (every.ratings.rating >= ratings.liked_from))
        scale = Scale(ratings.rating.min(), ratings.rating.max())
        known = every.ratings.where(~held_out)
        return cls(known, liked, first, time.max(), scale, ratings.liked_from)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each item is rated, (n_items,)."""
        return np.bincount(self.known.item_index, minlength=self.known.n_items)

    def items(self, low: float, high: float, n: int) -> np.ndarray:
        """Some items between two quantiles of popularity, drawn."""
        rated = self.counts[self.counts > 0]
        least, most = np.quantile(rated, low), np.quantile(rated, high)
        between = np.flatnonzero((self.counts >= max(1, least)) & (self.counts <= most))
        return np.random.default_rng(0).choice(between, min(n, len(between)), replace=False)

    def with_trust(self, ratings: Ratings, settings: Settings) -> Ratings:
        """These ratings with the trust in their users."""
        return replace(ratings, trust=self.trust_of(ratings, settings))

    def trust_of(self, ratings: Ratings, settings: Settings) -> np.ndarray:
        """How far each user is trusted; users beside the real ones are of the last night."""
        n_ratings = np.bincount(ratings.user_index, minlength=ratings.n_users)
        fakes = np.full(ratings.n_users - self.known.n_users, self.newest)
        first = np.append(self.first, fakes)
        weight, days = settings.new_account_weight, settings.new_account_days
        return account_trust(n_ratings, first, self.newest, weight, days)


def in_seconds(time: np.ndarray) -> np.ndarray:
    """Times since 1970 in seconds, from seconds, milli-, micro- or nanoseconds."""
    return time / 1000 ** max(0, int(np.log10(max(1, time.max())) - 8) // 3)


def reach(honest: Honest, ratings: Ratings, item: int, factors: Factors) -> Reach:
    """Where `item` is shown, after a model has learned from these ratings."""
    known, n_users = honest.known, honest.known.n_users
    users = np.flatnonzero(arrays.sample(n_users, MEASURED_USERS, seed=0))
    users = np.setdiff1d(users, known.user_index[known.item_index == item])
    scores = factors.W[users] @ factors.X.T
    theirs = np.isin(known.user_index, users)
    scores[np.searchsorted(users, known.user_index[theirs]), known.item_index[theirs]] = -np.inf
    ranks = 1 + (scores > scores[:, [item]]).sum(axis=1)
    vectors = similarity_vectors(factors.X, ratings.trusted_counts(), "cosine")
    most_rated = np.argsort(-honest.counts, kind="stable")[:MOST_RATED]
    beside, _ = nearest(vectors, most_rated[most_rated != item], SIMILAR, "cosine")
    likes = ratings.where(ratings.rating >= honest.liked_from).trusted_counts().astype(np.float32)
    popular, _ = most_liked(likes, np.array([], int), load_settings().popular_n)
    return Reach(
        100 * (ranks <= TOP).mean(),
        ranks.mean(),
        100 * float(item in popular),
        100 * (beside == item).any(axis=1).mean(),
    )


def learned(honest: Honest, ratings: Ratings, settings: Settings) -> Factors:
    """The ranking model of ratings that have their users' trust."""
    return fit_ranking_model(Observations(ratings, None, honest.scale), settings).factors


def pushed(honest: Honest, attack: Attack, n_accounts: int, item: int, settings: Settings) -> Reach:
    """Where an item is shown after an attack."""
    ratings = attacked(honest.known, attack, item, n_accounts, np.random.default_rng(item))
    ratings = honest.with_trust(ratings, settings)
    return reach(honest, ratings, item, learned(honest, ratings, settings))


def attack_rows(
    honest: Honest,
    attacks: Sequence[Attack],
    shares: Sequence[float],
    n_items: int,
    used: Sequence[Settings],
) -> Iterator[str]:
    """A row of the table for each attack, share and settings; the first is without an attack."""
    items = [int(item) for ends in POPULARITY for item in honest.items(*ends, n_items)]
    factors = learned(honest, honest.known, load_settings())
    before = [reach(honest, honest.known, item, factors) for item in items]
    yield f"| none | | | {_cells(before)} |"
    for share in shares:
        n_accounts = max(1, round(share * honest.known.n_users))
        for attack in attacks:
            for settings in used:
                after = [pushed(honest, attack, n_accounts, item, settings) for item in items]
                weight = f"{settings.new_account_weight:g}"
                yield f"| {attack} | {n_accounts:,} | {weight} | {_cells(after)} |"


def _cells(reaches: list[Reach]) -> str:
    return " | ".join(with_interval(values, ",.1f") for values in np.array(reaches).T)


def with_interval(values: np.ndarray, form: str) -> str:
    """The mean of some values, with half of its 95 % interval; nan of a single one."""
    n = len(values)
    half = widening(n) * NORMAL * values.std() / math.sqrt(n) if n > 1 else math.nan
    return f"{values.mean():{form}} ± {half:{form}}"


def price_rows(honest: Honest, used: Sequence[Settings]) -> Iterator[str]:
    """NDCG@10 without an attack, and its difference from that of the first settings.

    It is that of all users, and of those alone who are trusted less with the last settings.
    """
    users = np.unique(honest.held_out.user_index)
    lesser = honest.trust_of(honest.known, used[-1])[users] < 1
    models = [learned(honest, honest.with_trust(honest.known, of), of) for of in used]
    ndcg = [_ndcg(honest, factors, users) for factors in models]
    for name, chosen in (("all", np.full(len(users), True)), ("trusted less", lesser)):
        for settings, values in zip(used, ndcg, strict=True):
            if chosen.any():
                cells = f"{chosen.sum():,} | {settings.new_account_weight:g}"
                difference = with_interval((values - ndcg[0])[chosen], ".4f")
                yield f"| {name} | {cells} | {values[chosen].mean():.4f} | {difference} |"


def _ndcg(honest: Honest, factors: Factors, users: np.ndarray) -> np.ndarray:
    """NDCG@10 of each of these users."""

    def scores(block: np.ndarray) -> np.ndarray:
        return factors.W[block] @ factors.X.T

    lists = rank(scores, honest.known, honest.held_out, factors.X, TOP, TOP, users)
    return lists.by_user["ndcg"][users]


def main(
    ratings: Annotated[
        Path | None, typer.Option(help="A file of ratings with times. None: the MovieLens sample.")
    ] = None,
    attacks: Annotated[str, typer.Option(help="Which attacks; none: the price.")] = ",".join(
        ATTACKS
    ),
    shares: Annotated[str, typer.Option(help="Fake accounts, as shares of the users.")] = "0.01",
    items: Annotated[int, typer.Option(help="Pushed items, of each popularity.", min=1)] = 4,
    weights: Annotated[str, typer.Option(help="Values of new_account_weight.")] = "1,0.1",
) -> None:
    """Print how far pushed items get, and the price of new_account_weight."""
    try:
        chosen, parts = attacks_of(attacks), [*map(share_of, shares.split(","))]
        used = [load_settings([f"new_account_weight={value}"]) for value in weights.split(",")]
        source = (
            from_file(ratings) if ratings else rating_set("MovieLens sample", sample().astype(str))
        )
    except (ValueError, SettingsError) as error:
        sys.exit(str(error))
    honest = Honest.of(source)
    print(f"{source.name}: {len(source.table):,} ratings, {honest.known.n_users:,} users\n")
    if chosen:
        print(HEAD)
        for row in attack_rows(honest, chosen, parts, items, used):
            print(row, flush=True)
        print()
    print(PRICE_HEAD)
    for row in price_rows(honest, used):
        print(row, flush=True)


def attacks_of(names: str) -> list[Attack]:
    """The attacks of a list with commas. Raises ValueError at a name that none has."""
    for name in filter(None, names.split(",")):
        if name not in ATTACKS:
            raise ValueError(f"found the attack {name!r}, expected some of {', '.join(ATTACKS)}")
    return [attack for attack in ATTACKS if attack in names.split(",")]


def share_of(text: str) -> float:
    """A share of the users, as a number. Raises ValueError for one that is none."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ValueError(f"found the share {text!r}, expected a number above 0, at most 1")
    return share


if __name__ == "__main__":
    typer.run(main)
