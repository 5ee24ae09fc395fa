"""Tuning: it never sees what judges it, goes on after a kill, keeps its time; and how nights use what it found."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from cofi_jobs.core.errors import CofiError, DataError, QualityError
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import read_ratings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import tune
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from cofi_jobs.tuning import tuned
from tests.support.data import tasteful_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import ROOT

# Told, so not tuned.
TOLD = [
    "n_factors=4",
    "ratings_per_step=4096",
    "rating_steps=10",
    "ranking_steps=10",
    "top_n=5",
    "similar_n=4",
]


@pytest.fixture(autouse=True)
def few_fits_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "FINALISTS", 1)
    monkeypatch.setattr(tune, "TRIALS_A_FINALIST", 1)
    monkeypatch.setattr(tune, "SEEDS", 1)


def prepared(folder: Path, ratings: pd.DataFrame) -> Store:
    """A store whose run is ready to be tuned on."""
    store = Store(folder).create()
    write_ratings(store.landing / "ratings.csv", ratings)
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(), "n1")
    return store


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepared(tmp_path_factory.mktemp("original") / "store", tasteful_ratings())


@pytest.fixture
def store_(original: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(original.root, tmp_path / "copy"))


def studies(store: Store) -> dict[str, list[tuple[dict[str, Any], float | None]]]:
    """Settings and values of all trials, by study."""
    found = {}
    for path in store.studies.glob("*.journal"):
        trials = tune.open_study(path, "minimize").trials
        assert all(trial.state.is_finished() for trial in trials)
        found[path.stem] = [(trial.params, trial.value) for trial in trials]
    return found


def stop_after(monkeypatch: pytest.MonkeyPatch, trials: int) -> None:
    """The number of trials instead of the clock, so that runs can be compared."""
    monkeypatch.setattr(tune, "may_start", lambda took, seconds: len(took) < trials)


def write(store: Store, **values: Any) -> None:
    store.records.write_tuned({"settings": values, "run_key": "earlier"})


def used(store: Store, *overrides: str, **environment: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return tuned.in_use(store, load_settings(overrides), "n1", "train")[0]


# ---- what it sees, and when it ends


def test_tuning_never_sees_the_ratings_it_is_judged_by(store_: Store, tmp_path: Path, monkeypatch):
    ratings = tasteful_ratings().sort_values(["userId", "timestamp"])
    n = ratings.groupby("userId")["rating"].transform("size")
    last = ratings.groupby("userId").cumcount() >= n - (n * 0.2).astype(int).clip(lower=1)
    other = prepared(
        tmp_path / "other",
        ratings.assign(rating=ratings["rating"].where(~last, 6 - ratings["rating"])),
    )
    stop_after(monkeypatch, 6)
    first, second = (
        run_task("tune", store, load_settings(TOLD), "n1") for store in (store_, other)
    )
    assert studies(store_) == studies(other)
    assert {len(trials) for trials in studies(other).values()} == {6}
    assert first["found"] == second["found"]
    assert first["held_out_ratings"] == second["held_out_ratings"] == last.sum()
    assert second["measures"]["rmse"]["before"] > first["measures"]["rmse"]["before"] + 1, (
        "only the end saw them"
    )


def test_the_split_is_that_of_train_within_that_of_train(original: Store):
    ratings, settings = read_ratings(original.table("n1", "normalized")), load_settings()
    inner, outer = tune.parts(ratings, None, settings, Scale(1, 5), 5)
    hidden = holdout_mask(ratings.user_index, None, settings.model_dump())
    assert (outer.held_out.rating == ratings.where(hidden).rating).all()
    assert len(inner.known.rating) + len(inner.held_out.rating) == len(outer.known.rating)
    assert set(inner.wanted.rating) == {4, 5}


def test_of_many_users_some_are_drawn(original: Store):
    ratings = read_ratings(original.table("n1", "normalized"))
    few, all_ = (
        tune.parts(ratings, None, load_settings([f"tune_users={n}"]), Scale(1, 5), 5)[1]
        for n in (50, 150)
    )
    assert few.known.n_users == 50
    assert set(few.known.user_index) == set(range(50))
    assert few.known.n_items == all_.known.n_items
    assert len(few.known.rating) < len(all_.known.rating) / 2


def test_without_a_liked_rating_there_is_nothing_to_measure(original: Store):
    ratings = read_ratings(original.table("n1", "normalized"))
    with pytest.raises(DataError, match="0 of 6 and up to measure on"):
        tune.parts(ratings, None, load_settings(["liked_from=6"]), Scale(1, 5), 5)


def test_a_killed_tuning_goes_on_as_if_it_had_not_been(
    store_: Store, original: Store, tmp_path: Path, monkeypatch
):
    words = [word for text in [*TOLD, "tune_minutes=10"] for word in ("--set", text)]
    command = [
        sys.executable,
        "-m",
        "cofi_jobs",
        "tune",
        "--store",
        str(store_.root),
        "--run-key",
        "n1",
        *words,
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "trial 3:" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    [(name, before)] = studies(store_).items()
    assert len(before) >= 3
    with (store_.studies / f"{name}.journal").open("ab") as journal:
        journal.write(
            b'{"op_code":4,"wor'
        )  # as if the machine had gone down in the middle of a line
    stop_after(monkeypatch, len(before) + 3)
    run_task("tune", store_, load_settings(TOLD), "n1")
    at_once = Store(shutil.copytree(original.root, tmp_path / "at-once"))
    run_task("tune", at_once, load_settings(TOLD), "n1")
    assert studies(store_) == studies(at_once)
    assert studies(store_)[name][: len(before)] == before


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
    assert tune.may_start(took, seconds) is expected


def test_a_new_week_begins_with_what_is_in_use_and_last_weeks_best(store_: Store, monkeypatch):
    stop_after(monkeypatch, 8)
    settings = load_settings([*TOLD, "ranking_lambda=0.5", "recency=0.5"])
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


def test_settings_with_which_learning_fails_are_tried_once_and_never_chosen(tmp_path: Path):
    space: Any = {"x": optuna.distributions.FloatDistribution(0, 1)}
    study = tune.open_study(tmp_path / "studies" / "s.journal", "minimize")
    left = iter(range(30))

    def value(params: dict[str, Any]) -> float | None:
        return None if params["x"] > 0.5 else 1 - params["x"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "may_start", lambda took, seconds: next(left, None) is not None)
        tune.search(study, space, [{"x": 1.0}], 0, 1, value)
    assert len({trial.params["x"] for trial in study.trials}) == 30
    assert study.trials[0].value is None
    assert 0.4 < tune.best(study)[0].params["x"] <= 0.5


def test_where_tuning_looks():
    space = tune.distributions(
        tuned.SPACE["ranking"], load_settings(["ranking_lambda=0", "ranking_nu=0.9"])
    )
    assert "ranking_lambda" not in space, "what is switched off stays off"
    features, nu, alpha = space["n_factors"], space["ranking_nu"], space["ranking_alpha"]
    assert isinstance(features, optuna.distributions.IntDistribution)
    assert (features.low, features.high, features.step) == (32, 128, 16)
    assert isinstance(nu, optuna.distributions.FloatDistribution)
    assert (nu.low, nu.high) == (pytest.approx(0.6), 1.0)
    assert isinstance(alpha, optuna.distributions.FloatDistribution)
    assert (alpha.low, alpha.high, alpha.log) == (pytest.approx(25 / 3), 75, True)
    for n in (1, 2, 3, 50, 1000, 1024):
        one = tune.distributions({"n_factors": ("times", 2)}, load_settings([f"n_factors={n}"]))[
            "n_factors"
        ]
        assert one._contains(n)
        assert tune.nearest(10_000, one) <= 1024
        assert tune.nearest(0, one) >= 1


def test_tune_on_the_command_line(store_: Store):
    command = [sys.executable, "-m", "cofi_jobs", "tune", "--store", str(store_.root)]
    words = [word for text in [*TOLD, "tune_minutes=0.001"] for word in ("--set", text)]
    none = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)
    assert none.returncode == 1
    assert f"error: found no published run in {store_.root}, expected one to tune on" in none.stderr
    ended = subprocess.run(
        [*command, *words, "--run-key", "n1"], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    for expected in (
        "1 trials of the ranking model",
        "ranking_alpha",
        "ndcg@10 (higher is better)",
        "no better settings",
    ):
        assert expected in ended.stdout
    assert "n_factors" not in ended.stdout, "what was told is not tuned"
    assert not store_.tuned_file.exists()


def test_what_is_better_is_written_with_where_it_comes_from(store_: Store, monkeypatch):
    write(store_, ranking_lambda=30.0, rating_lambda=30.0)  # a bad start
    stop_after(monkeypatch, 12)
    outcome = run_task("tune", store_, load_settings(TOLD), "n1")
    assert outcome["written"] is True
    assert outcome["before"]["rating_lambda"] == 30
    content = store_.records.tuned()
    assert content is not None
    assert content["settings"] == outcome["found"]
    assert set(content["settings"]) == set(tuned.NAMES) - {"n_factors"}, "all but what was told"
    assert (content["run_key"], content["studies"]) == ("n1", sorted(studies(store_)))
    for measure, sign in (("rmse", -1), ("ndcg@10", 1)):
        found = content["measures"][measure]
        assert sign * (found["after"] - found["before"]) > 0
    assert used(store_, *TOLD).rating_lambda == content["settings"]["rating_lambda"] != 30


def test_what_is_worse_where_tuning_never_looked_is_not_written(store_: Store, monkeypatch):
    write(store_, ranking_lambda=30.0, rating_lambda=30.0)
    before = store_.records.tuned()
    stop_after(monkeypatch, 4)
    compare = tune.compare
    monkeypatch.setattr(
        tune, "compare", lambda part, old, new: compare(part, new, old)
    )  # as if it were so
    outcome = run_task("tune", store_, load_settings(TOLD), "n1")
    assert outcome["found"] != outcome["before"]
    assert outcome["written"] is False
    assert store_.records.tuned() == before


def test_old_studies_are_removed(store_: Store, monkeypatch):
    stop_after(monkeypatch, 1)
    for seed in range(6):
        run_task("tune", store_, load_settings([*TOLD, f"seed={seed}"]), "n1")
    assert len(studies(store_)) == tune.KEPT_STUDIES


# ---- how nights use it


def test_what_is_told_counts_more_than_the_file_and_the_file_more_than_defaults(store: Store):
    assert used(store) == Settings()
    write(store, ranking_alpha=40.0, n_factors=96)
    assert used(store) == Settings(ranking_alpha=40.0, n_factors=96)
    assert used(store, COFI_N_FACTORS="48") == Settings(ranking_alpha=40.0, n_factors=48)
    assert used(store, "n_factors=32", COFI_N_FACTORS="48") == Settings(
        ranking_alpha=40.0, n_factors=32
    )
    assert used(store, "n_factors=64").n_factors == 64, "told, though the default"
    assert used(store, "use_tuned=false") == Settings(use_tuned=False)
    assert used(store, COFI_USE_TUNED="false") == Settings(use_tuned=False)


def test_an_old_name_in_the_file_is_understood_with_a_warning(store: Store, caplog):
    write(store, n_features=96)
    assert used(store) == Settings(n_factors=96)
    assert [record.getMessage() for record in caplog.records] == [
        f"{store.tuned_file}: the setting n_features is now called n_factors"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "settings.json is not valid JSON"),
        ("[]", 'settings.json: found no object "settings", expected {"settings": '),
        ('{"settings": 3}', 'settings.json: found no object "settings"'),
        (
            '{"settings": {"top_n": 3}}',
            "settings.json: found 'top_n', allowed are the settings n_factors, recency, ",
        ),
        (
            '{"settings": {"n_factors": 0}}',
            "settings.json: setting n_factors: found 0, allowed is: integer, at least 1, at most 1024",
        ),
        (
            '{"settings": {"ranking_nu": "much"}}',
            "setting ranking_nu: found 'much', allowed is: number, at least 0",
        ),
        (
            '{"settings": {"ranking_nu": null}}',
            "setting ranking_nu: found nothing, allowed is: number, at least 0",
        ),
    ],
)
def test_an_invalid_file_is_refused_with_what_was_found_and_what_is_allowed(
    store: Store, text: str, message: str
):
    store.tuned_file.write_text(text)
    with pytest.raises(CofiError) as caught:
        used(store)
    assert message in str(caught.value)
    assert str(store.tuned_file) in str(caught.value)
    assert used(store, "use_tuned=false") == Settings(use_tuned=False)
    for task in ("ingest", "normalize"):
        assert tuned.in_use(store, load_settings(), "n1", task)[1] is None, "they need none of it"


def test_the_gate_protects_the_first_night_on_new_settings(store: Store):
    settings = load_settings([*TOLD, "ratings_per_step=256", "rating_steps=80", "ranking_steps=80"])
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    run_night(store, settings, "n1")
    write(store, rating_lambda=1000.0, ranking_lambda=1000.0, n_factors=16)
    with pytest.raises(QualityError) as caught:
        run_night(store, settings, "n2")
    assert store.current() == "n1"
    message = str(caught.value)
    assert "ndcg@10 of the ranking model is" in message
    assert (
        "settings.json of the store is in use (rating_lambda 1000, ranking_lambda 1000)" in message
    ), "n_factors: told"
    assert "remove it, or set use_tuned=false" in message

    store.tuned_file.unlink()
    run_task("train", store, settings, "n2")
    write(store, recency=0.4)  # comes too late for this run: its tasks agree
    for task in list(TASKS)[list(TASKS).index("train") + 1 :]:
        assert run_task(task, store, settings, "n2")["settings"]["recency"] == 0.5
    manifest = store.manifest("n2")
    assert manifest is not None
    assert (manifest["tuned"], manifest["settings"]["recency"]) == (None, 0.5)

    run_night(store, settings, "n3")
    manifest = store.manifest("n3")
    assert manifest is not None
    assert manifest["tuned"] == {"settings": {"recency": 0.4}, "run_key": "earlier"}
    assert (
        manifest["settings"]["recency"]
        == store.required_outcome("n3", "recommend")["settings"]["recency"]
        == 0.4
    )


def test_the_remark_is_empty_without_a_file():
    assert tuned.remark(None) == ""


def test_optuna_is_imported_by_tune_alone():
    code = "import sys, cofi_jobs.cli.app, cofi_jobs.tasks.train, cofi_jobs.tasks.evaluate; "
    code += "sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
