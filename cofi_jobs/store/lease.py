"""A lease on a store in a bucket: one process at a time works on it, wherever it runs.

The lease is an object that is written on the condition that nobody else has written it. Its holder writes it anew
every now and then; whoever waits takes it over when it has not changed for as long as it says, by the waiter's own
clock: so no two clocks are compared.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time

from cofi_jobs.store.objects import ConflictError, Objects

log = logging.getLogger(__name__)

NAME = ".lease"


class Lease:
    """Held within the context; entering it waits until it is free."""

    def __init__(self, objects: Objects, seconds: float) -> None:
        self.objects, self.seconds = objects, seconds
        self.holder = f"{socket.gethostname()}, process {os.getpid()}"
        self.version, self.renewed, self.lost = "", 0.0, False
        self.ended = threading.Event()

    def __enter__(self) -> "Lease":
        seen, since, told = None, 0.0, False
        while True:
            content, version = self.objects.read(NAME) or (b"{}", None)
            held = json.loads(content)
            if version != seen:
                seen, since = version, time.monotonic()
            over = held.get("holder") and time.monotonic() - since > held["seconds"]
            if over or not held.get("holder"):
                try:
                    self._write(self.holder, version)
                    break
                except ConflictError:
                    continue
            if not told:
                log.info("waiting for %s, which works on %s", held["holder"], self.objects.address)
                told = True
            time.sleep(self.seconds / 20)
        if over:
            log.warning("took the lease on %s over from %s", self.objects.address, held["holder"])
        self.thread = threading.Thread(target=self._renew, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        try:
            self.check()
            self._write(None, self.version)
        except Exception as error:  # the next one waits a little longer
            log.warning("the lease could not be given back: %s", error)

    def check(self) -> None:
        """Raise RuntimeError if somebody else may hold the lease by now."""
        if self.lost or time.monotonic() - self.renewed > self.seconds:
            raise RuntimeError(
                f"the lease on {self.objects.address} was lost, so nothing more is written there"
            )

    def _renew(self) -> None:
        while not self.ended.wait(self.seconds / 4):
            try:
                self._write(self.holder, self.version)
            except ConflictError:
                self.lost = True
                return
            except Exception as error:
                log.warning("the lease could not be renewed, it is tried again: %s", error)

    def _write(self, holder: str | None, expected: str | None) -> None:
        start = time.monotonic()
        # Never the same twice: S3's version is a digest of the content.
        content = {"holder": holder, "seconds": self.seconds, "token": secrets.token_hex(8)}
        self.version = self.objects.write(NAME, json.dumps(content).encode(), expected)
        self.renewed = start
