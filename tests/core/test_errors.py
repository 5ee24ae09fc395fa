"""Messages of errors: one sentence of bounded length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cofi_jobs.core.errors import LONGEST, DataError, QualityError, cut


@given(st.text(max_size=60), st.integers(20, 50))
def test_a_long_text_loses_its_middle(text: str, longest: int) -> None:
    shorter = cut(text, longest)
    assert len(shorter) == min(len(text), longest)
    assert shorter == text or (shorter[:8], shorter[-2:]) == (text[:8], text[-2:])


@pytest.mark.parametrize("error", [DataError("x" * 10**6), QualityError("x" * 10**6, {})])
def test_a_message_is_never_longer_than_a_page(error: Exception) -> None:
    assert len(str(error)) == LONGEST
