"""Durations as people say them, and beside the runs before."""

import pytest

from cofi_jobs.report.durations import durations
from cofi_jobs.report.nights import Night
from cofi_jobs.report.words import in_words, megabytes


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (4800, "1 h 20 min"),
        (None, ""),
    ],
)
def test_durations_in_words(seconds: float | None, words: str):
    assert in_words(seconds) == words


def test_a_task_is_shown_beside_the_last_run_in_which_it_succeeded():
    nights = [
        Night("1", {"train": {"seconds": 4.0, "peak_memory_mb": 900}}, None, True),
        Night("2", {}, None, False, "failed"),
        Night("3", {"ingest": {"seconds": 1.0}, "train": {"seconds": 8.0}}, None, False),
    ]
    ingest, train = durations(nights)
    assert (ingest.task, ingest.seconds, ingest.before, ingest.memory) == (
        "ingest",
        "1.0 s",
        "",
        "",
    )
    assert (train.seconds, train.before, train.share) == ("8.0 s", "4.0 s", 100.0)
    assert (ingest.share, megabytes(12_300)) == (12.5, "12.3 GB")
