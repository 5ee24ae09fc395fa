"""DataFrames on the terminal: what is aligned how, and what a missing value looks like."""

import pandas as pd
import pytest
from rich.console import Console

from cofi_jobs.cli.show.tables import blank_repeats, draw, interval, number, signed


def test_texts_are_on_the_left_numbers_on_the_right_and_missing_values_blank():
    frame = pd.DataFrame({"name": ["a", "long name"], "n": [1000, 2], "of": ["x", None]})
    console = Console(width=60, record=True)
    console.print(draw(frame, "Title", ("name", "of")))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0] == "Title"
    assert lines[2:3] + lines[4:6] == [
        " name           n   of",
        " a           1000   x",
        " long name      2",
    ]


def test_two_columns_may_have_the_same_heading():
    frame = pd.DataFrame([("a", 1, "b")], columns=["", "n", ""])
    console = Console(width=60, record=True)
    console.print(draw(frame, "T", ("",)))
    assert " a   1   b" in console.export_text()


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_number_is_said_to_be_none_and_a_missing_interval_is_blank(missing):
    assert (number(missing), signed(missing)) == ("none", "none")
    assert interval(missing, 1.0) == interval(0.0, missing) == ""
    assert (number(0.5), signed(0.5)) == ("0.5000", "+0.5000")
    assert interval(-0.5, 0.25, "+") == "-0.5000 to +0.2500"


def test_a_group_is_named_once():
    frame = pd.DataFrame({"a": ["x", "x", "y"], "b": [1, 2, 2]})
    assert blank_repeats(frame, "a", ["a"]).to_dict("list") == {"a": ["x", "", "y"], "b": [1, 2, 2]}
