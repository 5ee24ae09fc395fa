"""Lines of a child become records with the level and the logger that they had in the child."""

import logging

import pytest

from cofi_jobs.airflow_integration.child_log import ChildLog

OURS = "cofi_jobs.airflow_integration.child_log"


@pytest.mark.parametrize(
    ("lines", "records"),
    [
        (
            ["INFO cofi_jobs.tasks.train: 12 users", "WARNING cofi_jobs.tasks.ingest: 3: rejected"],
            [
                ("cofi_jobs.tasks.train", "INFO", "12 users"),
                ("cofi_jobs.tasks.ingest", "WARNING", "3: rejected"),
            ],
        ),
        (
            ["ERROR cofi_jobs.a: SELECT", "  100 %s", "INFO cofi_jobs.b: next"],
            [
                ("cofi_jobs.a", "ERROR", "SELECT"),
                ("cofi_jobs.a", "ERROR", "  100 %s"),
                ("cofi_jobs.b", "INFO", "next"),
            ],
        ),
        (
            ["a library's line", "INFO cofi_jobs.a: one", "error: found no ratings"],
            [
                (OURS, "INFO", "a library's line"),
                ("cofi_jobs.a", "INFO", "one"),
                (OURS, "ERROR", "found no ratings"),
            ],
        ),
        (
            ["Traceback (most recent call last):", "  File"],
            [(OURS, "ERROR", "Traceback (most recent call last):"), (OURS, "ERROR", "  File")],
        ),
        (
            ["WARNING cofi_jobs.tasks.evaluate: few users", "│ ndcg@10 │ 0.1 │"],
            [
                ("cofi_jobs.tasks.evaluate", "WARNING", "few users"),
                (OURS, "INFO", "│ ndcg@10 │ 0.1 │"),
            ],
        ),
        (["INFORMATION is: no level"], [(OURS, "INFO", "INFORMATION is: no level")]),
    ],
)
def test_records(
    caplog: pytest.LogCaptureFixture, lines: list[str], records: list[tuple[str, str, str]]
) -> None:
    caplog.set_level(logging.DEBUG)
    take = ChildLog()
    for line in lines:
        take(line)
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == records
