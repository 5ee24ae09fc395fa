"""Types of ids: a few odd ids among whole numbers do not make all ids text."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.ingestion.id_types import MOST_ODD, IdCounts, id_types
from cofi_jobs.store.store import Store
from tests.support.ingestion import HEADER, counts, drop, ingest, refused, taken

MANY = "".join(f"{row},{row % 7},{1 + row % 5},1000000000\n" for row in range(1, 101))
REASON = "is not an integer like the others (id_type=string accepts it)"


@pytest.mark.parametrize("name", ["a.csv", "quoted.csv"])  # a plain file, and one read as text
@pytest.mark.parametrize("odd", ["anna", "007", "1.5", "9223372036854775808", "-", "１"])
def test_an_odd_id_of_the_first_night_is_rejected_and_named(
    odd: str, name: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    body = MANY if name == "a.csv" else MANY.replace("1,1,2,", '"1",1,2,', 1)
    drop(store, name, f"{HEADER}{body}{odd},3,4,1000000000\n")
    with caplog.at_level(logging.WARNING):
        outcome = ingest(store)
    assert outcome["id_types"] == {"user_id": "integer", "item_id": "integer"}
    assert counts(outcome) == (101, 100, 1)
    assert refused(store) == [(f"user_id {REASON}: {odd}", f"{odd},3,4,1000000000")]
    assert f"1 of 101 rows have a user_id that is no whole number, such as '{odd}'" in caplog.text
    assert "id_type=string" in caplog.text


def test_the_setting_that_the_reason_names_accepts_the_odd_id(store: Store) -> None:
    drop(store, "a.csv", f"{HEADER}{MANY}anna,3,4,1000000000\n")
    ingest(store)
    outcome = ingest(store, "night-1", "id_type=string")
    assert outcome["id_types"] == {"user_id": "string", "item_id": "string"}
    assert counts(outcome) == (101, 101, 0)
    assert taken(store)[-1] == ("anna", "3", 4.0, 1000000000)


def test_an_odd_id_in_one_of_several_files_and_text_items(store: Store) -> None:
    drop(store, "a.csv", HEADER + MANY)
    drop(store, "b.csv", HEADER + "anna,3,4,1\n4,film,4,1\n")
    drop(store, "c.csv", HEADER + "".join(f"{row},film-{row},4,1\n" for row in range(50)))
    outcome = ingest(store)
    assert outcome["id_types"] == {"user_id": "integer", "item_id": "string"}
    assert [counts(file) for file in outcome["files"]] == [(100, 100, 0), (2, 1, 1), (50, 50, 0)]
    assert {type(row[1]) for row in taken(store)} == {str}
    assert [reason for reason, _ in refused(store)] == [f"user_id {REASON}: anna"]


def test_the_odd_row_does_not_decide_the_scale(store: Store) -> None:
    drop(store, "a.csv", f"{HEADER}{MANY}anna,3,9,1000000000\n")
    assert ingest(store)["scale"] == [1, 5]


def test_ids_filled_up_with_zeros_stay_text(store: Store) -> None:
    drop(store, "a.csv", HEADER + "".join(f"{n},{n:03},{1 + n % 5},1\n" for n in range(90, 200)))
    outcome = ingest(store)
    assert outcome["id_types"] == {"user_id": "integer", "item_id": "string"}
    assert taken(store)[0] == (90, "090", 1.0, 1)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1)), max_size=4).map(
        lambda files: [(n, int(n * users), int(n * items)) for n, users, items in files]
    )
)
@settings(max_examples=60)
def test_a_column_is_integer_if_at_most_a_share_of_its_ids_is_not(
    files: list[tuple[int, int, int]],
) -> None:
    types = id_types(
        [
            IdCounts(n, {"user_id": users, "item_id": items}, {"user_id": "x", "item_id": "y"})
            for n, users, items in files
        ]
    )
    n_rows = sum(n for n, _, _ in files)
    for column, n_odd in (
        ("user_id", sum(users for _, users, _ in files)),
        ("item_id", sum(items for _, _, items in files)),
    ):
        assert (types[column] == "integer") == (n_odd <= MOST_ODD * n_rows)
