"""What somebody set in an Airflow run: the form sends every field, the API only what was given."""

from typing import Any

import pytest

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.form import check_names, explicit_values, form_fields

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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("top_N", "top_n"), ("TOP_N", "top_n"), ("topn", "top_n"), ("top-n", "top_n")),
        *(("COFI_TOP_N", "top_n"), ("n_factor", "n_factors"), ("Store", "store")),
        ("rating_step", "rating_steps"),
    ],
)
def test_a_misspelt_name_is_an_error(name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting '{name}'; did you mean {meant}?"):
        check_names({"n_factors": 8, name: 50}, ["store"])


def test_names_that_are_no_settings_are_let_through_with_a_line(caplog) -> None:
    caplog.set_level("INFO")
    others = ["dag_id", "date", "env", "reason", "requested_by", "source", "ticket", "user"]
    known = {"store": "/srv/store", "top_n": 5, "n_features": 8}  # one by its old name
    check_names({**known, **dict.fromkeys(others)}, ["store", "top_n", "n_factors"])
    assert [record.getMessage() for record in caplog.records] == [
        f"configuration of the run: '{name}' is no setting, nothing here uses it" for name in others
    ]


@pytest.mark.parametrize("name", ["tune_minutes", "n_features"])
def test_a_setting_of_another_dag_is_not_taken_in_silence(name: str, caplog) -> None:
    check_names({name: 5, "top_n": 5}, ["store", "top_n"])
    expected = f"configuration of the run: no task of this DAG uses the setting {name}"
    assert [record.getMessage() for record in caplog.records] == [expected]


@pytest.mark.parametrize("values", [{"n_features": 0}, {"tune_minutes": "soon"}, {"top_n": "x"}])
def test_a_value_that_airflow_does_not_check_is_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"^setting .* found .*, allowed is: "):
        explicit_values(values, {})


def test_sql_has_a_field_of_several_lines() -> None:
    assert form_fields()["source_query"]["format"] == "multiline"
