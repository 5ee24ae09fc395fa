"""`settings.json`: how runs use what tuning found."""

import pytest

from cofi_jobs.core.errors import CofiError, QualityError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from cofi_jobs.tuning import tuned
from tests.support.data import QUICK, tasteful_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.tuning import EXPLICIT, WITHOUT_SEARCH, write_tuned


def used(store: Store, *overrides: str, **environment: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(WITHOUT_SEARCH)
        for name, value in environment.items():
            patch.setenv(name, value)
        return tuned.in_use(store, load_settings(overrides), "n1", "train")[0]


def test_explicit_settings_count_more_than_the_file_and_the_file_more_than_defaults(store: Store):
    assert used(store) == Settings()
    write_tuned(store, ranking_alpha=40.0, n_factors=96)
    assert used(store) == Settings(ranking_alpha=40.0, n_factors=96)
    assert used(store, COFI_N_FACTORS="48") == Settings(ranking_alpha=40.0, n_factors=48)
    assert used(store, "n_factors=32", COFI_N_FACTORS="48") == Settings(
        ranking_alpha=40.0, n_factors=32
    )
    assert used(store, "n_factors=64").n_factors == 64, "explicit, though the default"
    assert used(store, COFI_N_FACTORS="64").n_factors == 64, "in the environment too"
    assert used(store, "use_tuned=false") == Settings(use_tuned=False)
    assert used(store, COFI_USE_TUNED="false") == Settings(use_tuned=False)


def test_an_old_name_in_the_file_is_understood_with_a_warning(store: Store, caplog):
    write_tuned(store, n_features=96)
    assert used(store) == Settings(n_factors=96)
    assert [record.getMessage() for record in caplog.records] == [
        f"{store.tuned_file}: the setting n_features is now called n_factors"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "settings.json is not valid JSON"),
        ("[]", 'settings.json: found [], expected an object; it must be {"settings": '),
        ('{"settings": 3}', 'settings.json: found no object "settings"'),
        (
            '{"settings": {"top_n": 3}}',
            "settings.json: found 'top_n', allowed are the settings n_factors, recency, ",
        ),
        (
            '{"settings": {"n_factors": 0}}',
            "settings.json: setting n_factors: found 0, allowed is: integer, at least 1, at most "
            "1024",
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


@pytest.mark.slow
def test_the_gate_protects_the_first_night_on_new_settings(store: Store):
    settings = load_settings(
        [*EXPLICIT, "ratings_per_step=256", "rating_steps=80", "ranking_steps=80"]
    )
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    run_night(store, settings, "n1")
    write_tuned(store, rating_lambda=1000.0, ranking_lambda=1000.0, n_factors=16)
    with pytest.raises(QualityError) as caught:
        run_night(store, settings, "n2")
    assert store.current() == "n1"
    message = str(caught.value)
    assert "ndcg@10 of the ranking model is" in message
    assert (
        "settings.json of the store is in use (rating_lambda 1000, ranking_lambda 1000)" in message
    ), "n_factors: explicit"
    assert "remove it, or set use_tuned=false" in message

    store.tuned_file.unlink()
    settings = load_settings(QUICK)
    run_task("train", store, settings, "n2")
    write_tuned(store, recency=0.4)  # comes too late for this run: its tasks agree
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
