"""Settings that are lists: what their text means."""

import pytest

from cofi_jobs.settings.lists import numbers, texts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ("", ()),
        (" , ", ()),
        ("user", ("user",)),
        (" Kunden-Nr , user id ,", ("Kunden-Nr", "user id")),
        ('"Name, Vorname",user', ("Name, Vorname", "user")),
        ("a\nb", ("a", "b")),
    ],
)
def test_texts_are_separated_by_commas(value: str | None, expected: tuple[str, ...]) -> None:
    assert texts(value) == expected


def test_numbers_are_separated_by_commas() -> None:
    assert numbers("0, -1,99.5,+2") == (0, -1, 99.5, 2)
    assert numbers(None) == ()
