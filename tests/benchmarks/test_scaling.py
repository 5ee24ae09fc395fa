"""The growth of `train`: steps of a size that there is, and Spark beside it as far as it came."""

from dataclasses import replace

import pytest

from benchmarks import contest, scaling, spark_growth
from benchmarks.fit_steps import FitSteps
from benchmarks.scaling import Row, step_sizes, tabulate
from benchmarks.spark_growth import SparkFit

STEPS = FitSteps(ready=1, step=0.5, rows=2, task_mb=1000, worker_mb=0)
LOCAL = Row(1000, 20, "local", 0, 10.0, 1200, 0.0, 0.0, {100: STEPS, 600: replace(STEPS, step=1)})
SPARK = SparkFit(1000, 20, 2, 60.0, ready=5.0, fit=15.0, iteration=1.25, java_mb=900)


@pytest.mark.parametrize("n", [1, 16_384, 298_500, 597_000, 9_950_000, 99_500_000])
def test_a_step_is_as_large_as_by_default_or_about_six_times_and_rounds_are_whole(n: int) -> None:
    usual, large = step_sizes(n)
    assert usual == min(n, -(-n // max(1, min(100, -(-n // 16_384)))))
    assert usual <= large <= min(n, 12 * usual)
    assert n == 99_500_000 or large <= 700_000
    for size in (usual, large):
        n_steps = -(-n // size)
        assert n <= n_steps * size < n + n_steps


def test_a_round_is_as_many_usual_steps_as_use_all_ratings_once() -> None:
    assert LOCAL.round_seconds == pytest.approx(10 * 0.5)


def test_spark_comes_last_among_those_of_its_size_beside_one_process() -> None:
    worker = replace(LOCAL, way="1 worker", workers=1, seconds=15.0)
    other = replace(LOCAL, items=30)
    table = tabulate([LOCAL, worker, other], [SPARK, replace(SPARK, items=30, threads=1)])
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells["way"] == ["local", "1 worker", "Spark, 2 threads", "local", "Spark, 1 thread"]
    assert cells["train s"] == ["10.0", "15.0", "20.0", "10.0", "20.0"]
    assert list(table.columns[4].cells) == ["1.00", "1.50", "2.00", "1.00", "2.00"]
    assert cells["round s"][:3] == ["5.0", "5.0", "1.2"]
    assert cells["train MB"][:3] == ["1200", "1200", "900"]


def test_spark_that_was_stopped_took_more_than_its_limit() -> None:
    while_reading = SparkFit(1000, 20, 1, 60.0, ready=None, fit=None, iteration=None, java_mb=None)
    while_fitting = replace(while_reading, ready=5.0, java_mb=900)
    for spark, ready in ((while_reading, ""), (while_fitting, "5.0")):
        assert spark.seconds == 60
        assert spark.cells(10)[3:6] == ["> 60.0", "> 6.00", ready]
        assert len(spark.cells(10)) == len(tabulate([LOCAL], []).columns)
    assert replace(SPARK, iteration=None).cells(10)[3] == "20.0"  # the fit itself had ended


def test_what_spark_lacks_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(contest, "PEERS", contest.ROOT / "nowhere" / "python")
    assert spark_growth.missing() == "there is no nowhere/python"
    (tmp_path / "python").touch()
    monkeypatch.setattr(contest, "PEERS", tmp_path / "python")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert spark_growth.missing() == "there is no Java"


def test_what_is_exchanged_in_a_step_grows_with_workers_and_items() -> None:
    assert scaling.bytes_a_step(99, 0) == 0
    assert scaling.bytes_a_step(99, 2) == 2 * scaling.bytes_a_step(99, 1) == 4 * 4 * 64 * 100
