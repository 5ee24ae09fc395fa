"""The last runs: a plot only of enough of them, and a state for each."""

from typing import Any

from cofi_jobs.report.nights import Night, day_of
from cofi_jobs.report.recent import history, state
from cofi_jobs.store.run_keys import run_time


def night(key: str, refused: bool = False, **more: Any) -> Night:
    names = {"ndcg@10": 0.2}
    evaluation = {
        "metrics": {
            **{"ranking": names, "popularity": {"ndcg@10": 0.1}},
            **{"rating": {"rmse": 0.9}, "damped_means": {"rmse": 1.0}},
            "intervals": {"ranking": {"ndcg@10": [0.1, 0.3]}, "rating": {"rmse": [None, None]}},
        },
        "gate": {"passed": not refused, "forced": False, "refusals": ["too <b>bad</b>"] * refused},
    }
    return Night(key, {"ingest": {"seconds": 1.0}}, evaluation, not refused, **more)


def test_five_runs_make_plots_and_four_make_none():
    nights = [night(f"n{number}", refused=number == 4) for number in range(5)]
    assert history(nights[:4]) == []
    ndcg, rmse = history(nights)
    assert (ndcg.title, rmse.title) == (
        "Test NDCG@10 of the last runs",
        "Test RMSE of the last runs",
    )
    assert "n4 ✗" in ndcg.drawing
    assert ndcg.drawing.count('class="whisker') == 5
    assert 'class="whisker' not in rmse.drawing, "no interval was measured"
    assert history([*nights[:4], Night("bad", {}, None, False, "failed")]) == []


def test_states_say_why_a_run_has_no_lists():
    assert state(night("n"), is_this=True) == "this run"
    assert state(night("n"), is_this=False) == "published"
    assert state(night("n", refused=True), is_this=True) == "refused: too <b>bad</b>"
    failed = Night("n", {}, None, False, "found no file\nexpected one")
    assert state(failed, is_this=False) == "failed: found no file expected one"


def test_days_as_people_say_them():
    key = "2026-11-07T02-00-00.000000Z"
    assert day_of(key) == "Sat 7 Nov"
    assert day_of(key, run_time("2026-11-07T14-00-00.000000Z")) == "02:00"
    assert day_of("night-1") == "night-1"
