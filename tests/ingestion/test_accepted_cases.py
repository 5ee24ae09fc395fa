"""What ingest accepts: each case of the table in docs/operating.md goes through ingest."""

import pytest

from cofi_jobs.store.store import Store
from tests.ingestion.accepted_cases import CASES, DOCUMENT, END, SETTINGS, START, Case, table
from tests.support.ingestion import drop, failure, ingest, taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.what}")
def test_ingest_does_with_each_case_what_the_table_says(case: Case, store: Store) -> None:
    drop(store, case.name, case.content)
    overrides = (*SETTINGS, *case.settings)
    if case.error:
        assert case.error in failure(store, "night-1", overrides)
        return
    outcome = ingest(store, "night-1", *overrides)
    assert taken(store) == list(case.taken)
    assert outcome["reasons"] == case.rejected
    assert outcome["rows_read"] == len(case.taken) + sum(case.rejected.values())


def test_the_table_in_the_document_is_that_of_the_cases() -> None:
    written = DOCUMENT.read_text().partition(START)[2].partition(END)[0]
    assert written == table(), "run: python -m tests.ingestion.accepted_cases"
