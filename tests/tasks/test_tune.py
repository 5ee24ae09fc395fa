"""Tuning: no trial sees the test ratings, a killed tuning goes on, only better settings stay."""

import functools
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.cli.show.tuning import tuning
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import tune
from cofi_jobs.tasks.runner import run_task
from cofi_jobs.tuning import search, study
from cofi_jobs.tuning.space import SPACE
from cofi_jobs.tuning.study import open_study
from cofi_jobs.tuning.tuned import in_use
from tests.support.command_line import cofi
from tests.support.data import tasteful_ratings, write_ratings
from tests.support.kills import die_before
from tests.support.processes import exit_code
from tests.support.tuning import EXPLICIT, prepared, write_tuned


@pytest.fixture(autouse=True)
def few_fits_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FINALISTS", 1)
    monkeypatch.setattr(search, "TRIALS_A_FINALIST", 1)
    monkeypatch.setattr(search, "SEEDS", 1)
    monkeypatch.setattr(tune, "compare", functools.partial(tune.compare, n_seeds=1))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepared(tmp_path_factory.mktemp("original") / "store", tasteful_ratings())


@pytest.fixture
def store_(original: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(original.root, tmp_path / "copy"))


def studies(store: Store) -> dict[str, list[tuple[dict[str, Any], float | None]]]:
    """Settings and values of all trials, by study."""
    trials_of = {}
    for path in store.studies.glob("*.journal"):
        trials = open_study(path, "minimize").trials
        assert all(trial.state.is_finished() for trial in trials)
        trials_of[path.stem] = [(trial.params, trial.value) for trial in trials]
    return trials_of


def stop_after(monkeypatch: pytest.MonkeyPatch, trials: int) -> None:
    """The number of trials instead of the clock, so that runs can be compared."""
    monkeypatch.setattr(study, "may_start", lambda took, seconds: len(took) < trials)


def test_tuning_never_sees_the_ratings_it_is_judged_by(store_: Store, tmp_path: Path, monkeypatch):
    ratings = tasteful_ratings().sort_values(["userId", "timestamp"])
    n = ratings.groupby("userId")["rating"].transform("size")
    last = ratings.groupby("userId").cumcount() >= n - (n * 0.2).astype(int).clip(lower=1)
    other = prepared(
        tmp_path / "other",
        ratings.assign(rating=ratings["rating"].where(~last, 6 - ratings["rating"])),
    )
    stop_after(monkeypatch, 4)
    first, second = (
        run_task("tune", store, load_settings(EXPLICIT), "n1") for store in (store_, other)
    )
    assert studies(store_) == studies(other)
    assert {len(trials) for trials in studies(other).values()} == {4}
    assert first["found"] == second["found"]
    assert first["held_out_ratings"] == second["held_out_ratings"] == last.sum()
    assert second["measures"]["rmse"]["before"] > first["measures"]["rmse"]["before"] + 1, (
        "only the end saw them"
    )


def tune_and_die(root: str) -> None:
    """Tune, killed when the fourth trial begins."""
    die_before(4, [(study, "ask")], of_each=4)
    run_task("tune", Store(Path(root)), load_settings([*EXPLICIT, "tune_minutes=10"]), "n1")


@pytest.mark.slow
def test_a_killed_tuning_goes_on_as_if_it_had_not_been(
    store_: Store, original: Store, tmp_path: Path, monkeypatch
):
    assert exit_code(tune_and_die, str(store_.root)) == -signal.SIGKILL
    [(name, before)] = studies(store_).items()
    assert len(before) == 3
    with (store_.studies / f"{name}.journal").open("ab") as journal:
        journal.write(
            b'{"op_code":4,"wor'
        )  # as if the machine had gone down in the middle of a line
    stop_after(monkeypatch, len(before) + 3)
    run_task("tune", store_, load_settings(EXPLICIT), "n1")
    at_once = Store(shutil.copytree(original.root, tmp_path / "at-once"))
    run_task("tune", at_once, load_settings(EXPLICIT), "n1")
    assert studies(store_) == studies(at_once)
    assert studies(store_)[name][: len(before)] == before


def test_a_new_week_begins_with_what_is_in_use_and_last_weeks_best(store_: Store, monkeypatch):
    stop_after(monkeypatch, 5)
    settings = load_settings([*EXPLICIT, "ranking_lambda=0.5", "recency=0.5"])
    run_task("tune", store_, settings, "n1")
    [old] = [trials for name, trials in studies(store_).items() if ".ranking." in name]
    write_ratings(store_.landing / "more.csv", tasteful_ratings(seed=1).head(50))
    for task in ("ingest", "normalize"):
        run_task(task, store_, settings, "n2")
    store_.tuned_file.unlink(missing_ok=True)
    run_task("tune", store_, settings, "n2")
    [new] = [trials for name, trials in studies(store_).items() if name.startswith("n2.ranking.")]
    ranked = sorted(old, key=lambda trial: -(trial[1] or 0))
    expected = [old[0][0], *(params for params, _ in ranked[:3] if params != old[0][0])]
    assert [params for params, _ in new][: len(expected)] == expected


def test_tune_on_the_command_line(store_: Store):
    command = ["tune", "--store", store_.root]
    words = [word for text in [*EXPLICIT, "tune_minutes=0.001"] for word in ("--set", text)]
    none = cofi(*command, *words)
    assert none.returncode == 1
    assert f"error: found no published run in {store_.root}, expected one to tune on" in none.stderr
    ended = cofi(*command, *words, "--run-key", "n1")
    assert ended.returncode == 0, ended.stderr
    for expected in (
        "1 trials of the ranking model",
        "ranking_alpha",
        "ndcg@10 (higher is better)",
        "no better settings",
    ):
        assert expected in ended.stdout
    assert "n_factors" not in ended.stdout, "explicit settings are not tuned"
    assert not store_.tuned_file.exists()


def test_what_is_better_is_written_with_where_it_comes_from(store_: Store, monkeypatch):
    # A bad start, and what tuning does not search.
    write_tuned(store_, ranking_lambda=30.0, rating_lambda=30.0, ranking_alpha_nu=0.9)
    stop_after(monkeypatch, 12)
    settings = load_settings([*EXPLICIT, "recency=0.5"])  # the models share it
    outcome = run_task("tune", store_, settings, "n1")
    assert outcome["written"] is True
    assert outcome["before"]["rating_lambda"] == 30
    content = store_.records.tuned()
    assert content is not None
    assert content["settings"] == {"ranking_alpha_nu": 0.9, **outcome["found"]}
    searched = {name for reaches in SPACE.values() for name in reaches}
    assert set(outcome["found"]) == searched - {"n_factors", "recency", "confidence"}, (
        "all that is not explicit"
    )
    assert (content["run_key"], content["studies"]) == ("n1", sorted(studies(store_)))
    for measure, sign in (("rmse", -1), ("ndcg@10", 1)):
        measure_values = content["measures"][measure]
        assert sign * (measure_values["after"] - measure_values["before"]) > 0
    assert (
        in_use(store_, load_settings(EXPLICIT), "n1", "train")[0].rating_lambda
        == content["settings"]["rating_lambda"]
        != 30
    )


def test_what_is_worse_where_tuning_never_looked_is_not_written(store_: Store, monkeypatch):
    write_tuned(store_, ranking_lambda=30.0, rating_lambda=30.0)
    before = store_.records.tuned()
    stop_after(monkeypatch, 4)
    compare = tune.compare
    monkeypatch.setattr(
        tune, "compare", lambda part, old, new, models: compare(part, new, old, models)
    )  # as if it were so
    outcome = run_task("tune", store_, load_settings(EXPLICIT), "n1")
    assert outcome["found"] != outcome["before"]
    assert outcome["written"] is False
    assert store_.records.tuned() == before


def test_of_events_only_the_ranking_model_is_tuned(tmp_path: Path, monkeypatch):
    events = tasteful_ratings().drop(columns="rating").assign(plays=2)
    store = prepared(tmp_path / "store", events)
    stop_after(monkeypatch, 3)
    outcome = run_task("tune", store, load_settings(EXPLICIT), "n1")
    assert list(outcome["trials"]) == ["ranking"]
    assert set(outcome["measures"]) == {"ndcg@10", "recall@20"}
    assert "confidence" in outcome["found"]
    assert not [name for name in outcome["found"] if name.startswith("rating_")]
    tuning(outcome, store)


def test_of_ratings_no_confidence_is_tuned(store_: Store, monkeypatch):
    stop_after(monkeypatch, 1)
    outcome = run_task("tune", store_, load_settings(EXPLICIT), "n1")
    assert list(outcome["trials"]) == ["ranking", "rating"]
    assert "confidence" not in outcome["found"]


def test_old_studies_are_removed(store_: Store, monkeypatch):
    stop_after(monkeypatch, 1)
    monkeypatch.setattr(tune, "KEPT_STUDIES", 3)
    run_task("tune", store_, load_settings(EXPLICIT), "n1")
    ranking, rating = sorted(studies(store_))
    run_task("tune", store_, load_settings([*EXPLICIT, "seed=1"]), "n1")
    assert len(studies(store_)) == 3
    assert ranking not in studies(store_), "the oldest"
    assert rating in studies(store_)
