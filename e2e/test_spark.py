"""Spark reads the outputs: the documents' code, in its own environment, by its strict reader."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night

ROOT = Path(__file__).parents[1]
SPARK = ROOT / os.environ["SPARK_VENV"] / "bin" / "python"
START = """
import os
from pyspark.sql import SparkSession
spark = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
"""
EVERY_TABLE = """
from pathlib import Path
for path in sorted(Path("STORE/RUN").rglob("*.parquet")):
    print("rows", path.relative_to("STORE/RUN"), len(spark.read.parquet(str(path)).collect()))
"""


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs" / "outputs.md").read_text()
    return re.findall(rf"```{language} spark\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("kind", ["integer", "string"])
def test_spark_reads_every_file_and_the_documents_code_runs(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path / "store").create()
    ratings = random_ratings()
    ratings.loc[ratings["userId"] == 10, "userId"] = 42
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(store, load_settings([*QUICK, f"id_type={kind}"]), "n1")
    [code], [sql] = blocks("python"), blocks("sql")
    statements = [statement.strip() for statement in sql.split(";") if statement.strip()]
    program = START + code + 'print("one", [int(user) for user in one["user_id"]])\n'
    program += f"for statement in {statements!r}:\n    found = spark.sql(statement)\n"
    program += 'print("sql", [int(row["user_id"]) for row in found.collect()])\n' + EVERY_TABLE
    program = program.replace("STORE", str(store.root)).replace("RUN", "runs/n1")
    done = subprocess.run(
        [SPARK, "-c", program], capture_output=True, text=True, timeout=280, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"one {[42] * 5}" in lines
    assert f"sql {[42] * 5}" in lines
    manifest = store.manifest("n1")
    assert manifest is not None
    for file in manifest["files"]:
        assert f"rows {file['path']} {file['rows']}" in lines
