"""`make run`: a private Airflow home, rating files in the landing folder, a DAG run, a summary."""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from demo.airflow_home import AIRFLOW, ROOT, environment, prepare_database, tail
from demo.files import fill

LOG = ROOT / ".cofi" / "airflow.log"
# A line of Airflow's log that the job wrote: its level, text and module.
JOB_LINE = re.compile(
    r"\[(info|warning|error) +\] (.*?) *\[cofi_jobs\.(?:\w+\.)*(\w+)\].* loc=child_log\.py"
)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, action="append", default=[])
    parser.add_argument("--items", type=Path)
    arguments = parser.parse_args()
    started = time.monotonic()
    run(arguments.store.resolve(), arguments.ratings, arguments.items)
    python = Path(sys.executable)
    python = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    print(
        f"{time.monotonic() - started:.0f} seconds in all. Next: make demo-ui, or {python} -m "
        "cofi_jobs --help"
    )


def run(store: Path, ratings: list[Path], items: Path | None) -> None:
    """Run the DAG on the files, show what it logs, then a summary. Exits if the run fails."""
    airflow = environment(store)
    new = fill(store, ratings, items)
    prepare_database(airflow, LOG)
    print(f"running the DAG cofi_nightly; Airflow's log: {LOG}")
    command = [*AIRFLOW, "dags", "test", "cofi_nightly"]
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            command, env=airflow, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        explained = False
        for line in process.stdout:
            log.write(line)
            if shown := job_line(line):
                print(f"  {shown}")
                explained = shown.startswith("error: ")
    if process.returncode:
        for copy in new:  # a file that cannot be used must not fail the next run too
            copy.unlink()
        last_lines = "" if explained else f", its last lines are\n{tail(LOG, 15)}"
        sys.exit(f"the DAG run failed; its log is {LOG}{last_lines}")
    subprocess.run(
        [sys.executable, "-m", "cofi_jobs", "summary", "--store", store], env=airflow, check=True
    )


def job_line(line: str) -> str | None:
    """What a line of Airflow's log is worth showing: the job's records, and why a task failed."""
    match = JOB_LINE.search(line)
    if match is None:
        return None
    level, text, module = match.groups()
    if module == "child_log":  # no record of the job
        return f"error: {text}" if level == "error" else None
    return f"{module}: {text}"


if __name__ == "__main__":
    main()
