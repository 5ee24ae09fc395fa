"""Arrow schemas of the tables that readers rely on.

The files hold a description of each column: with Arrow's fields, and for other readers in the
Parquet file's own key-value metadata, under the column's name.
"""

import json

import numpy as np
import pyarrow as pa

SCHEMA_VERSION = 1
RANKING_PRIOR = "ranking_prior"  # among the metadata of item_factors
ID_TYPES = {"integer": pa.int64(), "string": pa.string()}


def _field(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable, {"description": description})


def _described(fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, {field.name: field.metadata[b"description"] for field in fields})


def recommendations(user_id: pa.DataType, item_id: pa.DataType) -> pa.Schema:
    """One row for each user and rank, sorted by both."""
    return _described(
        [
            _field("user_id", user_id, "the user, as in the source"),
            _field("rank", pa.int32(), "place in the user's list, 1 is best"),
            _field("item_id", item_id, "the recommended item; never one that the user has rated"),
            _field(
                "score", pa.float32(), "ranking model: larger is better, comparable within one user"
            ),
            _field(
                "predicted_rating",
                pa.float32(),
                "rating model, in the source's scale and clipped to it; null in a store of events",
                nullable=True,
            ),
            _field(
                "because_item_id",
                item_id,
                "liked item that contributed most to the score",
                nullable=True,
            ),
        ]
    )


def similar_items(item_id: pa.DataType, measure: str) -> pa.Schema:
    """One row for each item and rank, sorted by both; `measure` is "similarity" or "distance"."""
    meaning = {
        "similarity": "cosine of the two items' ranking factors, shrunk for items with few ratings",
        "distance": "squared distance of the two items' ranking factors, 0 is identical",
    }
    return _described(
        [
            _field("item_id", item_id, "the item, as in the source"),
            _field("rank", pa.int32(), "place in the item's list, 1 is most similar"),
            _field("similar_item_id", item_id, "the similar item; never the item itself"),
            _field(measure, pa.float32(), meaning[measure]),
        ]
    )


def popular_items(item_id: pa.DataType) -> pa.Schema:
    """The list for users without ratings."""
    return _described(
        [
            _field("rank", pa.int32(), "place in the list, 1 is best"),
            _field("item_id", item_id, "the item, as in the source"),
            _field(
                "score", pa.float32(), "number of users who liked the item, each as much as trusted"
            ),
        ]
    )


def item_factors(item_id: pa.DataType, n_factors: int) -> pa.Schema:
    """One row for each item, sorted by id."""
    vector = pa.list_(pa.float32(), n_factors)
    return _described(
        [
            _field("item_id", item_id, "the item, as in the source"),
            _field(
                "rating_factors",
                vector,
                "x of the rating model: predicted rating = w.x + bias + mean; null for events",
                nullable=True,
            ),
            _field("ranking_factors", vector, "x of the ranking model: score = w.x"),
            _field("mean", pa.float32(), "damped mean rating of the item", nullable=True),
            _field("n_ratings", pa.int32(), "number of ratings of the item"),
        ]
    )


def user_factors(user_id: pa.DataType, n_factors: int) -> pa.Schema:
    """One row for each user, sorted by id."""
    vector = pa.list_(pa.float32(), n_factors)
    return _described(
        [
            _field("user_id", user_id, "the user, as in the source"),
            _field(
                "rating_factors", vector, "w of the rating model; null for events", nullable=True
            ),
            _field("ranking_factors", vector, "w of the ranking model"),
            _field("bias", pa.float32(), "b of the rating model", nullable=True),
            _field("n_ratings", pa.int32(), "number of ratings by the user"),
        ]
    )


def with_prior(item_factors: pa.Schema, prior: np.ndarray | None) -> pa.Schema:
    """The schema with the prior (n_factors,) of the ranking model, which is no row of a table."""
    if prior is None:
        return item_factors
    value = json.dumps(prior.tolist())
    return item_factors.with_metadata({**item_factors.metadata, RANKING_PRIOR: value})


def prior_of(item_factors: pa.Schema) -> np.ndarray | None:
    """The prior (n_factors,) of the ranking model, if it has one."""
    content = (item_factors.metadata or {}).get(RANKING_PRIOR.encode())
    return None if content is None else np.array(json.loads(content), np.float32)
