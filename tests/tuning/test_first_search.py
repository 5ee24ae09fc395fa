"""The search of a first run, on ratings with a planted structure."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.settings.schema import bounds
from cofi_jobs.tuning import first_search
from cofi_jobs.tuning.first_search import FirstSearch, Trial, moved
from cofi_jobs.tuning.measure import measure
from cofi_jobs.tuning.parts import Part, parts
from cofi_jobs.tuning.portfolio import PORTFOLIO
from cofi_jobs.tuning.space import NAMES, SPACE, ModelName

SMALL = ["n_factors=8", "ranking_steps=6", "rating_steps=6", "ratings_per_step=0", "most_steps=12"]


@pytest.fixture(scope="module")
def part() -> Part:
    """80 users of two groups, each of which likes one half of 60 items."""
    rng = np.random.default_rng(5)
    user, item = np.nonzero(rng.random((80, 60)) < 0.4)
    liked = (user % 2) == (item % 2)
    rating = np.where(liked, rng.integers(4, 6, len(user)), rng.integers(1, 3, len(user)))
    columns = user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32)
    ratings = Ratings(*columns, 80, 60)
    is_test = rng.random(len(user)) < 0.2
    return parts(ratings, is_test, None, load_settings(SMALL), Scale(1, 5), 5.0)[0]


def search(part: Part, seconds: float, *names: str, model: ModelName = "ranking") -> FirstSearch:
    settings = load_settings(names)
    # As if they were the defaults: explicit settings are not searched.
    settings = settings.model_construct(
        set(settings.explicit), **{**settings.model_dump(), **load_settings(SMALL).model_dump()}
    )
    return FirstSearch(model, part, settings, seconds)


@pytest.fixture
def a_trial_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the search's clock, whatever the machine is doing."""
    trials = []

    def measured(*arguments: Any) -> Any:
        trials.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(first_search, "measure", measured)
    clock = SimpleNamespace(monotonic=lambda: float(len(trials)))
    monkeypatch.setattr(first_search, "time", clock)


@pytest.mark.slow
@pytest.mark.usefixtures("a_trial_takes_a_second")
@pytest.mark.parametrize("model", ["ranking", "rating"])
def test_what_is_found_is_the_best_trial_with_all_steps(part: Part, model: ModelName) -> None:
    first = search(part, len(PORTFOLIO[model]) + 12.0, model=model)
    values = first.run()
    assert {} in [trial.values for trial in first.trials], "the settings in use are always tried"
    steps = getattr(first.settings, f"{model}_steps")
    complete = [t for t in first.trials if t.values.get(f"{model}_steps", steps) >= steps]
    measured = {t.value for t in complete if t.value is not None}
    best = max(measured) if model == "ranking" else min(measured)
    assert [t.value for t in complete if t.values == values] == [best]
    assert len(first.trials) > len(PORTFOLIO[model]) + 2, "it goes on around the best"
    assert set(values) <= set(NAMES)


@pytest.mark.slow
@pytest.mark.usefixtures("a_trial_takes_a_second")
@pytest.mark.parametrize(("least_gain", "is_used"), [(0.0, True), (10.0, False)])
def test_what_gains_too_little_is_not_used(
    part: Part, monkeypatch: pytest.MonkeyPatch, least_gain: float, is_used: bool
) -> None:
    monkeypatch.setitem(first_search.LEAST_GAIN, "ranking", least_gain)
    first = search(part, len(PORTFOLIO["ranking"]) + 6.0)
    assert bool(first.run()) == is_used
    assert len(first.trials) > len(PORTFOLIO["ranking"]) + 2


def test_without_time_only_the_settings_in_use_are_tried(part: Part) -> None:
    first = search(part, 0.0)
    assert first.run() == {}
    assert {name for trial in first.trials for name in trial.values} <= {"ranking_steps"}


@pytest.mark.slow
@pytest.mark.usefixtures("a_trial_takes_a_second")
def test_explicit_settings_stay(part: Part) -> None:
    explicit = ("n_factors=8", "ranking_alpha=25", "ranking_steps=6", "recency=0.5")
    first = search(part, len(PORTFOLIO["ranking"]) + 8.0, *explicit)
    first.run()
    assert len(first.trials) > len(PORTFOLIO["ranking"]) + 5
    names = {name for trial in first.trials for name in trial.values}
    assert names.isdisjoint({"n_factors", "ranking_alpha", "ranking_steps", "recency"})


def test_steps_double_while_that_helps_and_end_at_the_most(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(part, 1e6)
    first.settings = first.settings.model_copy(update={"most_steps": 100})
    values = iter([0.2, 0.21, 0.2101, 0.3])

    def next_trial(chosen: dict[str, int]) -> Trial:
        return Trial(chosen, next(values), 0.0)

    monkeypatch.setattr(first, "_try", next_trial)
    longest = first._more_steps(Trial({}, 0.1, 0.0))
    assert longest.values == {"ranking_steps": 24}, "48 steps gain too little"
    first.settings = first.settings.model_copy(update={"most_steps": 11})
    assert first._more_steps(Trial({}, 0.1, 0.0)).values == {}


@given(
    st.sampled_from([(model, name) for model, reaches in SPACE.items() for name in reaches]),
    st.integers(0, 10_000),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_values_around_the_best_are_allowed(place: tuple[ModelName, str], seed: int) -> None:
    model, name = place
    least, most = bounds(name)
    value = getattr(load_settings(), name)
    for _ in range(20):
        value = moved(value, SPACE[model][name], np.random.default_rng(seed), least, most)
        assert math.isfinite(value)
        assert least <= value <= most
        assert isinstance(value, type(getattr(load_settings(), name)))
        seed += 1


def test_the_portfolio_holds_values_that_settings_allow() -> None:
    for places in PORTFOLIO.values():
        for place in places:
            load_settings([f"{name}={value}" for name, value in place.items()])
            assert set(place) <= set(NAMES)


def test_learning_that_fails_is_a_trial_without_a_value(part: Part) -> None:
    first = search(part, 0.0)
    first.settings = first.settings.model_copy(update={"ranking_learning_rate": 1e30})
    trial = first._try({})
    assert trial.value is None
    assert dataclasses.asdict(trial)["values"] == {}
