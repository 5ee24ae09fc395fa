"""Fresh stores in buckets of real servers of object storage."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import buckets
from tests.support.buckets import Place


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COFI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COFI_LEASE_SECONDS", "30")
    return monkeypatch


@pytest.fixture(params=["s3", "gs"])
def place(
    request: pytest.FixtureRequest,
    bucket_servers: Any,
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
) -> Place:
    return given(
        buckets.place(request.param, bucket_servers[request.param], tmp_path / "store"), environment
    )


@pytest.fixture
def s3(bucket_servers: Any, tmp_path: Path, environment: pytest.MonkeyPatch) -> Place:
    return given(buckets.place("s3", bucket_servers["s3"], tmp_path / "store"), environment)


def given(place: Place, environment: pytest.MonkeyPatch) -> Place:
    environment.setenv("COFI_STORE_OPTIONS", json.dumps(place.options))
    return place
