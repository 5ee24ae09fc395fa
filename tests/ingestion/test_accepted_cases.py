"""What ingest accepts: each case of the table in docs/operating.md goes through ingest."""

from collections.abc import Mapping

import pytest

from cofi_jobs.store.store import Store
from tests.ingestion.accepted.case import SETTINGS, Case
from tests.ingestion.accepted.table import KINDS, table, written
from tests.support.ingestion import drop, failure, ingest, taken


def lay(store: Store, case: Case) -> None:
    """The case's file or folder in the landing folder."""
    if not isinstance(case.content, Mapping):
        drop(store, case.name, case.content)
        return
    for name, content in case.content.items():
        (store.landing / case.name / name).parent.mkdir(parents=True, exist_ok=True)
        drop(store, f"{case.name}/{name}", content)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{kind}: {case.what} {' '.join(case.settings)}")
        for kind, cases in KINDS.items()
        for case in cases
    ],
)
def test_ingest_does_with_each_case_what_the_table_says(case: Case, store: Store) -> None:
    lay(store, case)
    overrides = (*SETTINGS, *case.settings)
    if case.error:
        assert case.error in failure(store, "night-1", overrides)
        return
    outcome = ingest(store, "night-1", *overrides)
    assert taken(store) == list(case.taken)
    assert outcome["reasons"] == case.rejected
    assert outcome["rows_read"] == len(case.taken) + sum(case.rejected.values())


def test_the_table_in_the_document_is_that_of_the_cases() -> None:
    assert written() == table(), "run: python -m tests.ingestion.accepted"
