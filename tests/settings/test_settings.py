"""Settings: from the environment, name=value, a form's fields; wrong ones are named."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.form import form_fields
from cofi_jobs.settings.renames import RENAMED
from cofi_jobs.settings.resolve import from_record, load_settings, to_environment
from cofi_jobs.settings.schema import section
from tests.support.repository import ROOT
from tests.support.tuning import WITHOUT_SEARCH

NAMES = sorted(Settings.model_fields)
FIELDS = form_fields()
OPTIONAL = {
    *("user_column", "item_column", "rating_column", "time_column", "op_column", "not_rated"),
    *("rating_low", "rating_high", "liked_from", "ratings_per_step", "test_days"),
    *("count_column", "event_half_life_days"),
    *("source_connection", "source_query", "source_files", "source_files_connection", "deliver_to"),
    "ray_address",
}
TEXTS = {
    name
    for name, field in FIELDS.items()
    if "string" in field["type"] and not {"enum", "pattern"} & set(field)
}

# (setting, text, its value): one of each type
VALID = [
    ("n_factors", "32", 32),
    ("damping", "0", 0.0),
    ("learning_rate_schedule", "constant", "constant"),
    ("recommendation_files", "per-user", "per-user"),
    ("rating_low", "-10", -10.0),
    ("rating_low", "", None),
    ("rating_high", "null", None),
    ("ratings_per_step", "", None),
    ("ratings_per_step", "0", 0),
    ("test_share", "0.5", 0.5),
    ("not_rated", "0, -1,99.5", "0, -1,99.5"),
]
# (setting, text, what the message says is allowed): each type, each kind of bound
INVALID = [
    ("n_factors", "many", "integer, at least 1, at most 1024"),
    ("n_factors", "0", "integer, at least 1, at most 1024"),
    ("n_factors", "1025", "integer, at least 1, at most 1024"),
    ("n_factors", "2.5", "integer, at least 1, at most 1024"),
    ("ratings_per_step", "-1", "integer or empty, at least 0"),
    ("memory_limit_mb", "255", "integer, at least 256"),
    ("damping", "-0.1", "number, at least 0, at most 1e+06"),
    ("damping", "inf", "number, at least 0, at most 1e+06"),
    ("damping", "nan", "number, at least 0, at most 1e+06"),
    ("test_share", "0", "number, above 0, at most 0.5"),
    ("rating_learning_rate", "10.1", "number, above 0, at most 10"),
    ("liked_from", "good", "number or empty"),
    ("rating_low", "-inf", "number or empty"),
    ("similarity", "Cosine", "one of cosine, distance"),
    ("not_rated", "0;-1", "numbers separated by commas, or empty"),
    ("not_rated", "0,", "numbers separated by commas, or empty"),
    ("not_rated", "none", "numbers separated by commas, or empty"),
    ("id_type", "int", "one of auto, integer, string"),
    ("recommendation_files", "peruser", "one of whole, per-user"),
]


def refusal(*overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "text", "value"), VALID)
def test_a_setting_comes_from_the_environment_or_an_override(
    name: str, text: str, value: Any, monkeypatch
) -> None:
    assert getattr(load_settings([f"{name}={text}"]), name) == value
    monkeypatch.setenv(f"COFI_{name.upper()}", text)
    assert getattr(load_settings(), name) == value


def test_an_override_counts_more_than_the_environment_and_the_last_override_most(
    monkeypatch,
) -> None:
    monkeypatch.setenv("COFI_TOP_N", "7")
    monkeypatch.setenv("COFI_SEED", "3")
    found = load_settings(["top_n=8", "top_n=9"])
    assert (found.top_n, found.seed) == (9, 3)


def test_an_override_can_empty_what_the_environment_sets(monkeypatch) -> None:
    monkeypatch.setenv("COFI_RATING_LOW", "1")
    assert load_settings(["rating_low="]).rating_low is None


@pytest.mark.parametrize(("name", "text", "allowed"), INVALID)
def test_an_invalid_override_is_refused_with_name_value_and_what_is_allowed(
    name: str, text: str, allowed: str
) -> None:
    assert refusal(f"{name}={text}") == f"setting {name}: found {text!r}, allowed is: {allowed}"


@pytest.mark.parametrize(("name", "text", "allowed"), INVALID)
def test_an_invalid_variable_is_refused_with_name_value_and_what_is_allowed(
    name: str, text: str, allowed: str, monkeypatch
) -> None:
    monkeypatch.setenv(f"COFI_{name.upper()}", text)
    assert refusal() == f"setting {name}: found {text!r}, allowed is: {allowed}"


@pytest.mark.parametrize("name", sorted(set(NAMES) - OPTIONAL))
def test_a_setting_that_is_not_optional_cannot_be_empty(name: str) -> None:
    assert f"setting {name}: found" in refusal(f"{name}=")


def test_all_invalid_settings_are_named_at_once(monkeypatch) -> None:
    monkeypatch.setenv("COFI_SEED", "first")
    message = refusal("top_n=0", "similarity=near")
    assert all(
        part in message
        for part in ("seed: found 'first'", "top_n: found '0'", "similarity: found 'near'")
    )


@pytest.mark.parametrize("ends", [("5", "1"), ("3", "3")])
def test_a_scale_whose_low_end_is_not_the_lower_one_is_refused(ends: tuple[str, str]) -> None:
    message = refusal(f"rating_low={ends[0]}", f"rating_high={ends[1]}")
    assert (
        message
        == f"rating_low is {ends[0]} and rating_high is {ends[1]}; rating_low must be the smaller"
    )


def test_an_unknown_setting_is_refused_with_the_likely_name() -> None:
    assert refusal("topn=5") == "unknown setting 'topn'; did you mean top_n?"


def test_a_setting_unlike_any_other_is_refused_with_the_list_of_all() -> None:
    message = refusal("zzzzzz=5")
    assert "'zzzzzz'" in message
    assert all(name in message for name in NAMES)


@pytest.mark.parametrize("text", ["top_n", "--top_n", ""])
def test_an_override_without_a_value_is_refused(text: str) -> None:
    assert refusal(text) == f"found {text!r}, expected a setting as name=value"


def test_only_the_first_equals_sign_ends_the_name() -> None:
    assert "similarity: found 'cosine=yes'" in refusal("similarity=cosine=yes")


def test_an_unknown_variable_is_refused_with_the_likely_name(monkeypatch) -> None:
    monkeypatch.setenv("COFI_TOPN", "5")
    assert refusal() == "unknown environment variable COFI_TOPN; did you mean COFI_TOP_N?"


def test_variables_that_are_not_settings_are_let_be(monkeypatch) -> None:
    for name in ("COFI_STORE", "COFI_TRACEBACK", "COFFEE", "TOP_N"):
        monkeypatch.setenv(name, "x")
    assert load_settings().top_n == FIELDS["top_n"]["default"]


def test_settings_cannot_be_changed_after_they_are_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().top_n = 3


# ---- the form


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_a_field_of_the_form(name: str) -> None:
    field = FIELDS[name]
    types = {"integer": int, "number": float, "string": str, "boolean": bool, "null": type(None)}
    kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
    assert ("null" in kinds) == (name in OPTIONAL)
    assert isinstance(field["default"], tuple(types[kind] for kind in kinds))
    assert field["default"] == getattr(load_settings(), name)
    assert re.fullmatch(r"[A-Z0-9a-z].{10,}[.] \[.+\]", field["description"]), (
        "a sentence, and what is allowed"
    )
    assert field["section"] == section(name)
    assert field["section"] in {
        "ingest",
        "normalize",
        "train",
        "similar_items",
        "recommend",
        "evaluate",
        "publish",
        "deliver",
        "tune",
        "machine",
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_bounds_in_the_form_are_those_that_are_checked(name: str) -> None:
    field = FIELDS[name]
    for key, step in (("minimum", -1), ("maximum", 1)):
        if key in field:
            assert getattr(load_settings([f"{name}={field[key]}"]), name) == field[key]
            refusal(f"{name}={field[key] + step}")
    if "exclusiveMinimum" in field:
        refusal(f"{name}={field['exclusiveMinimum']}")
    for choice in field.get("enum", []):
        assert getattr(load_settings([f"{name}={choice}"]), name) == choice
    # A scale lies anywhere, and a text may be any.
    if field["type"] != "boolean" and name not in (
        "rating_low",
        "rating_high",
        "liked_from",
        *TEXTS,
    ):
        assert {"minimum", "exclusiveMinimum", "enum", "pattern"} & set(field)


def test_the_form_starts_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("COFI_TOP_N", "7")
    monkeypatch.setenv("COFI_RATING_HIGH", "10")
    fields = form_fields()
    assert (fields["top_n"]["default"], fields["rating_high"]["default"]) == (7, 10.0)


AIRFLOW_FORM = """
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError
from cofi_jobs.settings.form import form_fields

def accepts(field, value):
    try:
        return Param(**{**field, "default": value}).resolve() == value
    except ParamValidationError:
        return False

for name, field in form_fields().items():
    good, bad = [field["default"], *field.get("enum", [])], [[]]
    is_text = "string" in field["type"] and not {"enum", "pattern"} & set(field)
    (good if is_text else bad).append("no such choice")
    if "minimum" in field:
        good.append(field["minimum"]), bad.append(field["minimum"] - 1)
    if "exclusiveMinimum" in field:
        bad.append(field["exclusiveMinimum"])
    if "maximum" in field:
        good.append(field["maximum"]), bad.append(field["maximum"] + 1)
    (good if "null" in field["type"] else bad).append(None)
    assert all(accepts(field, value) for value in good), (name, good)
    assert not any(accepts(field, value) for value in bad), (name, bad)
    print(name)
"""


@pytest.mark.slow
def test_airflow_takes_each_field_as_a_param_and_checks_its_bounds(tmp_path: Path) -> None:
    # In a process of its own: the first import of Airflow fixes its home for all other tests.
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", AIRFLOW_FORM], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(NAMES) <= set(done.stdout.split())


# ---- to a child process


def any_value(field: dict[str, Any]) -> st.SearchStrategy:
    """Values that a setting may have, from its field in the form."""
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if field["type"] == "boolean":
        return st.booleans()
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if "pattern" in field:
        values: st.SearchStrategy = st.from_regex(field["pattern"].replace("$", r"\Z"))
    elif "string" in field["type"]:
        values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
        values = values.filter(lambda text: text != "null")
    elif "integer" in field["type"]:
        values = st.integers(low, high)
    else:
        values = st.floats(
            low,
            high,
            exclude_min="exclusiveMinimum" in field,
            allow_nan=False,
            allow_infinity=False,
        )
    return st.none() | values if "null" in field["type"] else values


def fit_together(values: dict[str, Any]) -> bool:
    low, high = values["rating_low"], values["rating_high"]
    has_two_ends = low is None or high is None or low < high
    return has_two_ends and (values["engine"] == "local" or values["exact_users"])


@pytest.mark.slow
@given(
    st.fixed_dictionaries({name: any_value(field) for name, field in FIELDS.items()}).filter(
        fit_together
    )
)
@settings(deadline=None)
def test_any_settings_reach_a_child_process_unchanged(values: dict[str, Any]) -> None:
    environment = to_environment({**values, "store": "not a setting"})
    assert set(environment) == {f"COFI_{name.upper()}" for name in NAMES}
    with pytest.MonkeyPatch.context() as patch:
        for name, text in environment.items():
            patch.setenv(name, text)
        assert load_settings().model_dump() == values


def test_none_reaches_a_child_process_over_a_value_of_its_own_environment(monkeypatch) -> None:
    monkeypatch.setenv("COFI_LIKED_FROM", "4")
    for name, text in to_environment({"liked_from": None}).items():
        monkeypatch.setenv(name, text)
    assert load_settings().liked_from is None


# ---- renamed settings

OLD_NAMES = [
    (old, new, "0.25" if "share" in old or "max" in old else "4") for old, new in RENAMED.items()
]


@pytest.mark.parametrize(("old", "new", "text"), OLD_NAMES)
def test_the_old_name_of_a_setting_is_understood_with_one_warning_that_names_the_new_one(
    old: str, new: str, text: str, monkeypatch, caplog
) -> None:
    expected = load_settings([f"{new}={text}"])
    assert getattr(expected, new) == float(text)
    assert not caplog.records
    assert load_settings([f"{old}={text}"]) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"--set: the setting {old} is now called {new}"
    ]
    caplog.clear()
    monkeypatch.setenv(f"COFI_{old.upper()}", text)
    assert load_settings() == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"environment (COFI_<NAME>): the setting {old} is now called {new}"
    ]


def test_the_new_name_counts_more_than_the_old_one_of_the_same_source(monkeypatch) -> None:
    assert load_settings(["n_factors=5", "n_features=4"]).n_factors == 5
    monkeypatch.setenv("COFI_N_FACTORS", "6")
    assert load_settings().n_factors == 6
    assert load_settings(["n_features=4"]).n_factors == 4, "an override, though by its old name"


def test_an_old_record_is_read_without_a_warning_and_the_environment(monkeypatch, caplog) -> None:
    monkeypatch.setenv("COFI_RECENCY", "2")
    found = from_record({"n_features": 4, "held_out_share": 0.3, "rating_epochs": 7})
    assert found == Settings(n_factors=4, test_share=0.3)
    assert not caplog.records


# ---- what somebody set


def test_what_the_environment_and_the_overrides_name_is_explicit(monkeypatch) -> None:
    monkeypatch.delenv(WITHOUT_SEARCH)
    assert load_settings().explicit == set()
    monkeypatch.setenv("COFI_SEED", "0")  # its default
    assert load_settings(["top_n=20", "n_features=64"]).explicit == {"seed", "top_n", "n_factors"}


def test_tuned_values_fill_up_what_is_not_explicit_and_do_not_become_explicit(monkeypatch) -> None:
    monkeypatch.delenv(WITHOUT_SEARCH)
    chosen = load_settings(["n_factors=64"])
    tuned = chosen.with_tuned({"n_factors": 8, "recency": 0.25})
    assert (tuned.n_factors, tuned.recency) == (64, 0.25)
    assert tuned.explicit == {"n_factors"}
