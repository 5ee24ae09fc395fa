"""What somebody set in an Airflow run: the form sends every field, the API only what was given."""

from typing import Any

import pytest

from cofi_jobs.settings.form import explicit_values, form_fields

DEFAULTS = {name: field["default"] for name, field in form_fields().items()}
STORE = {"store": "/srv/store"}


@pytest.mark.parametrize(
    ("conf", "explicit"),
    [
        ({}, {}),
        (STORE, {}),
        ({"n_factors": 8}, {"n_factors": 8}),
        ({"n_factors": DEFAULTS["n_factors"]}, {"n_factors": DEFAULTS["n_factors"]}),
        ({"test_days": None}, {"test_days": None}),
        (DEFAULTS | STORE, {}),
        (DEFAULTS | STORE | {"n_factors": 8}, {"n_factors": 8}),
        ({"no_setting": 1}, {}),
    ],
    ids=[
        *("scheduled", "store alone", "API", "API, the default", "API, empty"),
        *("form as it was", "form, one changed", "not a setting"),
    ],
)
def test_what_the_form_changed_and_all_that_the_api_sent_is_explicit(
    conf: dict[str, Any], explicit: dict[str, Any]
) -> None:
    assert explicit_values(conf, DEFAULTS) == explicit


def test_an_old_name_is_understood_with_a_warning(caplog) -> None:
    assert explicit_values({"n_features": 8}, DEFAULTS) == {"n_factors": 8}
    assert [record.getMessage() for record in caplog.records] == [
        "configuration of the run: the setting n_features is now called n_factors"
    ]


def test_the_form_of_a_dag_with_some_of_the_settings_is_recognised() -> None:
    defaults = {"tune_minutes": 20.0}
    conf = {**STORE, "tune_minutes": 20.0}
    assert explicit_values(conf, defaults) == {}
    assert explicit_values(conf | {"seed": 0}, defaults) == {"seed": 0}
