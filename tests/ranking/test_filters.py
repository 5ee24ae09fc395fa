"""Which items may be shown, and their groups."""

import logging

import pyarrow as pa
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.ranking.filters import allowed_items, first_groups
from cofi_jobs.store.item_lists import read_item_lists


def test_the_first_group_counts():
    groups = pa.chunked_array([["Drama|Action", "Action", None], ["", " Drama ", "Drama"]])
    codes = first_groups(groups)
    assert codes[[2, 3]].tolist() == [-1, -1]
    assert codes[0] == codes[4] == codes[5] != codes[1]
    assert (first_groups(pa.chunked_array([[None, None]], pa.string())) == -1).all()


@pytest.mark.parametrize("ids", [pa.array([1, 2, 3, 4]), pa.array(["1", "2", "3", "4"])])
def test_allow_and_deny(store, ids, caplog):
    assert allowed_items(ids, read_item_lists(store)).all()
    (store.item_lists / "deny.txt").write_text("2\n7\n8\n9\n10\n")
    with caplog.at_level(logging.WARNING):
        assert allowed_items(ids, read_item_lists(store)).tolist() == [True, False, True, True]
    assert "deny.txt: 4 of 5 ids are no item: 7, 8, 9" in caplog.text
    (store.item_lists / "allow.txt").write_text("1\n2\n")
    assert allowed_items(ids, read_item_lists(store)).tolist() == [True, False, False, False]
    (store.item_lists / "allow.txt").write_text("2\n")
    with pytest.raises(DataError, match=r"no item that may be shown after .*deny\.txt \(5 ids\)"):
        allowed_items(ids, read_item_lists(store))
    for text in ("", "99\n"):
        (store.item_lists / "allow.txt").write_text(text)
        with pytest.raises(
            DataError,
            match=r"after .*allow\.txt \(\d ids\); expected the id of an item, or no file",
        ):
            allowed_items(ids, read_item_lists(store))
