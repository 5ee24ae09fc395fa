"""The same attacks on a store in a bucket: before each request that changes the bucket."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from cofi_jobs import read
from cofi_jobs.core.errors import CofiError
from cofi_jobs.store import layout, lease
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import look
from tests.support import buckets
from tests.support.buckets import Place
from tests.support.remote import check_complete, published
from torture import story
from torture.matrix import Bases, step_of
from torture.request_attack import RequestAttack
from torture.warm import Ended, done, forked, forked_each

LEASE_SECONDS = "10"  # on a busy machine a shorter lease would be lost
BUCKET = "torture"
Options = dict[str, Any]  # of fsspec, for a client


@contextmanager
def server(scheme: str, folder: Path) -> Iterator[Options]:
    """A server of object storage in a process of its own; the options of its clients."""
    ready = folder / f"{scheme}-options"
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt), getattr(buckets, scheme)() as options:
            Place(f"{scheme}://{BUCKET}", options).filesystem.mkdir(BUCKET)
            ready.with_suffix(".new").write_text(json.dumps(options))
            ready.with_suffix(".new").rename(ready)
            time.sleep(86_400)
        os._exit(0)
    try:
        while not ready.exists():
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


@dataclass(frozen=True)
class Bucket:
    """A fresh store in a bucket, and the folder of those who work on it."""

    place: Place
    folder: Path

    def enter(self, worker: str) -> Store:
        """The store as a worker with a cache of its own sees it."""
        os.environ["COFI_STORE_OPTIONS"] = json.dumps(self.place.options)
        os.environ["COFI_CACHE"] = str(self.folder / worker)
        os.environ["COFI_LEASE_SECONDS"] = LEASE_SECONDS
        return open_store(self.place.address)


def case_of(name: str) -> tuple[str, str, RequestAttack]:
    """The case of a name: scheme, step and attack."""
    scheme, step, mode, at = name.split(":")
    return scheme, step, RequestAttack(mode, int(at))


def requests_of(bases: Bases, options: Options, scheme: str, step: str) -> range:
    """The numbers of the requests with which a step changes the bucket."""
    with TemporaryDirectory() as folder:
        bucket = done(_fill, bases.before(step_of(step)), scheme, options, Path(folder))
        done(_attacked, bucket, step, RequestAttack("count"))
        return range(1, int((bucket.folder / "count").read_text()) + 1)


def cases(
    scheme: str, step: str, mode: str, points: range, most: int | None, seed: int
) -> list[str]:
    """Names of the attacks on a step: at each request (None), or at `most` of them."""
    if mode == "slow":  # all of them
        return [f"{scheme}:{step}:slow:0"]
    drawn = random.Random(f"{seed} {scheme} {step} {mode}")
    chosen = points if most is None else drawn.sample(points, min(most, len(points)))
    return [f"{scheme}:{step}:{mode}:{at}" for at in sorted(chosen)]


def violations(bases: Bases, options: Options, name: str) -> list[str]:
    """Attack a step in a bucket, repeat it on another worker; what does not hold."""
    scheme, step, attack = case_of(name)
    with TemporaryDirectory() as folder:
        base = bases.before(step_of(step))
        bucket = done(_fill, base, scheme, options, Path(folder))
        calls = [("first", bucket, step, attack)]
        if attack.mode == "stall":
            calls.append(("second", bucket, step, attack))
        ended = {call[0]: ended for call, ended in forked_each(_work, calls, at_once=2)}
        second = ended.get("second", Ended()).error
        texts = [f"the second worker failed: {second}"] if second else []
        return texts + forked(_judge, bucket, step, ended["first"]).texts


def _fill(base: Path, scheme: str, options: Options, folder: Path) -> Bucket:
    place = Place(f"{scheme}://{BUCKET}/{folder.name}", options)
    for path in base.rglob("*"):
        name = str(path.relative_to(base))
        if path.is_file() and not layout.is_hidden(name) and not name.startswith("current/"):
            place.put(name, path.read_bytes())
    return Bucket(place, folder)


def _work(worker: str, bucket: Bucket, step: str, attack: RequestAttack) -> None:
    if worker == "second":
        _take_over(bucket, step)
        return
    try:
        _attacked(bucket, step, attack)
    finally:
        (bucket.folder / "ended").touch()


def _attacked(bucket: Bucket, step: str, attack: RequestAttack) -> None:
    attack.arm(bucket.folder)
    step_of(step).work(bucket.enter("first"))


def _take_over(bucket: Bucket, step: str) -> None:
    """Do the step while the first worker stands still, then let that one go on."""
    stalled, ended = bucket.folder / "stalled", bucket.folder / "ended"
    while not stalled.exists() and not ended.exists():
        time.sleep(0.05)
    try:
        step_of(step).work(bucket.enter("second"))
    finally:
        if stalled.exists():
            os.kill(int(stalled.read_text()), signal.SIGCONT)


def _judge(bucket: Bucket, step_name: str, ended: Ended) -> list[str]:
    step, place = step_of(step_name), bucket.place
    before, after = "n2", step.moves_to or "n2"
    ended_well = not ended.killed and ended.error is None
    wrong = _seen(place, {after} if ended_well else {before, after})
    if ended.error and "\n" in ended.error:
        wrong.append(f"an unclear error: {ended.error}")
    store = bucket.enter("third")
    if ended.killed:  # as if its time were over
        with contextlib.suppress(FileNotFoundError):
            place.filesystem.rm_file(f"{place.address}/{lease.NAME}")
    if not ended_well:
        step.work(store)
        wrong += _seen(place, {after})
    if step.name == "erase --now":
        wrong += [f"{name} shows an erased user" for name in _shown(store)]
    return wrong


def _shown(store: Store) -> list[str]:
    shown = look(store, story.settings(), [str(story.ERASED)]).remaining
    return [name for name in shown if not name.startswith("landing/")]


def _seen(place: Place, allowed: set[str]) -> list[str]:
    """What is wrong with what readers see: one whole run, of those allowed."""
    key = published(place)["run_key"]
    wrong = [] if key in allowed else [f"readers use run {key}, expected {sorted(allowed)}"]
    try:
        check_complete(place, key)
        read.current_run(place.address, options=place.options).popular_items()
    except (AssertionError, CofiError, OSError, pa.ArrowException) as error:
        wrong.append(f"run {key} is not whole: {error}")
    return wrong


def two_writers(bases: Bases, options: Options, scheme: str) -> list[str]:
    """Two runs are published at once by two workers; what does not hold afterwards."""
    with TemporaryDirectory() as folder:
        base = bases.before(step_of("publish"))
        bucket = done(_fill, base, scheme, options, Path(folder))
        wrong = []
        calls = [(bucket, key) for key in ("n3", "n4")]
        for (_, key), ended in forked_each(_publish, calls, at_once=2):
            wrong += [f"publish {key} failed: {ended.error}"] if ended.error else []
        return wrong + forked(_seen, bucket.place, {"n4"}).texts


def _publish(bucket: Bucket, key: str) -> None:
    story.run(bucket.enter(key), key, ["publish"])
