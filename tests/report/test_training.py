"""Which J a report draws."""

import numpy as np
import pandas as pd

from cofi_jobs.report.training import course

LOSSES = pd.DataFrame({"step": [1, 2, 3], "J": [9.0, 4.0, 7.0]})


def test_the_course_of_a_fit_is_j_of_the_fixed_users():
    drawn = course(LOSSES.assign(J_fixed_users=[8.0, np.nan, 6.0]))
    assert drawn[["step", "J"]].to_numpy().tolist() == [[1, 8], [3, 6]]


def test_runs_without_fixed_users_are_drawn_by_the_j_of_each_step():
    assert course(LOSSES)["J"].tolist() == [9, 4, 7], "a run of an older version"
    assert course(LOSSES.assign(J_fixed_users=None))["J"].tolist() == [9, 4, 7], "exact_users=false"
