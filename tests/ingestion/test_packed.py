"""Packed files are read to their end; a damaged one is an error."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.store.store import Store
from tests.support.data import random_ratings, settle
from tests.support.ingestion import (
    counts,
    drop,
    failure,
    first_night,
    ingest,
    taken,
)
from tests.support.rating_files import (
    CSV,
    JSON,
    ROWS,
    read,
    read_catalogue,
    refusal,
)


@pytest.mark.parametrize("name", ["a.csv.zst", "a.jsonl.zstd"])
def test_zstd_is_read_and_a_cut_file_is_an_error(name: str, store: Store) -> None:
    first_night(store)
    frame = random_ratings(300, 40).assign(userId=lambda f: f["userId"] * 7919)
    text = (
        frame.to_csv(index=False) if "csv" in name else frame.to_json(orient="records", lines=True)
    )
    with pa.CompressedOutputStream(str(store.landing / name), "zstd") as file:
        file.write(text.encode())
    settle(store.landing / name)
    whole = (store.landing / name).read_bytes()
    drop(store, name, whole[:-9])
    assert name in failure(store)
    drop(store, name, whole)
    assert counts(ingest(store)) == (len(frame), len(frame), 0)
    assert taken(store) == list(frame.itertuples(index=False, name=None))


def test_two_gzip_files_one_after_the_other_are_read_as_one(tmp_path: Path) -> None:
    header, first, second = CSV.splitlines(keepends=True)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress((header + first).encode()) + gzip.compress(second.encode()))
    assert read(path) == ROWS


def damaged(content: bytes) -> dict[str, bytes]:
    """A gzip file cut short, with a wrong checksum, with broken codes, and one that is none."""
    packed = gzip.compress(content)
    wrong_sum = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    return {
        "cut": packed[:-4],
        "checksum": wrong_sum,
        "codes": packed[:10] + b"\xff" * 40,
        "none": content,
    }


@pytest.mark.parametrize("damage", ["cut", "checksum", "codes", "none"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.csv.gz", CSV), ("a.jsonl.gz", JSON), ("movies.csv.gz", CSV)]
)
def test_a_damaged_gzip_file_is_a_clear_error(
    name: str, content: str, damage: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(content.encode())[damage])
    assert "cannot be read" in refusal(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_catalogue(path)


def test_a_wrong_checksum_is_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(damaged((CSV + "9,44,3,978300762\n" * 500_000).encode())["checksum"])
    assert "cannot be read" in refusal(path)
