"""The files lists/allow.txt and lists/deny.txt."""

import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.item_list import ItemList
from cofi_jobs.store.item_lists import read_item_lists


def test_a_list_file_is_read_as_people_write_it(store):
    assert read_item_lists(store) == []
    file = store.item_lists / "deny.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# withdrawn\r\n12\r\n\r\n  13  # again\r\nA#1 b\n#14\n\xc3\xa9t\xc3\xa9"
    )
    assert read_item_lists(store) == [ItemList(str(file), ["12", "13", "A#1 b", "été"], False)]
    file.write_bytes(b"17.0\nanna\t# a comment\nanna\t\n\xc2\xa0bert \r\n")
    [items] = read_item_lists(store)
    assert items.ids == ["17", "anna", "anna\t", "bert"]  # as ingest cleans ids
    file.write_bytes(b"\xff\xfe1\x002\x00")
    with pytest.raises(
        DataError, match=r"deny\.txt is not UTF-8 text.*expected one item id a line"
    ):
        read_item_lists(store)
