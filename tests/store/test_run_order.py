"""Which run comes before which: as they began, whatever they are called."""

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.store.record_shapes import BegunRun
from cofi_jobs.store.run_order import RunOrder, with_begun, with_removed

KEYS = st.sampled_from(["test", "0", "2020-01-01T02-00-00.000000Z", "2026-01-01", "Z", "a.b"])


@given(st.lists(KEYS, unique=True), st.lists(KEYS))
@settings(max_examples=60)
def test_runs_come_as_they_began_and_others_after_them_by_their_text(
    begun: list[str], keys: list[str]
) -> None:
    order = RunOrder(begun)
    known = [key for key in begun if key in keys]
    assert order.in_order(keys) == known + sorted(set(keys) - set(begun))
    for key in keys:
        before, up_to = order.before(key, keys), order.up_to(key, keys)
        assert up_to == [*before, key] == order.in_order(keys)[: len(up_to)]
        assert not order.is_before(key, key)


def test_a_store_without_an_order_is_sorted_by_text_until_a_run_begins() -> None:
    older = {"test": True, "2026-02-01": True, "2026-01-01": False}
    assert RunOrder().in_order(older) == ["2026-01-01", "2026-02-01", "test"]
    runs = with_begun([], "2026-03-01", False, older)
    assert [run["key"] for run in runs] == [*sorted(older), "2026-03-01"]
    assert [run["key"] for run in runs if run.get("removed")] == ["2026-01-01"]


def test_what_an_older_version_began_in_between_comes_before_the_next_run() -> None:
    runs = with_begun([], "b", False, {})
    assert [run["key"] for run in with_begun(runs, "0", False, {"a": True, "b": True})] == [
        *("b", "a", "0")
    ]


def test_a_run_that_has_taken_nothing_begins_again_as_the_last() -> None:
    runs = with_begun(with_begun([], "failed", False, {}), "next", False, {})
    assert with_begun(runs, "failed", False, {}) == [{"key": "next"}, {"key": "failed"}]
    assert with_begun(runs, "failed", True, {}) == runs


def test_a_removed_run_that_begins_again_is_under_way_again() -> None:
    runs = cast(list[BegunRun], [{"key": "a", "of_a_newer_version": 1}, {"key": "b"}])
    removed = with_removed(runs, "a")
    assert removed == [{**runs[0], "removed": True}, runs[1]]
    assert with_begun(removed, "a", True, {}) == runs
    assert with_removed(runs, "unknown") == runs
