"""Tasks on a store in a bucket are killed before each change of the bucket in turn."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs import read
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import lease
from cofi_jobs.store.objects import Objects
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.checkpoints import TABLE
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place
from tests.support.data import QUICK, tasteful_ratings
from tests.support.killed_training import FITS, kill_training
from tests.support.kills import die_before
from tests.support.processes import exit_code
from tests.support.remote import check_complete, elsewhere, published, put_store
from tests.support.tuning import prepared


def publish_and_die(address: str, step: int) -> None:
    die_before(step, [(Objects, name) for name in ("upload", "remove", "write")])
    run_task("publish", open_store(address), load_settings(QUICK), "n2")


def recommend_and_die(address: str, step: int) -> None:
    die_before(step, [(Objects, name) for name in ("upload", "remove", "write")])
    run_task("recommend", open_store(address), load_settings([*QUICK, "top_n=3"]), "n2")


def killed(work: Any, place: Place, step: int) -> bool:
    code = exit_code(work, place.address, step)
    assert code in (0, -signal.SIGKILL)
    if code:  # as if its time were over
        place.filesystem.rm_file(f"{place.address}/{lease.NAME}")
    return code != 0


@pytest.mark.slow
def test_publish_killed_anywhere_leaves_yesterdays_run_or_todays(s3: Place, one_to_publish: Store):
    put_store(s3, one_to_publish)
    step, seen = 1, set()
    while killed(publish_and_die, s3, step):
        key = published(s3)["run_key"]
        seen.add(key)
        check_complete(s3, "n1")
        check_complete(s3, key)
        assert len(read.current_run(s3.address).popular_items())
        step += 1
    assert seen == {"n1", "n2"}
    assert published(s3)["run_key"] == "n2"
    check_complete(s3, "n2")


@pytest.mark.slow
def test_a_task_done_anew_and_killed_never_counts_by_halves(s3: Place, one_to_publish: Store):
    put_store(s3, one_to_publish)
    before = s3.read("tasks/n2/recommend.json")
    table = {
        name: s3.read(name) for name in s3.names() if name.startswith("runs/n2/recommendations/")
    }
    step = 1
    while killed(recommend_and_die, s3, step):
        if "tasks/n2/recommend.json" in s3.names() and s3.read("tasks/n2/recommend.json") == before:
            assert {name: s3.read(name) for name in table} == table, "what counts is as it was"
        step += 1
    assert step > 4
    assert json.loads(s3.read("tasks/n2/recommend.json"))["settings"]["top_n"] == 3
    assert "tasks/n2/evaluate.json" not in s3.names(), "what was made from it is out of date"


class Killed(BaseException):
    """As if the process were killed: nothing is caught or tidied up on its way."""


@pytest.mark.slow
def test_an_erasure_killed_anywhere_is_done_when_it_is_run_again(
    s3: Place, quick: Settings, one_published: Store, environment: Any
):
    put_store(s3, one_published)
    saved = s3.contents()
    step, steps = -2, [0]
    while steps[0] >= 0:
        step += 3  # `make torture` kills before each of them
        steps[0] = step
        left = s3.contents()
        for name in left.keys() - saved.keys():
            s3.filesystem.rm_file(f"{s3.address}/{name}")
        s3.put_all(dict(saved.items() - left.items()))
        with environment.context() as patched:
            for method in ("upload", "remove", "write"):
                patched.setattr(Objects, method, dying(getattr(Objects, method), steps))
            try:
                erase(open_store(s3.address), quick, ["13"], now=True)
            except Killed:
                steps[0] = 0
            else:
                steps[0] = -1
        if any(tomb["pending"] == [] for tomb in open_store(s3.address).records.tombstones()):
            assert look(open_store(s3.address), quick, ["13"]).remaining == [], "done is done"
        assert erase(open_store(s3.address), quick, ["13"], now=True).remaining == []
    assert step > 12
    check_complete(s3, "n1")


def dying(original: Any, left: list[int]) -> Any:
    """A method of `Objects` that is the last thing to happen in a process; the lease aside."""

    def change(objects: Objects, *arguments: Any) -> Any:
        if arguments[0] != lease.NAME:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return original(objects, *arguments)

    return change


@pytest.mark.slow
def test_killed_training_goes_on_at_another_worker(
    place: Place,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put_store(place, prepared(tmp_path / "prepared", tasteful_ratings()))
    kill_training(place.address, "n1", 11)
    place.filesystem.rm_file(f"{place.address}/{lease.NAME}")  # as if its time were over
    assert [name for name in place.names() if name.startswith(f"runs/n1/{TABLE}/")]
    caplog.set_level("INFO")
    run_task("train", elsewhere(place, environment, tmp_path), load_settings(FITS), "n1")
    assert "ranking model: going on after step 3" in caplog.text
    assert not [name for name in place.names() if f"/{TABLE}/" in name], "no state is left there"
    assert "tasks/n1/train.json" in place.names()
