"""Where tuning searches: the settings of each model, and how far from the value in use.

Week by week the value in use moves, so tuning can go further than one search reaches.
"""

from dataclasses import dataclass
from typing import Literal

ModelName = Literal["ranking", "rating"]
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Factor:
    """Search from the value divided by `factor` to the value times `factor`, in logarithms."""

    factor: float


@dataclass(frozen=True)
class Offset:
    """Search from the value less `offset` to the value plus `offset`."""

    offset: float


Reach = Factor | Offset

# In this order: the ranking model goes first, and chooses the settings that both models share.
SPACE: dict[ModelName, dict[str, Reach]] = {
    "ranking": {
        "n_factors": Factor(2),
        "recency": Offset(0.5),
        "ranking_zero": Offset(0.2),
        "ranking_alpha": Factor(3),
        "ranking_lambda": Factor(3),
        "ranking_nu": Offset(0.3),
        "ranking_prior_lambda": Factor(3),
        "ranking_learning_rate": Factor(2),
        "confidence": Factor(3),
    },
    "rating": {
        "rating_lambda": Factor(3),
        "rating_nu": Offset(0.3),
        "rating_bias_lambda": Factor(3),
        "rating_learning_rate": Factor(2),
    },
}
ONLY_OF_EVENTS = ("confidence",)
# Chosen by the first run alone (`first_search`).
FIRST_CHOSEN = ("ranking_alpha_nu", "ranking_penalty_of_pairs", "ranking_steps", "rating_steps")
NAMES = (*(name for reaches in SPACE.values() for name in reaches), *FIRST_CHOSEN)
