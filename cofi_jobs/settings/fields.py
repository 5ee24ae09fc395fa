"""Every setting, once: name, type, default, bounds, the task it belongs to, what it means.

Those of input are in input_fields.py, those of the model in model_fields.py.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from cofi_jobs.settings.model_fields import ModelSettings
from cofi_jobs.settings.setting import setting

deliver = functools.partial(setting, "deliver")
evaluate = functools.partial(setting, "evaluate")
machine = functools.partial(setting, "machine")
publish = functools.partial(setting, "publish")
recommend = functools.partial(setting, "recommend")
similar_items = functools.partial(setting, "similar_items")
tune = functools.partial(setting, "tune")


class Settings(ModelSettings):
    """The settings of a run."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
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
