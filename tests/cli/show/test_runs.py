"""The list of runs: failed ones too, whatever task failed, and in lines of bounded length."""

import re

import pytest

from cofi_jobs.cli.show.runs import LONGEST_REASON, runs
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import GOOD, drop


def fail(store: Store, task: str, run_key: str) -> None:
    with pytest.raises(CofiError):
        run_task(task, store, load_settings(), run_key)


def test_runs_that_failed_in_ingest_or_normalize_are_listed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = drop(store, "a.csv", "x" * 100_000 + "\n" + GOOD)
    fail(store, "ingest", "night-1")
    path.write_text(GOOD)
    drop(store, "a.csv", GOOD)
    run_task("ingest", store, load_settings(), "night-2")
    (store.catalogue / "movies.csv").write_text("movieId\n1\n")
    fail(store, "normalize", "night-2")
    runs(store, ["ingest", "normalize"])
    lines = capsys.readouterr().out.splitlines()
    for key, task in (("night-1", "ingest"), ("night-2", "normalize")):
        [note] = [line for line in lines if line.startswith(f"{key} failed in {task}: ")]
        assert re.search("found .*expected", note) or len(note) > LONGEST_REASON
        assert len(note) < LONGEST_REASON + 40
