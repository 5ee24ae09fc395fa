"""Studies: when a trial is started, and what happens where learning fails."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from cofi_jobs.tuning import study


@pytest.mark.parametrize(
    ("took", "seconds", "expected"),
    [
        ([], 0, True),  # what is in use is always measured
        ([10], 20, True),
        ([10], 19, False),
        ([10, 10, 1000], 1030, True),  # one slow trial says little
        ([1] * 100, 100, False),
    ],
)
def test_a_trial_is_started_only_if_it_is_likely_to_end_in_time(took, seconds, expected):
    assert study.may_start(took, seconds) is expected


def test_settings_with_which_learning_fails_are_tried_once_and_never_chosen(tmp_path: Path):
    space: Any = {"x": optuna.distributions.FloatDistribution(0, 1)}
    trials = study.open_study(tmp_path / "studies" / "s.journal", "minimize")
    left = iter(range(30))

    def value(params: dict[str, Any]) -> float | None:
        return None if params["x"] > 0.5 else 1 - params["x"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "may_start", lambda took, seconds: next(left, None) is not None)
        study.search(trials, space, [{"x": 1.0}], 0, 1, value)
    assert len({trial.params["x"] for trial in trials.trials}) == 30
    assert trials.trials[0].value is None
    assert 0.4 < study.best(trials)[0].params["x"] <= 0.5
