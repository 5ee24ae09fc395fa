"""Settings that were good on different kinds of ratings: where the search of a first run begins.

A search finds only what is near its beginning. So it begins in several places, far apart, and goes
on from the best. docs/model.md says for which kind of ratings each place stands.
"""

from collections.abc import Mapping

from cofi_jobs.tuning.space import ModelName

Values = Mapping[str, float | int | bool]

# Each says how it differs from the settings in use.
PORTFOLIO: Mapping[ModelName, tuple[Values, ...]] = {
    "ranking": (
        # Many users with few ratings: near what most like, few factors.
        {"ranking_prior_lambda": 3.0, "ranking_alpha": 60.0, "n_factors": 32},
        # Many ratings in no order of time: all pairs count alike, low ratings are no dislike.
        {
            "ranking_zero": 0.0,
            "ranking_alpha": 0.2,
            "ranking_alpha_nu": 0.0,
            "ranking_penalty_of_pairs": True,
            "ranking_lambda": 0.15,
            "n_factors": 128,
            "recency": 0.0,
        },
        # Few items, which nearly all users have rated: having rated says less than the rating.
        {
            "ranking_zero": -3.0,
            "ranking_alpha": 0.8,
            "ranking_alpha_nu": 0.0,
            "n_factors": 32,
        },
        # Likes alone: weak and equal weights of all pairs.
        {"ranking_alpha": 0.2, "ranking_alpha_nu": 0.0, "ranking_lambda": 0.7},
    ),
    "rating": (
        {"rating_lambda": 3.0, "rating_bias_lambda": 5.0},
        {"rating_lambda": 0.4, "rating_nu": 0.6},
    ),
}
