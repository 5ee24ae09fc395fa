"""Which changes of a step are attacked."""

from torture.attack import Change
from torture.matrix import attackable, cases, different

MADE = [
    Change(number, kind, path, "", 0)
    for number, (kind, path) in enumerate(
        [
            ("create", "a"),
            *[("write", "a")] * 4,
            ("fsync", "a"),
            ("write", "b"),
            ("rename", "a"),
            ("fsync", "."),
            ("unlink", "c"),
        ],
        start=1,
    )
]


def numbers(changes: list[Change]) -> list[int]:
    return [change.number for change in changes]


def test_a_kill_is_tried_where_it_leaves_something_new():
    """Not after a sync, and of a row of writes only before the first and the last."""
    assert numbers(different(MADE, "kill")) == [1, 2, 5, 6, 8, 9]


def test_a_power_cut_is_tried_where_the_disk_has_something_new():
    assert numbers(different(MADE, "power")) == [1, 7, 10]
    assert numbers(different(MADE, "names")) == [1, 2, 7, 9, 10]


def test_an_error_is_tried_at_every_change_that_can_have_it():
    assert numbers(different(MADE, "EIO")) == [1, 2, 5, 6, 7, 8, 9, 10]
    assert numbers(different(MADE, "ENOSPC")) == [1, 2, 5, 6, 7, 8, 9]
    assert numbers(different(MADE, "tear")) == [2, 5, 7]
    assert len(attackable(MADE, "EIO")) == len(MADE)


def test_the_power_is_cut_once_all_is_done_too():
    tried = [*cases(MADE, "publish", "power", most=None, every_write=False, seed=0)]
    assert sorted(case.attack.at for case in tried) == [1, 7, 10, 11]
    assert tried[-1].then == "rest"
    assert len([*cases(MADE, "publish", "kill", most=2, every_write=False, seed=0)]) == 2
    assert len([*cases(MADE, "publish", "tear", most=None, every_write=True, seed=0)]) == 5
