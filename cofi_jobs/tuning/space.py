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
ONLY_OF_EVENTS, ONLY_OF_RATINGS = "confidence", "ranking_zero"
# Chosen by the first run alone (`first_search`).
FIRST_CHOSEN = ("ranking_alpha_nu", "ranking_penalty_of_pairs", "ranking_steps", "rating_steps")
NAMES = (*(name for reaches in SPACE.values() for name in reaches), *FIRST_CHOSEN)


def searched(model: ModelName, explicit: frozenset[str], of_events: bool) -> dict[str, Reach]:
    """The settings of a model that are searched: those that matter and that nobody has set."""
    meaningless = ONLY_OF_RATINGS if of_events else ONLY_OF_EVENTS
    fixed = explicit | {meaningless}
    return {name: reach for name, reach in SPACE[model].items() if name not in fixed}
