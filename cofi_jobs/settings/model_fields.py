"""The settings of the model: how ratings are normalized, and what is learned from them."""

import functools
from typing import Literal

from cofi_jobs.settings.input_fields import InputSettings
from cofi_jobs.settings.setting import setting

normalize = functools.partial(setting, "normalize")
train = functools.partial(setting, "train")


class ModelSettings(InputSettings):
    """The settings of input and of the model."""

    damping: float = normalize(
        5.0,
        "Weight of the global mean in each item's mean, in ratings. 0: plain means.",
        ge=0,
        le=1e6,
    )

    event_half_life_days: float | None = normalize(
        None,
        "An event's weight halves with each so many days before the newest event. Empty: it stays.",
        gt=0,
        le=1e6,
    )

    new_account_weight: float = normalize(
        1.0,
        "Weight of a new account's ratings, and of an account's only rating, in what others see. "
        "1: the same as of all others.",
        gt=0,
        le=1,
    )
    new_account_days: float = normalize(
        30.0,
        "Days after its first rating for which an account is new, but at most a tenth of the time "
        "that all ratings span.",
        ge=0,
        le=1e5,
    )

    n_factors: int = train(64, "Number of factors that describe an item or a user.", ge=1, le=1024)
    ratings_per_step: int | None = train(
        None,
        "Ratings in one step of Adam, those of whole users. Empty: a hundredth of all, at "
        "least 16,384. 0: all.",
        ge=0,
    )
    learning_rate_schedule: Literal["cosine", "constant"] = train(
        "cosine", "How the learning rate runs: down to 0 along a cosine, or constant."
    )
    seed: int = train(0, "Seed of the first factors and of the shuffling.", ge=0, le=2**31 - 1)
    warm_start: bool = train(
        True,
        "Start from the last published run's factors, with a third of the steps. false: start "
        "from random factors.",
    )
    test_share: float = train(
        0.2, "Share of each user's ratings, the newest, that are test ratings.", gt=0, le=0.5
    )
    test_days: float | None = train(
        None,
        "All ratings of the last so many days are test ratings. Empty, or if no rating has a time: "
        "a share of each user's.",
        gt=0,
    )
    liked_from: float | None = train(
        None,
        "Lowest rating, or count of events, of an item that counts as liked. Empty: three quarters "
        "up the scale; each event.",
    )
    exact_users: bool = train(
        True,
        "Set users' rows to the exact minimum of J, weighted by recency, in each step. "
        "false: Adam learns them too.",
    )
    recency: float = train(
        0.5,
        "In a user's exact row the n-th newest rating has the weight n^-recency. 0: all the same.",
        ge=0,
        le=5,
    )
    rating_lambda: float = train(1.2, "Rating model: weight λ of the L2 penalty.", ge=0, le=1e6)
    rating_nu: float = train(0.5, "Rating model: λ grows with (number of ratings)^ν.", ge=0, le=1)
    rating_bias_lambda: float = train(
        3.0, "Rating model: weight of the L2 penalty of a user's offset b. 0: none.", ge=0, le=1e6
    )
    rating_learning_rate: float = train(0.02, "Rating model: Adam's learning rate.", gt=0, le=10)
    rating_steps: int = train(60, "Rating model: steps of Adam.", ge=1, le=100_000)
    ranking_zero: float = train(
        0.25,
        "Ranking model: at which share of the scale the target is 0, as for items without a "
        "rating. The lower, the more alike all ratings count.",
        ge=-100,
        le=0.9,
    )
    ranking_alpha: float = train(
        25.0,
        "Ranking model: how many random items of target 0 come with each rating, if "
        "ranking_alpha_nu is 1. With 0: the weight of each pair without a rating.",
        ge=0,
        le=10_000,
    )
    ranking_alpha_nu: float = train(
        1.0,
        "Ranking model: the weight of a user's pairs without a rating grows with (share of the "
        "items that the user rated)^this.",
        ge=0,
        le=1,
    )
    ranking_penalty_of_pairs: bool = train(
        False,
        "Ranking model: λ grows with the weight of all pairs of a user or an item, not only with "
        "the number of its ratings.",
    )
    ranking_prior_lambda: float = train(
        1.0,
        "Ranking model: weight of the L2 penalty that draws each user's row to a row of all users, "
        "which is learned. 0: none.",
        ge=0,
        le=1e6,
    )
    ranking_lambda: float = train(0.5, "Ranking model: weight λ of the L2 penalty.", ge=0, le=1e6)
    ranking_nu: float = train(0.5, "Ranking model: λ grows with (number of ratings)^ν.", ge=0, le=1)
    confidence: float = train(
        0.3,
        "Weight κ of an event's count: c = 1 + κ log(1 + count). 0: each event counts alike.",
        ge=0,
        le=1e6,
    )
    ranking_learning_rate: float = train(0.06, "Ranking model: Adam's learning rate.", gt=0, le=10)
    ranking_steps: int = train(80, "Ranking model: steps of Adam.", ge=1, le=100_000)

    use_tuned: bool = train(
        True,
        "Use the settings in the store's settings.json, which tuning writes. Settings you set "
        "count more.",
    )

    first_tuning_minutes: float = train(
        5.0,
        "Minutes for which a store's first run searches for settings, if it has 1 to 20 million "
        "ratings. Fewer or more get less, at least half a minute. 0: none.",
        ge=0,
        le=600,
    )
    checkpoint_seconds: float = train(
        60.0,
        "Seconds of a fit after which its state is kept, again and again, so that a task that was "
        "killed goes on from there. 0: none is kept.",
        ge=0,
        le=86_400,
    )
    most_steps: int = train(
        640, "Most steps of Adam that the first run's search tries.", ge=1, le=100_000
    )
