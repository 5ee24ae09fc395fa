"""Spark's ALS beside the job, where Spark is: alone (`$(VENV)-spark`) or with all peers.

What it measured is written as it goes, should the process be stopped.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contest import FEATURES, THREADS, TOP_N, main, peak_mb

Options = Mapping[str, Any]
PENALTY = 0.05  # regParam; time does not depend on it
FEW, MANY = 1, 5  # iterations of two fits; their difference is that of iterations alone


def spark_night(data: Path, output: Path, options: Options) -> None:
    """ALS on a CSV of ratings, all users' lists to Parquet; seconds as each part ends."""
    from pyspark.ml.recommendation import ALS

    start, ends = time.perf_counter(), {}

    def ended(step: str) -> None:
        ends[step] = time.perf_counter() - start
        _keep(output / "ends.json", ends)

    _keep(output / "ends.json", ends)
    spark = session(THREADS, "14g", {"spark.local.dir": str(output)})
    schema = "user int, item int, rating float, time string"
    ratings = spark.read.csv(str(data), schema=schema, header=True).drop("time").dropna().cache()
    ratings.count()
    ended("read")
    als = ALS(
        rank=FEATURES, userCol="user", itemCol="item", ratingCol="rating", regParam=PENALTY, seed=0
    )
    factors = als.fit(ratings)
    factors.userFactors.count()
    ended("train")
    factors.recommendForAllUsers(TOP_N).write.parquet(str(output / "lists"))
    ended("recommend")
    spark.stop()


def spark_growth(data: Path, output: Path, options: Options) -> None:
    """ALS on a run's ratings: seconds until they are read, of a fit, of an iteration; memory.

    The fit is the process's first, as a night's is. Those for the iteration come after it.
    """
    from pyspark.ml.recommendation import ALS

    start, figures = time.perf_counter(), {}
    n_threads, columns = options["threads"], ("user_index", "item_index", "rating")
    spark = session(
        n_threads,
        options["memory"],
        {"spark.local.dir": str(output), "spark.sql.shuffle.partitions": str(n_threads)},
    )
    java = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()

    def keep(name: str, seconds: float) -> None:
        figures.update({name: seconds, "java_mb": peak_mb(java)})
        _keep(output / "figures.json", figures)

    ratings = spark.read.parquet(str(data)).select(*columns).repartition(n_threads).cache()
    ratings.count()
    keep("ready", time.perf_counter() - start)

    def fit_seconds(iterations: int) -> float:
        als = ALS(
            rank=options["n_factors"],
            maxIter=iterations,
            regParam=PENALTY,
            seed=0,
            numUserBlocks=n_threads,
            numItemBlocks=n_threads,
            **dict(zip(("userCol", "itemCol", "ratingCol"), columns, strict=True)),
        )
        began = time.perf_counter()
        factors = als.fit(ratings)
        factors.userFactors.count(), factors.itemFactors.count()
        return time.perf_counter() - began

    keep("fit", fit_seconds(options["iterations"]))
    few, many = fit_seconds(FEW), fit_seconds(MANY)
    keep("iteration", (many - few) / (MANY - FEW))
    spark.stop()


def session(threads: int, memory: str, settings: Mapping[str, str]) -> Any:
    """A session of Spark in this process and its JVM, which may use so much memory."""
    from pyspark.sql import SparkSession

    fixed = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    return (
        SparkSession.builder.master(f"local[{threads}]")
        .config(map={**fixed, **settings})
        .getOrCreate()
    )


def _keep(path: Path, figures: Mapping[str, float]) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(figures))
    partial.rename(path)  # whole, should the process be stopped


if __name__ == "__main__":
    main({"spark night": spark_night, "spark growth": spark_growth})
