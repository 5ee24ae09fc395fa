"""The tables of an evaluation: a line for each measure and baseline."""

from typing import Any

from cofi_jobs.cli.show.evaluation import (
    by_activity,
    by_popularity,
    measures_table,
    same_group,
)

RANKING = {"ndcg@10": 0.5, "recall@20": 0.25, "coverage@20": 1.0, "users": 1200}
METRICS: dict[str, Any] = {
    "rating": {"rmse": 1.0, "mae": None},
    "ranking": RANKING,
    "popularity": {"coverage@20": 0.5},
    "item_knn": {"coverage@20": None},
    "intervals": {"rating": {"rmse": [0.9, 1.1]}, "ranking": {"ndcg@10": [None, None]}},
    "by_activity": [],
    "by_popularity": [],
}


def comparison(against: str, other: float | None, low: float | None = None) -> dict[str, Any]:
    difference = None if other is None else 1.0 - other
    known = {"head": "rating", "measure": "rmse", "against": against}
    return {**known, "other": other, "difference": difference, "low": low, "high": low}


def test_a_measure_stands_once_before_its_baselines():
    table = measures_table(
        "rating", METRICS, [comparison("global_mean", 1.5, -0.5), comparison("published", None)]
    )
    assert table.fillna("").to_numpy().tolist() == [
        [
            "rmse",
            "1.0000",
            "0.9000 to 1.1000",
            "global_mean",
            "1.5000",
            "-0.5000",
            "-0.5000 to -0.5000",
        ],
        ["", "", "", "published", "none", "none", ""],
        ["mae", "none", "", "", "", "", ""],
    ]


def test_coverage_stands_beside_that_of_the_baselines_without_intervals():
    table = measures_table("ranking", METRICS, []).fillna("")
    assert table["measure"].tolist() == ["ndcg@10", "recall@20", "coverage@20", "", "users"]
    assert table[["against", "baseline"]].to_numpy().tolist()[2:4] == [
        ["popularity", "0.5000"],
        ["item_knn", "none"],
    ]
    assert table["model"].tolist()[-1] == "1,200"


def test_without_groups_the_tables_have_headings_only():
    assert by_activity(METRICS).columns[:5].tolist() == [
        *("users", "number", "ratings", "RMSE", "damped means")
    ]
    assert by_activity(METRICS).empty
    assert by_popularity(METRICS).empty


def test_groups_have_their_span_and_their_measures():
    of_users = {"ndcg@10": 0.25}
    group = {"ratings": "few", "users": 1000, "from": 1, "to": 1234, "rating": {"rmse": 1.0}}
    group |= {"damped_means": {"rmse": None}, "ranking": of_users, "popularity": of_users}
    [row] = by_activity(METRICS | {"by_activity": [group | {"item_knn": of_users}]}).to_numpy()
    assert row.tolist() == ["few", "1,000", "1 to 1,234", "1.0000", "none", *["0.2500"] * 3]


def test_groups_in_common_are_said_beside_baselines_and_chance():
    shares = {"neighbours": 20, "ranking": 0.5, "popularity": 0.25, "item_knn": None, "chance": 0.2}
    assert same_group(shares) == (
        "of the first 20 similar items, 0.5000 have a group in common with their item; "
        "popularity 0.2500, item_knn none, chance 0.2000"
    )
