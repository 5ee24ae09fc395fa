"""Where sources may be: no setting and no link has a file of the machine read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.item_lists import read_item_lists
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from tests.support.command_line import cofi
from tests.support.data import random_ratings, settle, write_ratings
from tests.support.ingestion import GOOD, GOOD_ROWS, HEADER, drop, ingest, taken
from tests.support.nights import run_night

SECRET = "canary-in-a-file-of-the-machine"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the machine that the job can read."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "passwd").write_text(f"{SECRET}:x:0\n")
    return settle(folder / "passwd")


@pytest.fixture
def allowed(outside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COFI_SOURCE_ROOTS", f"s3://bucket/drop, {outside.parent}")
    outside.write_text(GOOD)
    return settle(outside)


ADDRESSES: dict[str, Callable[[Path], str]] = {
    "a file": lambda file: f"file://{file}",
    "its folder": lambda file: f"file://{file.parent}/",
    "a pattern": lambda file: f"file://{file.parent}/pass*",
    "a pattern of folders": lambda file: f"file://{file.parent.parent}/*/passwd",
    "out of the store": lambda file: f"file://{file.parent.parent}/store/landing/../../etc/passwd",
    "localhost": lambda file: f"file://localhost{file}",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_a_file_of_the_machine_is_refused_before_it_is_read(
    store: Store, outside: Path, address: Callable[[Path], str], capfd, caplog
) -> None:
    drop(store, "good.csv", GOOD)
    with pytest.raises(SettingsError, match=r"COFI_SOURCE_ROOTS names .*; nothing was read") as no:
        ingest(store, "n", f"source_files={address(outside)}")
    kept = "".join(path.read_text() for path in store.root.rglob("*.json"))
    assert SECRET not in str(no.value) + caplog.text + "".join(capfd.readouterr()) + kept
    assert store.outcome("n", "ingest") is None


def test_neither_conf_nor_set_opens_a_root(store: Store, outside: Path) -> None:
    with pytest.raises(SettingsError, match="unknown setting 'source_roots'"):
        load_settings([f"source_roots={outside.parent}"])


def test_source_files_in_a_root_are_taken(store: Store, allowed: Path) -> None:
    ingest(store, "night-1", f"source_files=file://{allowed}")
    assert taken(store) == GOOD_ROWS


@pytest.mark.parametrize("pattern", ["", "/*", "/**", "/*/*", "/day/passwd"])
def test_no_link_in_a_root_leads_out_of_it(
    store: Store, allowed: Path, tmp_path: Path, pattern: str, caplog
) -> None:
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "passwd").write_text(SECRET)
    (allowed.parent / "more.csv").symlink_to(settle(tmp_path / "shadow" / "passwd"))
    (allowed.parent / "day").symlink_to(tmp_path / "shadow")
    text = ""
    try:
        ingest(store, "n", f"source_files=file://{allowed.parent}{pattern}", "settle_seconds=0")
    except (DataError, SettingsError) as refused:
        text = str(refused)
    assert SECRET not in text + caplog.text
    assert not list(store.root.rglob("*more*"))


@pytest.mark.parametrize("pattern", ["", "/*", "/**"])
def test_a_link_in_a_root_to_a_file_of_a_root_is_taken_and_others_are_named(
    store: Store, allowed: Path, pattern: str, caplog
) -> None:
    (allowed.parent / ".new.csv").write_text(HEADER + "9,90,3,1000000003\n")
    settle(allowed.parent / ".new.csv")
    for name, target in {"a.csv": ".new.csv", "b.csv": "nowhere", "c.csv": "c.csv"}.items():
        (allowed.parent / name).symlink_to(target)
    address = f"source_files=file://{allowed.parent}{pattern}"
    ingest(store, "n1", address)
    assert taken(store, "n1") == [(9, 90, 3.0, 1000000003), *GOOD_ROWS]
    for name in ("b.csv", "c.csv"):
        assert f"{allowed.parent / name} is left: it is a link, and leads to no file" in caplog.text
    assert ingest(store, "n2", address)["rows_read"] == 0
    (allowed.parent / ".new.csv").write_text(HEADER + "9,90,4,1000000004\n")
    ingest(store, "n3", address, "settle_seconds=0")
    assert taken(store, "n3") == [(9, 90, 4.0, 1000000004)]


def test_a_link_in_a_root_that_leads_out_is_refused(
    store: Store, allowed: Path, tmp_path: Path
) -> None:
    (tmp_path / "shadow").write_text(SECRET)
    (allowed.parent / "more.csv").symlink_to(settle(tmp_path / "shadow"))
    with pytest.raises(DataError, match=r"etc/more\.csv is a link that leads out") as no:
        ingest(store, "n", f"source_files=file://{allowed.parent}")
    assert SECRET not in str(no.value)
    assert store.outcome("n", "ingest") is None


# Links by their places in the store; {outside} is the file of the machine.
LINKS = {
    "a file": {"landing/new.csv": "{outside}"},
    "by a relative way": {"landing/new.csv": "../../etc/passwd"},
    "a folder": {"landing/new.csv": "{outside.parent}"},
    "of a link": {"archive": "{outside}", "landing/new.csv": "../archive"},
    "a part of a folder": {"landing/new/part-0": "{outside}"},
    "the root of the machine": {"landing/new": "/"},
}


@pytest.fixture(params=list(LINKS.values()), ids=list(LINKS))
def linked(request: pytest.FixtureRequest, two_nights: Store, outside: Path) -> Store:
    """A store with ratings, and a link in landing/ that leads out."""
    for name, target in request.param.items():
        two_nights.path(name).parent.mkdir(exist_ok=True)
        two_nights.path(name).symlink_to(target.format(outside=outside))
    return two_nights


def test_a_link_in_landing_that_leads_out_is_refused(linked: Store, capfd, caplog) -> None:
    drop(linked, "good.csv", GOOD)
    with pytest.raises(DataError, match="is a link that leads out of the store, expected") as no:
        ingest(linked, "night-3", "settle_seconds=0")
    assert SECRET not in str(no.value) + caplog.text + "".join(capfd.readouterr())


def test_an_erasure_does_not_follow_links_out_of_the_store(linked: Store, outside: Path) -> None:
    before = outside.read_text()
    erase(linked, load_settings(), [SECRET, "1"])
    traces = look(linked, load_settings(), [SECRET])
    assert traces.remaining == []
    assert outside.read_text() == before


def test_the_command_line_tells_nothing_of_a_linked_file(store: Store, outside: Path) -> None:
    (store.landing / "a.csv").symlink_to(outside)
    shown = cofi("ingest", "--store", store.root, "--run-key", "n")
    assert shown.returncode == 1
    assert shown.stderr.count("error: ") == 1
    assert SECRET not in shown.stdout + shown.stderr


def test_links_within_the_store_and_into_roots_are_followed(store: Store, allowed: Path) -> None:
    (store.root / "archive").mkdir()
    (store.root / "archive" / "old.csv").write_text("userId,movieId,rating\n9,90,3\n")
    settle(store.root / "archive" / "old.csv")
    (store.landing / "a.csv").symlink_to("../archive/old.csv")
    (store.landing / "b.csv").symlink_to(allowed)
    ingest(store)
    assert [row[:3] for row in taken(store)] == [(9, 90, 3.0), *(row[:3] for row in GOOD_ROWS)]


def test_a_drop_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    """Who owns the store has made it one."""
    (tmp_path / "uploads").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "landing").symlink_to(tmp_path / "uploads")
    store = Store(tmp_path / "store").create()
    drop(store, "a.csv", GOOD)
    ingest(store)
    assert taken(store) == GOOD_ROWS


def test_the_key_of_the_erased_is_no_source(store: Store, caplog) -> None:
    drop(store, "good.csv", GOOD)
    ingest(store, "night-0")
    erase(store, load_settings(), ["1"])
    key = (store.root / "erased.key").read_text().strip()
    (store.landing / "a.csv").symlink_to("../erased.key")
    with pytest.raises(DataError, match="is a link that leads out of the store") as refused:
        ingest(store, "night-1", "settle_seconds=0")
    assert key not in str(refused.value) + caplog.text


def test_a_path_on_the_command_line_opens_itself_alone(store: Store, outside: Path) -> None:
    """Who runs the command can read it anyway. A link in a folder may be somebody else's."""
    good = outside.parent / "good.csv"
    good.write_text(GOOD)
    ingest(store, ratings=(settle(good),))
    assert taken(store) == GOOD_ROWS
    folder = store.root.parent / "folder"
    folder.mkdir()
    (folder / "part-0").symlink_to(outside)
    with pytest.raises(DataError, match="is a link that leads out"):
        ingest(store, "night-2", "settle_seconds=0", ratings=(folder,))


def test_links_of_the_catalogue_and_of_lists(store: Store, outside: Path, quick, caplog) -> None:
    write_ratings(store.landing / "ratings.csv", random_ratings())
    link = store.catalogue / "movies.csv"
    link.symlink_to(outside)
    with pytest.raises(DataError, match=r"movies\.csv is a link that leads out of the store"):
        run_night(store, quick, "n")
    link.unlink()
    (store.item_lists / "deny.txt").symlink_to(outside)
    with pytest.raises(DataError, match=r"deny\.txt is a link that leads out of the store"):
        read_item_lists(store)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("roots", "address", "is_inside"),
    [
        (None, "s3://any/folder", True),
        ("", "s3://any/folder", False),
        ("gs://", "s3://any/folder", False),
        ("s3://bucket/drop", "s3://bucket/drop", True),
        ("s3://bucket/drop/", "s3://bucket/drop/day", True),
        ("s3://bucket/drop", "s3://bucket/dropped", False),
        ("s3://bucket/drop", "s3://bucket/drop/../other", False),
        ("s3://bucket", "s3://bucket-of-others/x", False),
    ],
)
def test_buckets(
    store: Store, roots: str | None, address: str, is_inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if roots is not None:
        monkeypatch.setenv("COFI_SOURCE_ROOTS", roots)
    if is_inside:
        SourceRoots.of(store).check_address(address, address)
    else:
        with pytest.raises(SettingsError, match=f"found source_files {address}, expected"):
            SourceRoots.of(store).check_address(address, address)


def test_a_setting_names_no_file_of_the_store_but_those_in_landing(store: Store) -> None:
    """Who triggers a run may name any folder as its store."""
    roots = SourceRoots.of(store)
    for folder in (store.landing, store.landing / "day"):
        roots.check_address(f"file://{folder}/*.csv", str(folder))
    for folder in (store.root, store.catalogue, store.root / "tasks"):
        with pytest.raises(SettingsError, match=r"found source_files file:.*, expected an address"):
            roots.check_address(f"file://{folder}/*.csv", str(folder))


@pytest.mark.parametrize("root", ["drop", "../drop", "http://host/drop", "s3:/bucket"])
def test_a_root_that_is_none_is_an_error(
    store: Store, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFI_SOURCE_ROOTS", root)
    with pytest.raises(SettingsError, match=f"found '{root}' in COFI_SOURCE_ROOTS, expected"):
        ingest(store)


@given(steps=st.lists(st.sampled_from(["..", ".", "a", "b", "landing"]), max_size=8))
def test_no_way_of_dots_leads_out(steps: list[str]) -> None:
    roots = SourceRoots([Path("/srv/store")], [], [])
    path = Path("/srv/store", *steps)
    assert roots.has(path) == os.path.normpath(path).startswith("/srv/store")
