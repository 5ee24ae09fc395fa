"""Studies: when a trial is started, and what happens where learning fails."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from cofi_jobs.core.errors import StoreError
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

    def tried(params: Sequence[dict[str, Any]]) -> list[study.Tried]:
        return [study.Tried(None if p["x"] > 0.5 else 1 - p["x"], 1.0) for p in params]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "may_start", lambda took, seconds: next(left, None) is not None)
        study.search(trials, space, [{"x": 1.0}], 0, 1, tried)
    assert len({trial.params["x"] for trial in trials.trials}) == 30
    assert trials.trials[0].value is None
    assert 0.4 < study.best(trials)[0].params["x"] <= 0.5


def test_trials_beside_each_other_are_different_ones(tmp_path: Path):
    space: Any = {"x": optuna.distributions.FloatDistribution(0, 1)}
    trials = study.open_study(tmp_path / "s.journal", "minimize")
    rounds: list[list[float]] = []

    def tried(params: Sequence[dict[str, Any]]) -> list[study.Tried]:
        rounds.append([p["x"] for p in params])
        return [study.Tried(p["x"], 1.0) for p in params]

    study.search(trials, space, [{"x": 0.5}, {"x": 0.25}], 0, 5, tried, at_once=3)
    assert [len(of_round) for of_round in rounds] == [3] * 5, "five seconds of three workers"
    assert rounds[0][:2] == [0.5, 0.25], "first those that are to be tried at all events"
    assert len({x for of_round in rounds for x in of_round}) == 15
    assert [trial.params["x"] for trial in trials.trials] == [x for r in rounds for x in r]


def test_nothing_but_the_journal_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A lock of Optuna's would outlive a killed process, and hide errors of the disk."""
    written: list[str] = []
    for change in ("symlink", "rename", "link"):
        monkeypatch.setattr(os, change, lambda *names: written.extend(map(str, names)))
    trials = study.open_study(tmp_path / "s.journal", "minimize")
    study.search(trials, {}, [{}], 0, 0, lambda _: [study.Tried(1.0, 0.1)])
    assert len(trials.trials) == 1
    assert written == []
    assert [path.name for path in tmp_path.iterdir()] == ["s.journal"]


@pytest.mark.parametrize(
    "lines",
    [
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"op_code": 5, "trial_id": 13}\n',
        b'{"op_code": 99}\n',
        b'{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": ["x"]}\n',
        b"{\n{\n",
        b"\xff\xfe\n",
    ],
)
def test_a_damaged_journal_names_its_file(tmp_path: Path, lines: bytes):
    path = tmp_path / "s.journal"
    path.write_bytes(lines)
    with pytest.raises(StoreError) as error:
        study.open_study(path, "minimize")
    assert str(error.value).startswith(f"{path}: found ")
    assert "expected a journal of trials" in str(error.value)
    assert "remove it, and tuning starts again" in str(error.value)


def test_a_trial_without_its_seconds_is_damage(tmp_path: Path):
    path = tmp_path / "s.journal"
    trials = study.open_study(path, "minimize")
    trials.add_trial(optuna.create_trial(value=1.0, user_attrs={"seconds": 1.0}))
    study.open_study(path, "minimize")
    path.write_bytes(path.read_bytes().replace(b"seconds", b"minutes"))
    with pytest.raises(StoreError, match=r"s\.journal: found KeyError"):
        study.open_study(path, "minimize")
