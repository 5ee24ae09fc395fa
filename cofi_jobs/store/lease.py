"""A lease on a store in a bucket: one process at a time works on it, on whatever machine.

The lease is an object, written on the condition that nobody else has written it meanwhile. The
holder renews it by writing it again. A process that waits takes the lease over if the object
has not changed for the seconds that it names, by its own clock: no two clocks are compared.
"""

import json
import logging
import secrets
import threading
import time

from cofi_jobs.store import layout
from cofi_jobs.store.locks import holder_now
from cofi_jobs.store.objects import ConflictError, Objects
from cofi_jobs.store.record_json import parse

log = logging.getLogger(__name__)

NAME = layout.LEASE
FREE = b'{"holder": null, "seconds": 0}'


class Lease:
    """A context that is entered when the lease is free, and that renews it until its end.

    `work` says for people what it is held for.
    """

    def __init__(self, objects: Objects, seconds: float, work: str) -> None:
        self.objects, self.seconds = objects, seconds
        self.work, self.holder = work, ""
        self.version, self.renewed, self.lost = "", 0.0, False
        self.ended = threading.Event()

    def __enter__(self) -> "Lease":
        self._wait()
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

    def _wait(self) -> None:
        """Take the lease as soon as nobody holds it, or its holder no longer renews it."""
        seen, since, announced = None, 0.0, False
        while True:
            content, version = self.objects.read(NAME) or (FREE, None)
            lease = parse(content, NAME, self.objects.address)
            holder = lease["holder"]
            if version != seen:
                seen, since = version, time.monotonic()
            expired = holder and time.monotonic() - since > lease["seconds"]
            if expired or not holder:
                self.holder = holder_now(self.work)
                try:
                    self._write(self.holder, version)
                except ConflictError:
                    continue
                if expired:
                    log.warning("took the lease on %s over from %s", self.objects.address, holder)
                return
            if not announced:
                log.info("waiting for %s, which works on %s", holder, self.objects.address)
                announced = True
            time.sleep(self.seconds / 20)

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
        # S3's version is a digest of the content: the token makes each content another one.
        content = {"holder": holder, "seconds": self.seconds, "token": secrets.token_hex(8)}
        self.version = self.objects.write(NAME, json.dumps(content).encode(), expected)
        self.renewed = start
