"""Spark's ALS beside the job, where Spark is: alone (`$(VENV)-spark`) or with all peers.

What it found is written as it goes, should the process be stopped.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contest import FEATURES, THREADS, TOP_N, main

Options = Mapping[str, Any]
PENALTY = 0.05  # regParam; time does not depend on it


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
    main({"spark night": spark_night})
