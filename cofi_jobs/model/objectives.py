"""The two models: what each is fitted to, and how.

They share one cost and one training loop (docs/model.md says why there are two).
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from cofi_jobs.core.factors import Factors, UserParameters
from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.fields import Settings

WithUsers = TypeVar("WithUsers", Factors, UserParameters)  # what has W and b


@dataclass(frozen=True)
class Objective:
    """How one model is learned.

    The defaults are the textbook's loop: all ratings in each step, a constant learning rate, the
    same lambda everywhere. With `exact_users` Adam learns X alone, and in each step w_j and b_j are
    the exact minimum, for that X, of J with its ratings weighted by recency (`ridge`).
    """

    name: str = "textbook"
    lambda_: float = 1.0
    nu: float = 0.0
    alpha: float = 0.0
    alpha_nu: float = 1.0
    penalty_of_pairs: bool = False
    prior_lambda: float = 0.0
    zero: float = 0.25
    bias: bool = True
    bias_lambda: float = 0.0
    exact_users: bool = False
    recency: float = 0.0
    learning_rate: float = 0.1
    cosine_decay: bool = False
    steps: int = 200
    ratings_per_step: int | None = 0
    kappa: float = 0.0
    fixed_losses: int = 8  # how often J of the fixed users is computed in a fit, about

    def user_penalties(self, counts: np.ndarray, n_items: int) -> np.ndarray:
        """L2 weight of each user's row, float32; `counts` (n_users,) holds each one's n.

        It is lambda n^nu (Zhou et al. 2008), or with `penalty_of_pairs`
        lambda (n + alpha_j n_items)^nu: then the pairs without a rating count, too, by their weight
        (Rendle et al. 2022, RecSys, "Revisiting the performance of iALS").
        """
        return self._penalties(counts, n_items * self.alphas(counts, n_items))

    def row_penalties(self, counts: np.ndarray, n_items: int) -> np.ndarray:
        """All that is added to the diagonal of a user's matrix A (`ridge`), as `user_penalties`."""
        return self.user_penalties(counts, n_items) + np.float32(self.prior_lambda)

    def item_penalties(self, item_counts: np.ndarray, pairs: float) -> np.ndarray:
        """L2 weight of each item's row, float32, in the same form as `user_penalties`.

        `item_counts` (n_items,) holds the numbers of ratings, `pairs` is that of `pairs_of_item`.
        """
        return self._penalties(item_counts, pairs)

    def pairs_of_item(
        self, user_counts: np.ndarray, n_items: int, trust: np.ndarray | None = None
    ) -> float:
        """The weight of an item's pairs with these users, the sum of their alpha_j.

        `user_counts` (n_users,) holds their numbers of ratings; `trust` (n_users,) is each user's
        weight in J, None: 1. Those of disjoint groups of users add up.
        """
        alphas = self.alphas(user_counts, n_items)
        return float((alphas if trust is None else trust * alphas).sum())

    def _penalties(self, counts: np.ndarray, pairs: np.ndarray | float) -> np.ndarray:
        n = counts + pairs if self.penalty_of_pairs else counts
        return (self.lambda_ * n**self.nu).astype(np.float32)

    def alphas(self, counts: np.ndarray, n_items: int) -> np.ndarray:
        """alpha_j of each user, alpha (n / n_items)^alpha_nu, float32; `counts` (n_users,) holds n.

        With `alpha_nu = 1` it is as if each rating came with `alpha` random items of target 0,
        whatever the number of items and however many ratings the user has. With 0 all pairs of all
        users weigh `alpha` (Hu, Koren, Volinsky 2008).
        """
        return (self.alpha * (counts / n_items) ** self.alpha_nu).astype(np.float32)

    def confidence(self, counts: np.ndarray) -> np.ndarray | None:
        """c of each event, 1 + kappa log(1 + count), float32 (Hu, Koren, Volinsky 2008).

        None where every c is 1: `kappa` is 0 for ratings.
        """
        return (1 + self.kappa * np.log1p(counts)).astype(np.float32) if self.kappa else None

    def learning_rates(self, n_steps: int) -> np.ndarray:
        """Adam's learning rate in each step: constant, or down to 0 along half a cosine.

        The cosine is that of Loshchilov & Hutter 2017.
        """
        if not self.cosine_decay:
            return np.full(n_steps, self.learning_rate, np.float32)
        decay = (1 + np.cos(np.pi * np.arange(n_steps) / n_steps)) / 2
        return (self.learning_rate * decay).astype(np.float32)

    def has_fixed_loss(self, step: int) -> bool:
        """Whether J of the fixed users is computed before this step, counted from 0."""
        n = self.fixed_losses
        return n > 0 and step % max(1, self.steps // n) == 0

    def steps_per_round(self, n_ratings: int) -> int:
        """In how many steps all ratings are used once.

        `ratings_per_step` 0: one step. None: a hundred, but with at least 16,384 ratings in each,
        since a step of fewer takes hardly less time.
        """
        size = n_ratings if self.ratings_per_step == 0 else self.ratings_per_step
        if size is None:
            size = max(n_ratings // 100, 16_384)
        return max(1, -(-n_ratings // max(1, size)))


def rating_objective(settings: Settings) -> Objective:
    """The rating model predicts stars: w.x + b + mean."""
    return Objective(
        "rating",
        lambda_=settings.rating_lambda,
        nu=settings.rating_nu,
        bias_lambda=settings.rating_bias_lambda,
        exact_users=settings.exact_users,
        recency=settings.recency,
        learning_rate=settings.rating_learning_rate,
        cosine_decay=settings.learning_rate_schedule == "cosine",
        steps=settings.rating_steps,
        ratings_per_step=settings.ratings_per_step,
    )


def ranking_objective(settings: Settings, scale: Scale | None) -> Objective:
    """The ranking model orders items: w.x. Events count by their confidence, ratings all alike."""
    return Objective(
        "ranking",
        lambda_=settings.ranking_lambda,
        nu=settings.ranking_nu,
        alpha=settings.ranking_alpha,
        alpha_nu=settings.ranking_alpha_nu,
        penalty_of_pairs=settings.ranking_penalty_of_pairs,
        prior_lambda=settings.ranking_prior_lambda,
        zero=settings.ranking_zero,
        bias=False,
        exact_users=settings.exact_users,
        recency=settings.recency,
        learning_rate=settings.ranking_learning_rate,
        cosine_decay=settings.learning_rate_schedule == "cosine",
        steps=settings.ranking_steps,
        ratings_per_step=settings.ratings_per_step,
        kappa=settings.confidence if scale is None else 0.0,
    )


def ranking_target(rating: np.ndarray, scale: Scale | None, zero: float) -> np.ndarray:
    """y of the ranking model: 1 for the highest rating, 0 at `zero`; 1 for an event.

    `zero` is a share of the scale, below 1: a quarter up the scale is 0.25. Ratings below it give
    negative y. An item without a rating counts as 0, so a low rating says less for an item than
    none. The further `zero` is below the scale, the more alike all ratings count.
    """
    if scale is None:
        return np.ones(len(rating), np.float32)
    share = (rating - scale.low) / (scale.high - scale.low)
    return ((share - zero) / (1 - zero)).astype(np.float32)


# The rating model is learned in units of a quarter of the scale (`Scale.unit`). These three are the
# only functions that convert.


def rating_target(y_norm: np.ndarray, scale: Scale) -> np.ndarray:
    """y of the rating model in units of the scale: the rating less the mean of its item."""
    return (y_norm / scale.unit).astype(np.float32)


def to_units(factors: Factors, scale: Scale) -> Factors:
    """The rating model's factors in units of the scale, from factors in stars."""
    unit = np.float32(scale.unit)
    return Factors(factors.X, factors.W / unit, factors.b / unit)


def to_stars(parameters: WithUsers, scale: Scale) -> WithUsers:
    """The rating model's parameters in stars, so that w.x + b + mean is a rating."""
    unit = np.float32(scale.unit)
    return replace(parameters, W=parameters.W * unit, b=parameters.b * unit)
