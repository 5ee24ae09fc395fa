"""Conditional writes against servers of both APIs."""

import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.store import conditional
from cofi_jobs.store.objects import ConflictError, Objects
from tests.support.buckets import Place

NAMES = ["record.json", "folder/a b?&=ü%20.json"]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_written_if_it_has_the_version_expected(place: Place, name: str) -> None:
    objects = Objects(place.address, place.options)
    first = objects.write(name, b"1", None)
    assert objects.read(name) == (b"1", first)
    second = objects.write(name, b"2", first)
    assert first != second
    assert objects.read(name) == (b"2", second)
    for outdated in (None, first):
        with pytest.raises(ConflictError):
            objects.write(name, b"3", outdated)
    assert objects.read(name) == (b"2", second)


def test_an_object_that_is_gone_is_not_as_expected(place: Place) -> None:
    objects = Objects(place.address, place.options)
    version = objects.write("record.json", b"1", None)
    objects.remove(["record.json"])
    with pytest.raises(ConflictError):
        objects.write("record.json", b"2", version)
    assert objects.read("record.json") is None


def test_a_write_whose_answer_was_lost_counts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client tried again, and finds what it has written itself."""
    objects, write = Objects(place.address, place.options), conditional.write

    def twice(*arguments: object) -> str:
        write(*arguments)  # type: ignore[arg-type]
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(conditional, "write", twice)
    version = objects.write("record.json", b"1", None)
    assert objects.read("record.json") == (b"1", version)


def test_a_bucket_that_is_missing_is_named(place: Place) -> None:
    scheme = place.address.partition("://")[0]
    objects = Objects(f"{scheme}://no-such-bucket/folder", place.options)
    with pytest.raises(DataError, match="found no such bucket or folder"):
        objects.write("record.json", b"1", None)
