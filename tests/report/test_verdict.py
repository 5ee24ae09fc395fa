"""The verdict: how sure a difference is, what changed, and what to do when a run is refused."""

from typing import Any

import pytest

from cofi_jobs.report.changes import Changes, Moved
from cofi_jobs.report.nights import trend
from cofi_jobs.report.verdict import (
    INPUT,
    against_published,
    found_something,
    how_sure,
    judged,
    what_changed,
    what_to_do,
)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (0.01, 0.02, "higher", "Better"),
        (-0.02, -0.01, "higher", "Worse"),
        (0.01, 0.02, "lower", "Worse"),
        (-0.02, -0.01, "lower", "Better"),
        (-0.01, 0.02, "lower", "About as good"),
        (0.0, 0.02, "higher", "About as good"),
    ],
)
def test_a_difference_counts_only_where_its_whole_interval_is_on_one_side(
    low: float, high: float, better: str, word: str
):
    assert how_sure({"low": low, "high": high, "better": better}).startswith(word)


def evaluation(low: float | None = -0.01) -> dict[str, Any]:
    shared = {"head": "ranking", "against": "published", "better": "higher", "users": 60}
    return {
        "metrics": {
            "ranking": {"ndcg@10": 0.2, "hit_rate@10": 0.57},
            "popularity": {"hit_rate@10": 0.33},
            "rating": {},
        },
        "comparisons": [
            {
                **{**shared, "measure": "ndcg@10", "own": 0.21, "other": 0.19},
                **{"difference": 0.02, "low": low, "high": low and 0.03},
            },
            {
                **{**shared, "measure": "hit_rate@10", "own": 0.5, "other": 0.45},
                **{"difference": 0.05, "low": 0.01, "high": 0.09},
            },
        ],
    }


def test_the_gist_is_about_people():
    text = found_something(evaluation(), "Fri 27 Nov")
    assert text.startswith("57 of 100 users found something in the first 10")
    assert "52 with the model of Fri 27 Nov, 33 with the popular items alone" in text
    assert "Nov" not in found_something(evaluation(), None)
    assert (
        found_something({"metrics": {"ranking": {}, "popularity": {}}, "comparisons": []}, None)
        == ""
    )


def test_the_comparison_says_users_numbers_and_interval():
    text = against_published("ranking", evaluation(), "Fri 27 Nov")
    assert text == (
        "About as good as on Fri 27 Nov: NDCG@10 0.2100 against 0.1900 on the 60 users whom both "
        "know (difference −0.0100 to +0.0300, 95 %)."
    )
    assert against_published("rating", evaluation(), "x") == ""
    few = against_published("ranking", evaluation(low=None), "Fri 27 Nov")
    assert few.startswith("Too few users to compare with Fri 27 Nov: NDCG@10 0.2100")


def test_what_changed_counts_places_and_newcomers_and_names_what_moved():
    changes = Changes("k", 1, 0, 0.051, [Moved(7, 0.1, 0.14)], [])
    changed, rose = what_changed(changes, "Fri 27 Nov", {7: "Fugitive, The"})
    assert (
        changed.text == "5% of the places in the lists since Fri 27 Nov; 1 new user, 0 new items."
    )
    assert rose == ("Rose", "Fugitive, The (10% → 14% of the lists).")
    [changed] = what_changed(Changes("k", 0, 2, None, [], []), "x", {})
    assert changed.text == "0 new users, 2 new items."


def test_each_advice_is_given_once():
    def checks(*names: str) -> list[dict[str, Any]]:
        return [{"name": name, "passed": False} for name in names]

    assert what_to_do(checks("ndcg@10 of the ranking model", "rmse of the rating model")) == [INPUT]
    flood, coverage = what_to_do(checks("new ratings", "catalogue coverage@20"))
    assert "twice" in flood
    assert "min_coverage" in coverage
    assert what_to_do([{"name": "new ratings", "passed": True}]) == []


def gate(**more: Any) -> dict[str, Any]:
    return {"passed": True, "forced": False, "checks": [{}, {}], "not_judged": [], **more}


def test_headlines():
    stay = "readers stay on the lists of Fri 27 Nov"
    assert judged(gate(), stay) == ("passed", "Good to use: this run passed all 2 checks")
    assert judged(gate(passed=False), stay) == ("refused", f"The gate refused this run: {stay}")
    assert judged(gate(passed=False, forced=True), stay)[0] == "forced"
    doubt = (
        "too few users to judge ndcg@10 of the ranking model against popularity: 3 were measured"
    )
    assert judged(gate(not_judged=[doubt]), stay)[0] == "unsure"


def test_a_trend_goes_over_missing_runs_and_is_none_of_two():
    assert trend([1, 2]) == []
    assert trend([1, None, 2, None]) == []
    assert trend([1, None, 3, 2]) == [(0.0, 100.0), (66.7, 0.0), (100.0, 50.0)]
    assert trend([5, 5, 5])[0] == (0.0, 50.0)
