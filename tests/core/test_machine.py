"""Threads: as many as a task may have, in every library."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from cofi_jobs.core import machine


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_cores_are_those_of_the_affinity():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("300000 100000", 3),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("1600000 100000", 8),
    ],
)
def test_a_control_group_may_give_less(quota, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert machine.cores() == expected
    monkeypatch.setattr(machine, "QUOTA", Path("/nowhere/cpu.max"))
    assert machine.cores() == 8


def test_a_task_uses_as_many_threads_as_it_is_told_and_gives_them_back():
    before = machine.threads()
    with machine.limited(3):
        assert machine.threads() == 3
        with machine.limited(0):
            assert machine.threads() == machine.cores()
        assert machine.threads() == 3
    assert machine.threads() == before


@pytest.mark.parametrize(
    "first", ["with machine.limited(2): pass", "list(machine.in_parallel(abs, [1]))"]
)
def test_the_own_threads_are_the_only_ones(first):
    probe = f"""
import numpy
from tests.core.test_machine import blas_threads, machine
before = blas_threads()
{first}
print(before, blas_threads())
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=environment, check=True
    )
    assert ended.stdout == "{2} {1}\n"


def test_parallel_work_has_one_blas_thread_each_keeps_the_order_and_runs_little_ahead():
    begun = []

    def numbers():
        for number in range(50):
            begun.append(number)
            yield number

    with machine.limited(3):
        for place, result in enumerate(
            machine.in_parallel(lambda number: (number, blas_threads()), numbers())
        ):
            assert result == (place, {1})
            assert len(begun) <= place + 5
        assert place == 49


def test_parallel_work_has_as_many_threads_as_the_task():
    # With fewer they would wait for each other until the time is over.
    together = threading.Barrier(3, timeout=60)
    with machine.limited(3):
        assert sorted(machine.in_parallel(lambda _: together.wait(), range(3))) == [0, 1, 2]


def test_an_error_in_a_thread_is_raised():
    with machine.limited(2), pytest.raises(ZeroDivisionError):
        list(machine.in_parallel(lambda number: 1 // number, [2, 1, 0, 3]))
