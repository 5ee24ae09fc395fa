"""The two models: what each is fitted to and how. One cost, one training loop (docs/model.md says why two)."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class Objective:
    """How one model is learned. The defaults are the textbook's loop: full batch, constant rate, uniform lambda.

    With `exact_users` Adam learns X alone: w_j and b_j are at each step J's exact minimum for that X (`ridge`).
    """

    name: str = "textbook"
    lambda_: float = 1.0
    nu: float = 0.0
    alpha: float = 0.0
    bias: bool = True
    bias_lambda: float = 0.0
    exact_users: bool = False
    recency: float = 0.0
    learning_rate: float = 0.1
    cosine_decay: bool = False
    steps: int = 200
    batch_size: int | None = 0

    def penalties(self, counts: np.ndarray) -> np.ndarray:
        """L2 weight of each item (or user): lambda n^nu, float32; `counts` holds the number n of ratings of each."""
        return (self.lambda_ * counts**self.nu).astype(np.float32)

    def alphas(self, counts: np.ndarray, n_items: int) -> np.ndarray:
        """alpha_j of each user: alpha n / n_items, float32; `counts` as in `penalties`.

        Over all items it is as if each rating came with `alpha` random items of target 0, whatever the catalogue's
        size and however many ratings the user has.
        """
        return (self.alpha * counts / n_items).astype(np.float32)

    def learning_rates(self, n_steps: int) -> np.ndarray:
        """Adam's learning rate in each step: constant, or down to 0 along half a cosine (Loshchilov & Hutter 2017)."""
        decay = (
            (1 + np.cos(np.pi * np.arange(n_steps) / n_steps)) / 2
            if self.cosine_decay
            else np.ones(n_steps)
        )
        return (self.learning_rate * decay).astype(np.float32)

    def batches(self, n_ratings: int) -> int:
        """Number of batches that all ratings make. `batch_size` 0 is one batch; None is a hundredth of them in each.

        Then not below 16,384 ratings, where one step is cheap anyway.
        """
        size = n_ratings if self.batch_size == 0 else self.batch_size
        if size is None:
            size = max(n_ratings // 100, 16_384)
        return max(1, -(-n_ratings // max(1, size)))


def rating_objective(settings: Settings) -> Objective:
    """Predicts stars: w.x + b + mean."""
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
        batch_size=settings.batch_size,
    )


def ranking_objective(settings: Settings) -> Objective:
    """Orders items: w.x."""
    return Objective(
        "ranking",
        lambda_=settings.ranking_lambda,
        nu=settings.ranking_nu,
        alpha=settings.ranking_alpha,
        bias=False,
        exact_users=settings.exact_users,
        recency=settings.recency,
        learning_rate=settings.ranking_learning_rate,
        cosine_decay=settings.learning_rate_schedule == "cosine",
        steps=settings.ranking_steps,
        batch_size=settings.batch_size,
    )


def rating_target(y_norm: np.ndarray, scale: Scale) -> np.ndarray:
    """y of the rating model: the rating less its item's mean, in units that fit every scale (`Scale.unit`)."""
    return (y_norm / scale.unit).astype(np.float32)


def ranking_target(rating: np.ndarray, scale: Scale) -> np.ndarray:
    """y of the ranking model: 1 for the highest rating, 0 a quarter up the scale, below that negative.

    What was never rated counts as 0, so a low rating says less for an item than none.
    """
    low, high = scale
    return (((rating - low) / (high - low) - 0.25) / 0.75).astype(np.float32)


def liked_from(settings: Settings, scale: Scale) -> float:
    """Rating from which an item counts as liked: the setting, else three quarters up the scale."""
    return scale.relevant_from if settings.liked_from is None else settings.liked_from
