"""Every setting, once: name, type, default, bounds, the task it belongs to, what it means.

Those of input are in input_fields.py.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from cofi_jobs.settings.input_fields import InputSettings
from cofi_jobs.settings.setting import setting

deliver = functools.partial(setting, "deliver")
evaluate = functools.partial(setting, "evaluate")
machine = functools.partial(setting, "machine")
normalize = functools.partial(setting, "normalize")
publish = functools.partial(setting, "publish")
recommend = functools.partial(setting, "recommend")
similar_items = functools.partial(setting, "similar_items")
train = functools.partial(setting, "train")
tune = functools.partial(setting, "tune")


class Settings(InputSettings):
    """The settings of a run."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

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

    similarity: Literal["cosine", "distance"] = similar_items(
        "cosine", "Measure of similar items: cosine, or the textbook's squared distance."
    )
    similar_n: int = similar_items(20, "Similar items for each item.", ge=1, le=1000)

    top_n: int = recommend(20, "Recommended items for each user.", ge=1, le=1000)
    popular_n: int = recommend(100, "Items in the list for users without ratings.", ge=1, le=10_000)
    min_item_ratings: int = recommend(
        1, "Ratings that an item needs to be recommended or to be among the popular items.", ge=1
    )
    max_per_group: int = recommend(
        0,
        "Most items of one group (the first that the catalogue names) in a user's list. 0: any "
        "number.",
        ge=0,
    )
    diversity: float = recommend(
        0.0,
        "Weight of being unlike the items before it in the list, against the score.",
        ge=0,
        le=1,
    )
    recommendation_files: Literal["whole", "per-user"] = recommend(
        "whole",
        "whole: files of many users. per-user: one file a user, for small numbers of users.",
    )

    evaluate_users: int = evaluate(
        50_000,
        "Most users whose lists are measured. If there are more, they are drawn at random.",
        ge=1,
    )
    ndcg_at: int = evaluate(
        10, "How many items NDCG, MAP, MRR and hit rate look at.", ge=1, le=1000
    )
    recall_at: int = evaluate(
        20,
        "How many items recall, coverage, novelty, similarity and hits of similar items look at.",
        ge=1,
        le=1000,
    )
    ranking_margin: float = evaluate(
        0.05,
        "Share by which NDCG and the hit rate of similar items may be below the published model's "
        "before the run is refused.",
        ge=0,
        le=1,
    )
    rating_margin: float = evaluate(
        0.01,
        "Share by which RMSE may be above the published model's before the run is refused.",
        ge=0,
        le=1,
    )
    min_liked: float = evaluate(0.01, "Least share of the ratings that count as liked.", ge=0, le=1)
    min_coverage: float = evaluate(
        0.001, "Least share of the items that must be in someone's list.", ge=0, le=1
    )
    min_users_served: float = evaluate(
        0.5,
        "Least share of users of whom the holdout model has seen at least one rating.",
        ge=0,
        le=1,
    )
    min_rows: float = evaluate(
        0.5,
        "Least number of rows of each table, as a share of what is expected: full lists, and as "
        "many users and items as in the last publication.",
        ge=0,
        le=1,
    )
    min_input: float = evaluate(
        0.01,
        "Least new ratings, as a multiple of a usual run's. A run without new ratings is not "
        "refused.",
        ge=0,
        le=1,
    )
    max_input: float = evaluate(
        20.0, "Most new ratings, as a multiple of a usual run's.", ge=1, le=1e9
    )
    force_publish: bool = evaluate(
        False,
        "Publish although the evaluation refuses it. The manifest records what was overridden.",
    )

    keep_runs: int = publish(
        7, "Published runs kept in the store; older ones are removed.", ge=2, le=10_000
    )

    grace_hours: float = publish(
        24.0,
        "Hours for which a run is kept after readers were pointed to another.",
        ge=0,
        le=10_000,
    )
    max_batches: int = publish(
        60,
        "Most batches that are separate files. Beyond it the older half is compacted into one "
        "file.",
        ge=2,
        le=10_000,
    )

    deliver_to: str | None = deliver(
        None,
        "Airflow connection of the PostgreSQL database that gets the lists as tables. Empty: none.",
    )
    deliver_schema: str = deliver("cofi", "Schema in that database, for this store's lists alone.")

    tune_minutes: float = tune(20.0, "Minutes of trials, for both models together.", gt=0, le=600)
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
    tune_users: int = tune(
        20_000,
        "Most users whose ratings tuning uses. If there are more, they are drawn at random.",
        ge=10,
        le=10**9,
    )

    memory_limit_mb: int = machine(
        3072, "Memory of the SQL steps in MB. Beyond it they use the disk.", ge=256
    )
    threads: int = machine(
        0,
        "Threads of a task: its own, DuckDB's, TensorFlow's. 0: one for each core.",
        ge=0,
        le=1024,
    )

    device: Literal["auto", "cpu", "gpu"] = machine(
        "auto",
        "What train and tune compute on. auto: a GPU if TensorFlow can use one, else the CPU.",
    )

    engine: Literal["local", "ray"] = machine(
        "local", "Where models are fitted and lists are made: on this machine, or on a Ray cluster."
    )
    ray_address: str | None = machine(
        None,
        "Address of the Ray cluster, such as head:6379, or connection:<id> for an Airflow "
        "connection. Empty: that in RAY_ADDRESS, else a cluster of this machine's cores for the "
        "task alone.",
    )
    ray_workers: int = machine(
        0,
        "Workers among which train shares the users on a Ray cluster. 0: one for each node.",
        ge=0,
        le=10_000,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: None if value in ("", "null") else value for name, value in values.items()}

    @model_validator(mode="after")
    def _scale_has_two_ends(self) -> "Settings":
        low, high = self.rating_low, self.rating_high
        if low is not None and high is not None and low >= high:
            raise ValueError(
                f"rating_low is {low:g} and rating_high is {high:g}; rating_low must be the smaller"
            )
        return self

    @model_validator(mode="after")
    def _ray_solves_rows(self) -> "Settings":
        if self.engine == "ray" and not self.exact_users:
            raise ValueError(
                "engine is ray and exact_users is false; with ray exact_users must be true"
            )
        return self

    @property
    def explicit(self) -> frozenset[str]:
        """Names of the settings that somebody set, by form, API, --set or environment."""
        return frozenset(self.model_fields_set)

    def with_tuned(self, values: Mapping[str, Any]) -> "Settings":
        """These values for the settings that nobody set. They do not become explicit."""
        free = {name: value for name, value in values.items() if name not in self.explicit}
        return self.model_construct(set(self.explicit), **(self.model_dump() | free))
