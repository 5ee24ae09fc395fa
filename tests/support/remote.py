"""Runs in a store in a bucket."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import layout
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from tests.support.buckets import Place
from tests.support.data import random_ratings
from tests.support.nights import run_night


def elsewhere(place: Place, environment: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """The store as another worker sees it, whose cache is empty."""
    environment.setenv("COFI_CACHE", str(tmp_path / "elsewhere"))
    return open_store(place.address)


def ratings_of(seed: int) -> pd.DataFrame:
    """What came in the night of this number."""
    return random_ratings(seed=seed, n_users=20, n_items=12)


def put_store(place: Place, store: Store) -> None:
    """Have a store that was made in a folder below an address, CURRENT.json last."""
    root, address = f"{store.root}/".encode(), f"{place.address}/".encode()
    contents = {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in store.root.rglob("*")
        if path.is_file()
    }
    contents = {
        name: content.replace(root, address) if name.endswith(".json") else content
        for name, content in contents.items()
        if not name.startswith((".", f"{layout.CURRENT_LINK}/"))
    }
    current = contents.pop(layout.CURRENT, None)
    place.put_all(contents)
    if current is not None:
        place.put(layout.CURRENT, current)


def night(place: Place, run_key: str, seed: int, quick: Settings) -> Store:
    place.put(f"landing/{run_key}.csv", ratings_of(seed).to_csv(index=False))
    store = open_store(place.address)
    run_night(store, quick.model_copy(update={"settle_seconds": 0}), run_key)
    return store


def published(place: Place) -> dict[str, Any]:
    pointer: dict[str, Any] = json.loads(place.read("CURRENT.json"))
    return pointer


def check_complete(place: Place, run_key: str) -> None:
    """All files of a published run are as its manifest says; one may wait to be replaced."""
    manifest = json.loads(place.read(f"manifests/{run_key}.json"))
    assert {file["path"].split("/")[0] for file in manifest["files"]} >= {
        "recommendations",
        "similar_items",
        "model",
    }
    for file in manifest["files"]:
        digest = hashlib.sha256(place.read(f"runs/{run_key}/{file['path']}")).hexdigest()
        assert digest in (file["sha256"], file.get("sha256_before")), file["path"]
