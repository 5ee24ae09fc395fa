"""Benchmarks run, at a size that takes seconds, and measure what the project does."""

import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import night
from benchmarks.bad_files import KINDS
from benchmarks.ingest import COPY, summarize
from benchmarks.measure import Measured, measure
from benchmarks.memory import CHUNK, MOST_RATINGS, Size, peaks
from cofi_jobs.tasks.registry import TASKS
from tests.support.repository import ROOT


def test_the_benchmark_of_ingest_prints_and_keeps_each_step_of_each_size(tmp_path: Path) -> None:
    arguments = [
        "--sizes",
        "20000,40000",
        "--nightly",
        "2000",
        "--repeats",
        "1",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = json.loads((tmp_path / "ingest.json").read_text())
    steps = [COPY, "ingest, first", "normalize, first", "ingest, nightly", "normalize, nightly"]
    assert [(row["step"], row["ratings"]) for row in kept["steps"]] == [
        (s, n) for s in steps for n in (20_000, 40_000)
    ]
    assert all(row["seconds"] > 0 and row["peak_mb"] > 30 for row in kept["steps"])
    assert [row["to_copy"] for row in kept["steps"] if row["step"] == COPY] == [1, 1]
    assert kept["machine"]["cores"] >= 1
    assert all(step in done.stdout for step in steps)
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "store").exists()


def test_the_benchmark_between_two_nights_times_new_users_and_those_of_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.between_nights", "--items", "1000"],
        cwd=ROOT,
        env={**os.environ, "PEERS_VENV": "nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    for lists in ("a new user", "a user of the run"):
        assert re.search(rf"CoFi, {lists} +│ 1,000 +│ \d+\.\d +│ \d+\.\d", done.stdout)


def test_the_benchmark_of_bad_files_prints_each_kind_of_each_size() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bad_files", "--megabytes", "0.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(kind in done.stdout for kind in KINDS)


def test_memory_is_that_of_a_process_and_its_children() -> None:
    def holding(megabytes: int, then: str = "") -> list[str]:
        return [
            sys.executable,
            "-c",
            f"import time; x = b'x' * {megabytes * 10**6}\n{then}\ntime.sleep(0.3)",
        ]

    child = f"import subprocess, sys; subprocess.run({holding(150)!r})"
    alone, both = (measure(holding(100, then)).peak_mb for then in ("", child))
    assert 100 < alone < 140
    assert 250 < both < 320


def test_a_command_that_fails_is_an_error_with_what_it_wrote() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)exit code 3.*so bad"):
        measure([sys.executable, "-c", "print('so bad'); raise SystemExit(3)"])


def test_ratios_are_taken_within_a_repeat_and_growth_between_sizes() -> None:
    def measured(*seconds: float) -> list[Measured]:
        return [Measured(each, 10 * each) for each in seconds]

    rows = summarize({
        100: {COPY: measured(1, 2, 4), "ingest": measured(2, 3, 4)},
        1000: {COPY: measured(10, 20, 40), "ingest": measured(200, 300, 400)},
    })  # fmt: skip
    of = {(row["step"], row["ratings"]): row for row in rows}
    assert of["ingest", 100] == {
        "step": "ingest",
        "ratings": 100,
        "seconds": 3,
        "to_copy": 1.5,
        "peak_mb": 40,
        "growth": None,
    }
    assert of["ingest", 1000]["growth"] == pytest.approx(2)
    assert of[COPY, 1000]["growth"] == pytest.approx(1)


def test_a_night_takes_what_its_steps_take_and_grows_by_itself() -> None:
    def steps(factor: float) -> list[dict[str, Any]]:
        return [
            {
                "step": step,
                "night": which,
                "seconds": factor * seconds,
                "overhead": 1.0,
                "peak_mb": 100 * seconds,
                "formula_mb": 250,
            }
            for which, times in (("first", (1, 3)), ("nightly", (2, 2)))
            for step, seconds in zip(("ingest", "train"), times, strict=True)
        ]

    rows = night.summarize({1000: steps(10), 100: steps(1)})
    of = {(row["step"], row["ratings"], row["night"]): row for row in rows}
    assert len(of) == len(rows) == 12
    assert of["all", 100, "first"] == {
        "step": "all",
        "ratings": 100,
        "night": "first",
        "seconds": 4,
        "overhead": 2,
        "peak_mb": 300,
        "formula_mb": 250,
        "growth": None,
    }
    assert of["all", 1000, "nightly"]["growth"] == pytest.approx(1)
    assert of["train", 1000, "first"]["growth"] == pytest.approx(1)
    alone = night.tabulate(rows, [])
    assert alone.row_count == 6
    peers = [
        {"ratings": 100, "step": "train", "peer": "a", "seconds": 6.0, "ended": True},
        {"ratings": 1000, "step": "train", "peer": "a", "seconds": 1200.0, "ended": False},
    ]
    beside = night.tabulate(rows, peers)
    assert len(beside.columns) == len(alone.columns) + 3
    assert list(beside.columns[-1].cells) == ["", "", "0.50", "< 0.03", "", ""]
    assert list(beside.columns[-2].cells) == ["", "", "6.0", "> 1,200.0", "", ""]


def test_memory_is_bounded_where_steps_stream_and_grows_with_what_they_hold() -> None:
    size = Size(
        ratings=100_000_000,
        read=100_000_000,
        earlier=0,
        users=480_000,
        items=17_800,
        n_factors=64,
        threads=2,
        memory_limit_mb=3072,
    )
    of, more = (
        peaks(size),
        peaks(replace(size, ratings=2 * size.ratings, read=2 * size.read, users=2 * size.users)),
    )
    assert set(of) == set(TASKS)
    grow = {"ingest", "train"}  # normalize has its limit
    assert {step for step in of if more[step] > of[step]} == grow
    assert more["ingest"] - of["ingest"] < 1000
    threads = peaks(replace(size, threads=4))
    by_thread = {"ingest", "similar_items", "recommend", "evaluate", "report"}
    assert {step for step in of if threads[step] > of[step]} == by_thread
    assert (
        more["train"] - of["train"]
        > (12 * size.ratings + 4 * 4 * 2 * size.users * size.n_factors) / 1e6
    )
    assert importlib.import_module("cofi_jobs.model.shards").CHUNK == CHUNK
    assert importlib.import_module("cofi_jobs.tasks.first_settings").MOST_RATINGS == MOST_RATINGS


def test_a_peak_above_the_formula_by_more_than_a_fifth_is_named() -> None:
    def row(step: str, peak: float) -> dict[str, Any]:
        return {
            "step": step,
            "night": "first",
            "ratings": 1000,
            "peak_mb": peak,
            "formula_mb": 100.0,
        }

    [message] = night.exceeded([row("ingest", 119), row("train", 121), row("report", 50)])
    assert "train" in message
    assert "121 MB" in message
    assert "1.2 times the 100 MB" in message
