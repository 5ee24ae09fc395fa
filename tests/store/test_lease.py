"""The lease: two writers, a lost lease, and one whose holder was killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import lease
from cofi_jobs.store.open import open_store
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place
from tests.support.data import random_ratings
from tests.support.live import wait_for
from tests.support.remote import elsewhere
from tests.support.repository import ROOT

FIRST = {"user_id": "integer", "item_id": "integer", "scale": [1, 5]}
SECOND = FIRST | {"scale": [1, 10]}

HOLD = """
import os, signal, sys
from cofi_jobs.store.open import open_store
with open_store(sys.argv[1]).lock("ingest"):
    print("held", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_the_lease_of_a_killed_process_is_taken_over(
    s3: Place, quick: Settings, caplog: pytest.LogCaptureFixture
):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COFI_LEASE_SECONDS": "1",
    }
    s3.put("landing/a.csv", random_ratings().to_csv(index=False))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, s3.address], env=environment, stdin=-1, stdout=-1, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.communicate("")
    assert holder.returncode == -signal.SIGKILL
    run_task("ingest", open_store(s3.address), quick, "n1")
    assert f"took the lease on {s3.address} over from" in caplog.text
    assert "tasks/n1/ingest.json" in s3.names()


@pytest.mark.slow
def test_the_second_writer_waits_and_neither_is_lost(
    place: Place, environment: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    place.put("lists/allow.txt", "100\n")
    caplog.set_level("INFO")
    environment.setenv("COFI_LEASE_SECONDS", "3")
    first, second = open_store(place.address), elsewhere(place, environment, tmp_path)
    seen: list[Any] = []

    def other() -> None:
        with second.lock("ingest") as copy:
            seen.append(copy.records.properties())
            copy.records.write_properties(SECOND)

    thread = threading.Thread(target=other)
    with first.lock("ingest") as copy:
        thread.start()
        # It outlives the lease's three seconds: the holder renews it.
        wait_for(lambda: "waiting for" in caplog.text, "the second to wait", 10)
        threading.Event().wait(3.5)
        assert seen == []
        copy.records.write_properties(FIRST)
    thread.join()
    assert seen == [FIRST]
    assert json.loads(place.read("store.json")) == SECOND
    assert "over from" not in caplog.text


@pytest.mark.slow
def test_who_has_lost_the_lease_writes_nothing(
    s3: Place, environment: pytest.MonkeyPatch, tmp_path: Path
):
    s3.put("lists/allow.txt", "100\n")
    environment.setenv("COFI_LEASE_SECONDS", "1")
    first = open_store(s3.address)
    environment.setattr(lease.Lease, "_renew", lambda self: None)  # as a process that is stopped
    with pytest.raises(
        RuntimeError, match=r"the lease on .* was lost, so nothing more is written there"
    ):
        with first.lock("ingest") as copy:
            copy.records.write_properties(FIRST)
            with elsewhere(s3, environment, tmp_path).lock("ingest"):
                pass
            threading.Event().wait(1)
    assert "store.json" not in s3.names()
