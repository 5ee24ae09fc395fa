"""Addresses of stores, and addresses that are none."""

from pathlib import Path

import pytest

from cofi_jobs import read
from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.open import open_store
from cofi_jobs.store.remote import RemoteStore
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "s3://bucket",
            "found the bucket s3://bucket as a store, expected a folder in it: s3://bucket/<folder>",
        ),
        ("s3://bucket/a::b", "found '::' in the address 's3://bucket/a::b', expected s3://"),
        ("file:///data?x", "found the store 'file:///data.x', expected file:///<folder>"),
        ("file:///data#x", "found the store 'file:///data#x', expected file:///<folder>"),
        ("file://host/data", "found the store 'file://host/data', expected file:///<folder>"),
        ("ftp://host/store", "found a store whose location starts with 'ftp:', expected a folder"),
    ],
)
def test_addresses_that_are_no_store(address: str, message: str, environment: pytest.MonkeyPatch):
    with pytest.raises(SettingsError, match=message):
        open_store(address)


def test_an_address_of_a_folder_is_that_folder(tmp_path: Path):
    assert open_store(f"file://{tmp_path}/a%20store").root == tmp_path / "a store"


def test_a_place_without_a_store_is_named(s3: Place, quick: Settings):
    with pytest.raises(
        StoreError, match=f"found no store in {s3.address}, expected one in which ingest has run"
    ):
        run_task("normalize", open_store(s3.address), quick, "n1")
    with pytest.raises(StoreError, match=f"found no published run in {s3.address}"):
        read.recommendations(s3.address, "1")
    assert isinstance(open_store(s3.address), RemoteStore)
