"""A sample of the attacks; `make torture` is the whole."""

import subprocess
import sys

import pytest

from cofi_jobs.tasks.registry import DECLARED
from tests.support.repository import ROOT
from torture.attack import compiler
from torture.story import STEPS
from torture.table import Result, Table

PARTS = "steps,readers,locks,fuzz,nights"  # buckets: tests/store/test_remote_kills.py
ATTACKS = (
    *("killed before a change", "killed in the middle of a write", "EIO", "the disk is full"),
    *("power cut", "reads while", "a rollback at once", "nights"),
    *("fuzzed: records", "fuzzed: rating files", "fuzzed: readers"),
)


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="there is no C compiler")
def test_a_sample_of_the_attacks_breaks_no_promise():
    done = subprocess.run(
        [sys.executable, "-m", "torture", "--short", "--only", PARTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    missing = [attack for attack in ATTACKS if attack not in done.stdout]
    assert missing == [], done.stdout


def test_every_task_is_attacked():
    """But deliver, which changes a database and no file."""
    attacked = {step.name for step in STEPS}
    assert set(DECLARED) - attacked == {"deliver"}


def test_the_table_counts_and_says_how_to_repeat_a_violation(capsys):
    table = Table(seed=7)
    table.add(Result("killed", "--case 'steps publish:kill:3:next'", 1, ("run n3 is lost",)))
    table.add(Result("killed", "--case 'steps publish:kill:4:next'", 1))
    assert table.print() == 1
    printed = capsys.readouterr().out
    assert "2" in printed
    assert "run n3 is lost" in printed
    assert "python -m torture --seed 7 --case 'steps publish:kill:3:next'" in printed
    assert Table().print() == 0
