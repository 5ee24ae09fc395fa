"""Files judged by calls of an engine: batch, records and errors are those of one process."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import judged_file, staged_on_engine
from cofi_jobs.ingestion.batch import NewFile
from cofi_jobs.ingestion.judged_file import DOWNLOADED, as_seen
from cofi_jobs.ingestion.staged_on_engine import LEAST_BYTES, is_worth_it
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.files import sha256
from cofi_jobs.store.in_bucket import InBucket
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from cofi_jobs.tasks.runner import run_task
from tests.support.buckets import Place
from tests.support.data import settle
from tests.support.ingestion import GOOD, HEADER, drop, first_night
from tests.support.remote import put_store
from tests.support.staged import SentFlow, drop_files, on_an_engine, taken_with

ALL = load_settings(["max_rejected=1"])


class BlindFlow(SentFlow):
    """Calls on machines of which every second one has none of the files."""

    def __init__(self) -> None:
        self.n_calls = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Flow`."""
        return super().call(function, *map(self.seen, arguments))

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As in `Flow`."""
        return super().call_for(n, function, *map(self.seen, arguments))

    def seen(self, argument: Any) -> Any:
        """The argument as such a machine sees it."""
        if not isinstance(argument, NewFile):
            return argument
        self.n_calls += 1
        path = argument.path.with_name("elsewhere")
        return replace(argument, path=path) if self.n_calls % 2 else argument


@pytest.fixture
def far_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machines of the engine have no file of this one, but those that they download."""

    def seen(file: NewFile) -> NewFile | None:
        return as_seen(file) if DOWNLOADED in file.path.parts else None

    monkeypatch.setattr(judged_file, "as_seen", seen)


def message_of(store: Store, settings: Settings) -> str:
    """The message of an ingest that fails and takes nothing."""
    before = store.batches()
    with pytest.raises(DataError) as caught:
        run_task("ingest", store, settings, "n1")
    assert store.batches() == before
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts_as_ids", "make_flow"), [(False, SentFlow), (True, SentFlow), (True, BlindFlow)]
)
def test_two_nights_of_all_kinds_of_files_are_those_of_one_process(
    texts_as_ids: bool,
    make_flow: Callable[[], SentFlow],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staged_on_engine, "PIECE", 1000)
    for night in (1, 2):
        drop_files(store, night, texts_as_ids)
        here = taken_with(store, f"n{night}", ALL)
        with on_an_engine(make_flow()):
            there = taken_with(store, f"n{night}", ALL)
        assert there == here
        outcome, files = here
        assert outcome["rows_taken"] > 2500
        assert len(outcome["files"]) == 11
        assert len(files) == 11 + len([f for f in outcome["files"] if f["rows_refused"]])
        assert outcome["scale"] == [0.5, 5]
        assert outcome["id_types"]["item_id"] == ("string" if texts_as_ids else "integer")
        assert "rating is outside the scale 0.5 to 5" in outcome["reasons"]
        assert outcome["reasons"]["timestamp is before 1980"] == 1, "in the unit of all parts"
        assert ("erased" in outcome["reasons"]) == (night == 2)
        if night == 1:
            erase(store, load_settings(), ["13"])


@pytest.mark.parametrize("feedback", ["events", "auto"])
def test_events_are_counted_as_by_one_process(feedback: str, store: Store) -> None:
    settings = load_settings([f"feedback={feedback}"])
    for n in range(3):
        plays = "".join(f"{n}{user},{user % 7},{2**user}\n" for user in range(12))
        drop(store, f"{n}.csv", f"user_id,item_id,rating\n{plays}")
    here = taken_with(store, "n1", settings)
    with on_an_engine(SentFlow()):
        assert taken_with(store, "n1", settings) == here
    assert here[0]["feedback"] == "events"


BAD_FILES = {
    "no ratings.csv": "name,price\nx,2\n",
    "mostly future.csv": HEADER + "1,10,4,9000000000\n2,10,4,9000000000\n3,10,4,1000000000\n",
    "not closed.csv": HEADER + '4,"10,3,1\n5,10,3,1\n6,10,3,1\n',
    "mostly bad.csv": HEADER + "1,10,1e8,1\n,10,4,1\n2,x,4,1\n" * 9,
    "damaged.parquet": "PAR1" + GOOD,
}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", BAD_FILES)
def test_an_error_is_that_of_one_process(name: str, is_first: bool, store: Store) -> None:
    if not is_first:
        first_night(store)
    drop(store, "a.csv", GOOD.replace("1,10,4", "1,10,3"))
    drop(store, name, BAD_FILES[name])
    if not is_first:  # it looks at all files before it judges the first one
        drop(store, "z.csv", "name,price\nof a later file,2\n")
    few = load_settings(["max_rejected=0.1"])
    if name == "mostly bad.csv":
        (store.landing / "z.csv").unlink(missing_ok=True)
    here = message_of(store, few)
    with on_an_engine(SentFlow()):
        assert message_of(store, few) == here
    assert name in here


@pytest.mark.parametrize(
    ("rows", "settings"),
    [("", ()), (",,,\n", ()), ("1,10,4,1\n2,10,5,1\n", ("rating_low=6",))],
)
def test_a_first_night_without_ratings_says_why_as_one_process_does(
    rows: str, settings: tuple[str, ...], store: Store
) -> None:
    drop(store, "a.csv", HEADER + rows)
    drop(store, "b.csv", HEADER + rows + "3,x7,nothing,1\n")
    for most in (1, 0):
        changed = load_settings([f"max_rejected={most}", *settings])
        here = message_of(store, changed)
        with on_an_engine(SentFlow()):
            assert message_of(store, changed) == here


def test_pieces_of_two_attempts_that_differ_are_not_put_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TwoAttempts(SentFlow):
        def get(self, place: Any) -> Any:
            """As in `Flow`."""
            return b"of another attempt" if isinstance(place, bytes) and self.is_second else place

        is_second = False

    drop(store, "a.csv", GOOD)
    flow = TwoAttempts()
    with on_an_engine(flow):
        run_task("ingest", store, ALL, "n1")
        flow.is_second = True
        drop(store, "b.csv", GOOD + GOOD)
        with pytest.raises(RuntimeError, match="other bytes than a machine of the engine wrote"):
            run_task("ingest", store, ALL, "n2")
    assert store.batches() == ["n1"]


def test_a_machine_sees_a_file_with_the_same_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    settle(path)
    stat = path.stat()
    file = NewFile("a.csv", path, stat.st_size, stat.st_mtime_ns, sha256(path))
    assert as_seen(file) == file
    os.utime(path, ns=(1, 1))  # a copy of its own
    assert as_seen(file) == replace(file, mtime_ns=1)
    path.write_text(GOOD.replace("4", "5"))
    assert as_seen(file) is None
    path.write_text(GOOD * 2)
    assert as_seen(file) is None
    path.unlink()
    assert as_seen(file) is None
    path.mkdir()
    assert as_seen(file) is None


@pytest.mark.slow
@pytest.mark.usefixtures("far_machines")
def test_machines_get_the_files_of_a_store_in_a_bucket_from_there(
    s3: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, downloaded, download = Store(tmp_path / "made").create(), set(), InBucket.download
    drop_files(made, 1, texts_as_ids=True)
    put_store(s3, made)
    store, settings = open_store(s3.address), ALL.model_copy(update={"settle_seconds": 0})
    here = taken_with(store, "n1", settings)

    def noting(self: InBucket, path: Path) -> None:
        downloaded.add(self.name)
        download(self, path)

    monkeypatch.setattr(InBucket, "download", noting)
    monkeypatch.setattr(staged_on_engine, "PIECE", 1000)
    with on_an_engine(SentFlow()):
        assert taken_with(store, "n1", settings) == here
    assert downloaded == {name for name in s3.names() if name.startswith("landing/")}


@pytest.mark.usefixtures("far_machines")
def test_an_error_of_a_downloaded_file_is_that_of_one_process(s3: Place) -> None:
    s3.put("landing/a.csv", GOOD)
    s3.put("landing/mostly future.csv", BAD_FILES["mostly future.csv"])
    store, settings = open_store(s3.address), load_settings(["settle_seconds=0"])
    here = message_of(store, settings)
    with on_an_engine(SentFlow()):
        assert message_of(store, settings) == here
    assert "mostly future.csv: found 2 of 3 times" in here


@pytest.mark.usefixtures("far_machines")
def test_a_file_that_changed_in_the_bucket_is_judged_as_the_task_has_it(
    s3: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("landing/a.csv", GOOD)
    store, settings = open_store(s3.address), load_settings(["settle_seconds=0"])
    here = taken_with(store, "n1", settings)
    download = InBucket.download

    def changed(self: InBucket, path: Path) -> None:
        s3.put("landing/a.csv", GOOD.replace("4", "5"))
        download(self, path)

    monkeypatch.setattr(InBucket, "download", changed)
    with on_an_engine(SentFlow()):
        assert taken_with(store, "n1", settings) == here
    assert b"5" in s3.read("landing/a.csv")


def test_small_files_and_a_single_one_are_judged_here(tmp_path: Path) -> None:
    def files(*sizes: int) -> list[NewFile]:
        return [NewFile("a.csv", tmp_path / "a.csv", size, 0, "") for size in sizes]

    assert not is_worth_it(files())
    assert not is_worth_it(files(1000 * LEAST_BYTES))
    assert not is_worth_it(files(1000 * LEAST_BYTES, 1, LEAST_BYTES - 2))
    assert is_worth_it(files(LEAST_BYTES, 1, LEAST_BYTES - 1))
