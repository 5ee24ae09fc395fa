"""Rating files from object storage over HTTP, and from a folder: each taken once, none changed."""

import json
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import objects
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import ingest as ingest_task
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.runner import run_task
from tests.support import buckets
from tests.support.buckets import Place
from tests.support.command_line import cofi
from tests.support.kills import die_before
from tests.support.processes import exit_code

HEAD = "userId,movieId,rating\n"
DEFAULTS = {"rating_low": 1, "rating_high": 5, "settle_seconds": 0}


@pytest.fixture(params=["s3", "gs", "file"])
def place(
    request: pytest.FixtureRequest,
    bucket_servers: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    return given(
        buckets.place(request.param, bucket_servers.get(request.param, {}), tmp_path / "drop"),
        monkeypatch,
    )


@pytest.fixture
def s3(bucket_servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return given(buckets.place("s3", bucket_servers["s3"], tmp_path / "drop"), monkeypatch)


def given(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("COFI_SOURCE_FILES_OPTIONS", json.dumps(place.options))
    monkeypatch.setenv("COFI_SOURCE_ROOTS", place.address)
    return place


def ingest(store: Store, address: str, run_key: str, **values: Any) -> dict[str, Any]:
    settings = load_settings(
        [f"{k}={v}" for k, v in ({"source_files": address} | DEFAULTS | values).items()]
    )
    return run_task("ingest", store, settings, run_key)


def taken(store: Store, run_key: str) -> list[tuple[Any, Any, float]]:
    rows = ds.dataset(store.ratings(run_key)).to_table(["user_id", "item_id", "rating"]).to_pylist()
    return sorted(tuple(row.values()) for row in rows)


@pytest.fixture
def gets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were downloaded."""
    names: list[str] = []
    get = objects.Objects.get

    def counted(self: objects.Objects, object: objects.Object, target: Path) -> None:
        names.append(object.name)
        get(self, object, target)

    monkeypatch.setattr(objects.Objects, "get", counted)
    return names


def test_a_night_takes_what_is_new_and_downloads_nothing_else(
    store: Store, place: Place, gets: list[str]
):
    place.put("a.csv", HEAD + "1,10,4.5\n1,11,9\n")
    for other in (".hidden.csv", "_b.csv", "b.csv.tmp", "c.part", "deeper/d.csv"):
        place.put(other, HEAD + "7,70,1\n")
    before = place.names()
    first = ingest(store, place.address, "n1")
    assert (first["rows_read"], first["rows_taken"], first["rows_refused"]) == (2, 1, 1)
    assert first["files"][0]["name"] == "a.csv"
    assert first["reads"] == [place.address]
    assert taken(store, "n1") == [(1, 10, 4.5)]
    place.put("b.csv", HEAD + "2,10,3\n")
    ingest(store, place.address + "/", "n2")
    assert ingest(store, place.address, "n3")["rows_read"] == 0
    assert taken(store, "n2") == [(2, 10, 3.0)]
    assert gets == ["a.csv", "b.csv"]
    assert place.names() == before | {"b.csv"}, "upstream's files stay"
    assert not list(store.root.glob(".tmp-*"))


def test_a_pattern_takes_files_of_many_folders_that_share_a_name(store: Store, place: Place):
    for day in (1, 2):
        place.put(f"day={day}/part-0.csv", HEAD + f"{day},10,3\n")
        place.put(f"day={day}/other.txt", "no ratings")
    outcome = ingest(store, f"{place.address}/day=*/part-*.csv", "n1")
    assert taken(store, "n1") == [(1, 10, 3.0), (2, 10, 3.0)]
    assert len(outcome["objects"]) == 2


def test_folders_that_are_not_read_are_named(
    store: Store, place: Place, caplog: pytest.LogCaptureFixture
):
    address = place.address.rstrip("/")
    place.put("a.csv", HEAD + "1,10,3\n")
    place.put("date=2024-06-01/part-0.csv", HEAD + "2,10,3\n")
    ingest(store, address, "n1")
    assert f"{address} has folders, whose files are not read: date=2024-06-01; " in caplog.text
    caplog.clear()
    ingest(store, f"{address}/**", "n2")
    assert taken(store, "n2") == [(2, 10, 3.0)]
    assert "has folders" not in caplog.text


def test_parts_in_folders_are_read_but_what_spark_has_not_finished_is_not(
    store: Store, place: Place
):
    place.put("a.csv/part-0.csv", HEAD + "1,10,3\n")
    place.put("a.csv/_day=2/part-0.csv", HEAD + "2,10,3\n")
    for name in ("a.csv/_SUCCESS", "a.csv/.part-0.csv.crc", "b.csv/_temporary/0/part-0.csv"):
        place.put(name, HEAD + "7,70,1\n")
    ingest(store, f"{place.address}/**", "n1")
    assert taken(store, "n1") == [(1, 10, 3.0), (2, 10, 3.0)]


def test_a_file_that_was_changed_is_taken_anew(store: Store, place: Place):
    place.put("a.csv", HEAD + "1,10,4\n")
    ingest(store, place.address, "n1")
    place.put("a.csv", HEAD + "1,10,2\n1,11,2\n")
    ingest(store, place.address, "n2")
    assert taken(store, "n2") == [(1, 10, 2.0), (1, 11, 2.0)]


def test_a_rerun_keeps_what_it_took_and_takes_a_correction_instead(
    store: Store, place: Place, gets: list[str]
):
    place.put("a.csv", HEAD + "1,10,4\n")
    place.put("b.csv", HEAD + "2,10,4\n3,10,4\n")
    ingest(store, place.address, "n1")
    ingest(store, place.address, "n1")
    assert gets == ["a.csv", "b.csv"]
    assert taken(store, "n1") == [(1, 10, 4.0), (2, 10, 4.0), (3, 10, 4.0)]
    place.put("b.csv", HEAD + "2,10,5\n")
    ingest(store, place.address, "n1")
    assert gets == ["a.csv", "b.csv", "b.csv"]
    assert taken(store, "n1") == [(1, 10, 4.0), (2, 10, 5.0)]
    assert ingest(store, place.address, "n2")["rows_read"] == 0


def test_the_same_content_under_another_name_counts_once_and_is_downloaded_once(
    store: Store, s3: Place, gets: Any
):
    s3.put("a.csv", HEAD + "1,10,4\n")
    ingest(store, s3.address, "n1")
    s3.put("copy.csv", HEAD + "1,10,4\n")
    for night in ("n2", "n3"):
        assert ingest(store, s3.address, night)["rows_read"] == 0
    assert gets == ["a.csv", "copy.csv"]


def test_what_failed_is_downloaded_again_and_the_message_names_its_address(store: Store, s3: Place):
    s3.put("a.csv", HEAD + "1,10,4\n")
    s3.put("bad.csv", "shop,price\n1,2\n")
    with pytest.raises(
        DataError, match=rf"^{s3.address}/bad.csv: found the columns 'shop', 'price', expected"
    ):
        ingest(store, s3.address, "n1")
    assert store.batches() == []
    s3.put("bad.csv", HEAD + "2,10,4\n")
    ingest(store, s3.address, "n1")
    assert taken(store, "n1") == [(1, 10, 4.0), (2, 10, 4.0)]


def test_a_file_that_is_still_being_written_waits(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
):
    place.put("a.csv", HEAD + "1,10,4\n")
    place.put("b.csv", HEAD + "2,10,4\n")
    sleep = pytest.MonkeyPatch.context

    def meanwhile(seconds: float) -> None:
        place.put("b.csv", HEAD + "2,10,4\n3,10,4\n")

    with sleep() as patched:
        patched.setattr("cofi_jobs.ingestion.bucket_files.time.sleep", meanwhile)
        ingest(store, place.address, "n1", settle_seconds=600)
    assert taken(store, "n1") == [(1, 10, 4.0)]
    ingest(store, place.address, "n2")
    assert taken(store, "n2") == [(2, 10, 4.0), (3, 10, 4.0)]


def test_a_file_that_changes_while_it_is_read_fails_for_a_retry(
    store: Store, s3: Place, monkeypatch: Any
):
    s3.put("a.csv", HEAD + "1,10,4\n")
    files = objects.Objects.files

    def outdated(self: objects.Objects) -> Any:
        found = files(self)
        s3.put("a.csv", HEAD + "1,10,5\n")
        return found

    monkeypatch.setattr(objects.Objects, "files", outdated)
    with pytest.raises(RuntimeError, match=r"drop/a\.csv was changed while it was read"):
        ingest(store, s3.address, "n1")


def test_an_empty_folder_of_a_bucket_is_a_night_without_files(store: Store, place: Place):
    place.put("a.csv", HEAD + "1,10,4\n")
    ingest(store, place.address, "n1")
    place.filesystem.rm_file(f"{place.address}/a.csv")
    assert ingest(store, place.address, "n2")["rows_read"] == 0


@pytest.mark.parametrize("pattern", ["", "/*.csv"])
def test_a_bucket_or_folder_that_is_missing_is_an_error(
    store: Store, place: Place, pattern: str, monkeypatch: pytest.MonkeyPatch
):
    missing = place.address.replace("bucket-", "nobody-").replace("/drop", "/missing")
    monkeypatch.setenv("COFI_SOURCE_ROOTS", missing)
    address = missing + pattern
    with pytest.raises(
        DataError, match=f"found no such bucket or folder: {address}".replace("*", r"\*")
    ):
        ingest(store, address, "n1")


def only_known_keys(options: dict[str, Any], known: bool) -> None:
    url, count = f"{options['endpoint_url']}/moto-api/reset-auth", b"0" if known else b"Infinity"
    urllib.request.urlopen(
        urllib.request.Request(url, count, {"Content-Type": "text/plain"})
    ).close()


def test_refused_access_is_named_without_the_secret(
    store: Store, bucket_servers: Any, tmp_path: Path, monkeypatch: Any
):
    with buckets.s3() as options:
        s3 = given(buckets.place("s3", options, tmp_path / "drop"), monkeypatch)
        only_known_keys(options, True)
        try:
            with pytest.raises(
                DataError, match=f"access to {s3.address} was refused .* s3:ListBucket"
            ) as error:
                ingest(store, s3.address, "n1")
        finally:  # it is a setting of the whole process
            only_known_keys(options, False)
    assert "canary" not in str(error.value)
    failure = store.failure("n1", "ingest")
    assert failure
    assert failure["permanent"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/srv/drop", "found the address '/srv/drop', expected s3://"),
        ("ftp://host/drop", "found the address 'ftp://host/drop', expected s3://"),
        ("", "found source_files_connection, but no source_files"),
    ],
)
def test_an_address_that_cannot_be_used(store: Store, address: str, message: str):
    with pytest.raises(SettingsError, match=message):
        ingest(store, address, "n1", source_files_connection="x")


def test_a_missing_package_is_named(store: Store, s3: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
    with pytest.raises(
        SettingsError,
        match=f"found no package s3fs, expected it for {s3.address}: pip install 'cofi\\[s3\\]'",
    ):
        ingest(store, s3.address, "n1")


def test_no_credentials_and_wrong_options(store: Store, s3: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv(
        "COFI_SOURCE_FILES_OPTIONS", json.dumps({"endpoint_url": s3.options["endpoint_url"]})
    )
    with pytest.raises(SettingsError, match=f"found no credentials for {s3.address}"):
        ingest(store, s3.address, "n1")
    monkeypatch.setenv("COFI_SOURCE_FILES_OPTIONS", "canary")
    with pytest.raises(SettingsError, match=r"^COFI_SOURCE_FILES_OPTIONS holds no JSON object"):
        ingest(store, s3.address, "n1")


def test_erased_users_stay_away_though_the_bucket_has_their_rows(store: Store, s3: Place):
    s3.put("a.csv", HEAD + "987654321,10,4\n1,10,4\n")
    ingest(store, s3.address, "n1")
    assert erase(store, load_settings(), ["987654321"]).remaining == []
    s3.put("again.csv", HEAD + "987654321,10,4\n2,10,4\n")
    assert ingest(store, s3.address, "n2")["reasons"] == {"erased": 1}
    ingest(store, s3.address, "n1")
    assert taken(store, "n1") == [(1, 10, 4.0)]
    assert look(store, load_settings(), ["987654321"]).remaining == []


def test_names_of_objects_name_no_erased_user_and_they_stay_taken(
    store: Store, place: Place, gets: list[str]
):
    user = "987654321"
    place.put(f"user_id={user}/a.csv", HEAD + f"{user},10,4\n1,10,4\n")
    place.put("user_id=2/a.csv", HEAD + "2,10,4\n")
    address = f"{place.address}/**"
    ingest(store, address, "n1")
    assert "tasks/n1/ingest.json" in look(store, load_settings(), [user]).remaining
    before = store.required_outcome("n1", "ingest")
    assert erase(store, load_settings(), [user]).remaining == []
    after = store.required_outcome("n1", "ingest")
    paths = [file["path"] for file in before["files"] if file["path"] in str(after)]
    assert len(paths) == 1, "an unkeyed hash of the address would tell whose it is"
    for run_key in ("n1", "n2"):
        ingest(store, address, run_key)
    assert gets == ["a.csv", "a.csv"]
    assert taken(store, "n1") == [(1, 10, 4.0), (2, 10, 4.0)]
    place.put(f"user_id={user}/a.csv", HEAD + f"{user},10,4\n1,10,5\n")
    assert ingest(store, address, "n3")["reasons"] == {"erased": 1}
    assert ingest(store, address, "n4")["rows_read"] == 0
    assert len(gets) == 3
    records = "".join(path.read_text() for path in store.root.rglob("*.json"))
    assert user not in records
    assert "user_id=2/a.csv" in records
    assert look(store, load_settings(), [user]).remaining == []


def ingest_and_die(root: str, address: str) -> None:
    """Ingest, killed once all files are there."""
    die_before(1, [(ingest_task, "take")])
    run_task("ingest", Store(root), load_settings([f"source_files={address}"]), "n1")


@pytest.mark.slow
def test_killed_it_leaves_nothing_that_counts_and_takes_all_again(store: Store, s3: Place):
    s3.put("a.csv", HEAD + "1,10,4\n1,11,2\n")
    assert exit_code(ingest_and_die, str(store.root), s3.address) == -signal.SIGKILL
    assert list(store.root.glob(".tmp-source-files/*/a.csv"))
    ingest(store, s3.address, "n1")
    assert taken(store, "n1") == [(1, 10, 4.0), (1, 11, 2.0)]
    assert not list(store.root.glob(".tmp-*"))


def test_command_line_with_options_from_the_environment(store: Store, s3: Place):
    s3.put("a.csv", HEAD + "1,10,4\n1,11,2\n")
    ended = cofi(
        "ingest",
        "--store",
        str(store.root),
        "--run-key",
        "n1",
        "--set",
        f"source_files={s3.address}",
    )
    assert ended.returncode == 0, ended.stderr
    assert len(taken(store, "n1")) == 2
    assert "canary" not in ended.stderr + ended.stdout
