"""Two nodes of Ray on this machine: calls, losses of workers, and tasks as on one machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import ray
from ray.cluster_utils import Cluster

from cofi_jobs.core import machine
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.engine import on_ray
from cofi_jobs.engine.ray_workers import RayWorkers, workers_and_cpus
from cofi_jobs.ingestion import staged_on_engine
from cofi_jobs.ingestion.batch import NewFile
from cofi_jobs.ingestion.staged_here import StagedHere
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import current_on_engine
from cofi_jobs.tasks.checkpoints import StoredCheckpoint
from cofi_jobs.tasks.erase import erase
from cofi_jobs.tasks.runner import run_task
from cofi_jobs.tuning.study import best, open_study
from tests.support.data import tasteful_ratings, write_ratings
from tests.support.learned import losses_of, share_in_both, top_10
from tests.support.ray_cluster import cluster_of
from tests.support.ray_numbers import Numbers, pairs
from tests.support.repository import ROOT
from tests.support.staged import drop_files, taken_with

SMALL = ["n_factors=8", "ratings_per_step=1500", "rating_steps=10", "ranking_steps=10"]
FORCED = [*SMALL, "force_publish=true"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of(2) as cluster:
        yield cluster


def on(cluster: Cluster, *changes: str) -> Settings:
    return load_settings(["engine=ray", f"ray_address={cluster.address}", *changes])


def test_calls_reach_each_worker_and_a_lost_one_is_made_again(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    threads = machine.cores() + 1  # those of the setting, not all that there are
    settings = on(cluster, "ray_workers=3", f"threads={threads}")
    with on_ray.workers_for(settings, pairs, Numbers) as workers:
        assert workers.each("threads") == [threads] * 3
        pids = workers.each("pid")
        shared, more = workers.share(10), [0, 5, 0]
        products = [list(part) for part in workers.each("times", shared, parts=more)]
        assert products == [[10, 20], [35, 45], [50, 60]]
        assert list(workers.total("times", shared, parts=more)) == [95, 125]
        with pytest.raises(DataError, match=r"^found a number, expected none$"):
            workers.each("fail")
        os.kill(pids[1], signal.SIGKILL)
        assert list(workers.total("times", shared, parts=more)) == [95, 125]
        pids[1] = workers.each("pid")[1]
    _, alive_still = psutil.wait_procs([process for pid in pids for process in alive(pid)], 120)
    assert not alive_still, "a worker is left behind"
    assert "INFO numbers: made with" in capfd.readouterr().err


def alive(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid)] if psutil.pid_exists(pid) else []


def test_the_workers_of_a_killed_task_end(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    code = f"from tests.support.ray_numbers import hold; hold({cluster.address!r}, {str(file)!r})"
    task = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while not file.exists():
            assert task.poll() is None, "the task ended"
            time.sleep(0.2)
    finally:
        task.kill()
    task.wait()
    workers = [process for pid in file.read_text().split() for process in alive(int(pid))]
    assert not psutil.wait_procs(workers, 120)[1]


def test_results_are_in_the_order_of_the_items_and_what_is_lost_is_done_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    lost = tmp_path / "lost"

    def work(item: int) -> int:
        if item == 3 and not lost.exists():
            lost.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 9:
            raise DataError("found a nine, expected none")
        return 10 * item

    results = on_ray.in_parallel(on(cluster), work, range(12))
    assert [next(results) for _ in range(9)] == list(range(0, 90, 10))
    assert lost.exists()
    with pytest.raises(DataError, match=r"^found a nine, expected none$"):
        next(results)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store")).create()
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    for task in ("ingest", "normalize", "train"):
        run_task(task, store, load_settings(SMALL), "n1")
    return store


@pytest.fixture
def two_nodes_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are worth a cluster, and what is written of them is sent in pieces."""
    monkeypatch.setattr(staged_on_engine, "LEAST_BYTES", 0)
    monkeypatch.setattr(staged_on_engine, "PIECE", 5000)


@pytest.mark.usefixtures("two_nodes_judge")
def test_ingest_on_two_nodes_is_that_of_one_machine_also_if_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, judge = Store(tmp_path / "store").create(), staged_on_engine.judge
    for night in (1, 2):
        run_key, lost = f"n{night}", tmp_path / f"lost{night}"

        def dying(
            *arguments: Any, lost: Path = lost, name: str = f"{night}-ms.csv"
        ) -> Iterator[Any]:
            for n, result in enumerate(judge(*arguments)):
                if n == 2 and arguments[2].name == name and not lost.exists():
                    lost.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield result

        drop_files(store, night, texts_as_ids=True)
        here = taken_with(store, run_key, load_settings(["max_rejected=1"]))
        with monkeypatch.context() as patched:
            patched.setattr(staged_on_engine, "judge", dying)
            there = taken_with(store, run_key, on(cluster, "max_rejected=1"))
        assert lost.exists()
        assert there == here
        assert ("erased" in here[0]["reasons"]) == (night == 2)
        if night == 1:
            erase(store, load_settings(), ["13"])


@pytest.mark.usefixtures("two_nodes_judge")
def test_a_file_that_no_node_has_is_taken_all_the_same(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store").create()
    drop_files(store, 1, texts_as_ids=False)
    here = taken_with(store, "n1", load_settings(["max_rejected=1"]))
    judge, stage_file, judged_here = staged_on_engine.judge, StagedHere.stage_file, set()

    def without(settings: Any, erased: Any, file: NewFile, *others: Any) -> Iterator[Any]:
        if file.name == "1.jsonl":
            file = replace(file, path=file.path.with_name("only-the-task-has-it"))
        yield from judge(settings, erased, file, *others)

    def noting(self: StagedHere, file: NewFile, *others: Any) -> None:
        judged_here.add(file.name)
        stage_file(self, file, *others)

    monkeypatch.setattr(staged_on_engine, "judge", without)
    monkeypatch.setattr(StagedHere, "stage_file", noting)
    assert taken_with(store, "n1", on(cluster, "max_rejected=1")) == here
    assert judged_here == {"1.jsonl"}


@pytest.mark.usefixtures("two_nodes_judge")
def test_an_error_of_ingest_is_that_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    drop_files(store, 1, texts_as_ids=False)
    (store.landing / "1.parquet").write_bytes(b"PAR1 is all")
    messages = []
    for settings in (load_settings(), on(cluster)):
        with pytest.raises(DataError) as caught:
            run_task("ingest", store, settings, "n1")
        messages.append(str(caught.value))
    assert "1.parquet" in messages[0]
    assert messages[1] == messages[0]
    assert not store.batches()


def test_normalize_on_two_nodes_is_that_of_one_machine_also_if_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lost = Store(tmp_path / "store").create(), tmp_path / "lost"
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    run_task("ingest", store, load_settings(), "n1")
    newest_of_range = current_on_engine.newest_of_range

    def dying(*arguments: Any) -> Any:
        if not lost.exists():
            lost.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return newest_of_range(*arguments)

    monkeypatch.setattr(current_on_engine, "ROWS_AT_ONCE", 500)
    monkeypatch.setattr(current_on_engine, "newest_of_range", dying)
    tables = []
    for settings in (load_settings(), on(cluster)):
        run_task("normalize", store, settings, "n1")
        tables.append(pq.read_table(store.table("n1", "normalized/ratings.parquet")))
    assert lost.exists()
    assert len(tables[0]) > 1500
    assert tables[1].cast(tables[0].schema).equals(tables[0])


def test_train_on_two_nodes_is_that_of_one_machine_also_if_a_worker_and_then_the_task_is_lost(
    cluster: Cluster,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    local, losses = top_10(store), losses_of(store)
    calls, states = [], []
    total, save = RayWorkers.total, StoredCheckpoint.save

    def killing(self: RayWorkers, method: str, *common: Any, parts: Any = ()) -> Any:
        calls.append(method)
        if method == "step_sums" and calls.count("step_sums") == 5:
            os.kill(pid_of(self.actors[1]), signal.SIGKILL)
        return total(self, method, *common, parts=parts)

    def failing(self: StoredCheckpoint, state: Any) -> None:
        save(self, state)
        states.append(self.name)
        if len(states) == 14:  # the fourth of the ranking model
            raise RuntimeError("the task is lost")

    settings = on(cluster, *SMALL, "checkpoint_seconds=1e-9")
    with monkeypatch.context() as patched:
        patched.setattr(RayWorkers, "total", killing)
        patched.setattr(StoredCheckpoint, "save", failing)
        with pytest.raises(RuntimeError, match="the task is lost"):
            run_task("train", store, settings, "n1")
    assert calls.count("step_sums") > 10, "the worker was killed, and the fit went on"
    caplog.set_level("INFO")
    run_task("train", store, settings, "n1")
    assert "rating model: going on after step 10" in caplog.text
    assert "ranking model: going on after step 4" in caplog.text
    np.testing.assert_allclose(losses_of(store), losses, rtol=1e-4)
    assert share_in_both(local, top_10(store)) > 0.99


def test_trials_of_tuning_beside_each_other(cluster: Cluster, store: Store) -> None:
    quick = ["tune_minutes=0.02", *SMALL]
    run_task("tune", store, load_settings(quick), "n1")
    [journal] = store.studies.glob("n1.ranking.*")
    alone = values_of_trials(journal)
    for path in store.studies.iterdir():
        path.unlink()
    store.tuned_file.unlink(missing_ok=True)
    run_task("tune", store, on(cluster, *quick), "n1")
    beside = values_of_trials(journal)
    assert beside[0] == pytest.approx(alone[0], rel=1e-4), "the settings in use"
    assert len(beside) % 2 == 0
    assert len(set(beside)) == len(beside)


def values_of_trials(journal: Path) -> list[float]:
    trials = best(open_study(journal, "maximize"))
    return [trial.value for trial in sorted(trials, key=lambda t: t.number) if trial.value]


@pytest.mark.parametrize(
    ("task", "table", "changed", "value"),
    [
        ("similar_items", "similar_items", "similar_items.block_size", lambda _: 16),
        ("recommend", "recommendations", "recommend.block_size", lambda _: 16),
        ("evaluate", "evaluation", "run_split.RATINGS_AT_ONCE", 500),
    ],
)
def test_what_two_nodes_make_in_blocks_is_what_one_machine_makes(
    cluster: Cluster,
    store: Store,
    task: str,
    table: str,
    changed: str,
    value: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"cofi_jobs.tasks.{changed}", value)
    for needed in ("similar_items", "recommend") if task == "evaluate" else ():
        run_task(needed, store, load_settings(SMALL), "n1")
    tables = []
    for settings in (load_settings(FORCED), on(cluster, *FORCED)):
        run_task(task, store, settings, "n1")
        tables.append(pq.read_table(store.table("n1", table)))
    assert len(tables[0]) > 100
    assert tables[0].equals(tables[1])


def pid_of(actor: Any) -> int:
    return ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1", "no.such.host.invalid:6379"])
def test_an_address_without_a_cluster_is_an_error(address: str) -> None:
    with pytest.raises(SettingsError, match=f"ray_address: found no Ray cluster at {address}"):
        with on_ray.workers_for(
            load_settings(["engine=ray", f"ray_address={address}"]), pairs, Numbers
        ):
            pass


def test_a_connection_of_airflow_leads_to_its_cluster(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFI_RAY_CLUSTER", json.dumps({"address": cluster.address}))
    settings = load_settings(["engine=ray", "ray_address=connection:cluster", "ray_workers=3"])
    with on_ray.workers_for(settings, pairs, Numbers) as workers:
        assert list(workers.total("times", 1, 0)) == [9, 12]


def test_a_connection_that_airflow_has_not_looked_up_is_an_error() -> None:
    settings = load_settings(["engine=ray", "ray_address=connection:cluster"])
    with pytest.raises(SettingsError, match="connection:cluster, which only a task of Airflow"):
        next(on_ray.in_parallel(settings, str, [1]))


@pytest.mark.parametrize(
    ("n", "nodes", "expected"),
    [
        (0, [4, 4], (2, 4)),
        (0, [0, 4, 2], (2, 2)),  # a head without processors; the smaller node decides
        (4, [4, 4], (4, 2)),
        (3, [2, 2], (3, 1)),
        (4, [1, 1], (4, 0.5)),
    ],
)
def test_workers_share_the_processors_of_the_nodes(n, nodes, expected) -> None:
    assert workers_and_cpus(n, nodes) == expected


def test_a_cluster_without_processors_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no node with processors"):
        workers_and_cpus(0, [0.0])
