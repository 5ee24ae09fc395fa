"""Records are checked when they are read: a damaged one says so, whatever is wrong with it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cofi_jobs.cli.show import runs as show
from cofi_jobs.core.errors import CofiError, StoreError
from cofi_jobs.core.scale import scale_of
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.ingestion.properties import Properties
from cofi_jobs.report.overview import overview
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store import layout
from cofi_jobs.store.batches import rating_parts, taken_digests
from cofi_jobs.store.digests import compacted_file, files_of_run
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.record_json import parse
from cofi_jobs.store.status import latest_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tuning import tuned
from tests.support.repository import ROOT

KEY, REFUSED = "night-1", "night-2"
HASH = "0" * 64
FILE = {
    **{"name": "a.csv", "path": "/landing/a.csv", "bytes": 9, "mtime_ns": None, "sha256": HASH},
    **{"part": "part-0.parquet", "rows_read": 2, "rows_taken": 1, "rows_refused": 1},
    "reasons": {"rating is missing": 1},
}
FIRST = json.loads((ROOT / "tests" / "data" / "first_manifest.json").read_text())
INGEST, NORMALIZE = f"tasks/{KEY}/ingest.json", f"tasks/{KEY}/normalize.json"
FAILED, MANIFEST = f"tasks/{REFUSED}/evaluate.failed.json", f"manifests/{KEY}.json"
# A sound store: each record by its name. Those of tasks and of the store have no field that the
# first release did not write, but for files that it did not have.
RECORDS: dict[str, dict[str, Any]] = {
    "order.json": {"runs": [{"key": KEY}, {"key": "a", "removed": True}, {"key": REFUSED}]},
    "CURRENT.json": {"run_key": KEY, "path": f"runs/{KEY}"},
    "store.json": {"user_id": "integer", "item_id": "string", "scale": [1, 5.0]},
    "merged.json": {"batches": [], "part": "up-to-a.parquet", "rows": 3, "bytes": 1, "sha256": ""},
    "erased.json": {
        "users": [{"hash": HASH, "until": "2026-01-01T00:00:00+00:00", "pending": [KEY]}]
    },
    "settings.json": {"settings": {"n_factors": 8}},
    INGEST: {
        **{"files": [FILE], "scale": None, "rows_taken": 1, "settings": {}, "seconds": 0.5},
        "digests": {f"ratings/batch={KEY}/part-0.parquet": {"bytes": 1, "sha256": HASH}},
    },
    NORMALIZE: {"batches": [KEY], "n_users": 1, "n_items": 1, "settings": {}, "seconds": 0.5},
    FAILED: {"error": "refused", "permanent": True, "metrics": FIRST["metrics"]},
    MANIFEST: FIRST | {"run_key": KEY, "batches": [KEY]},
    ".lease": {"holder": "host, process 1", "seconds": 60},
}
NAMES = list(RECORDS)
ADVICE = {
    **dict.fromkeys(
        ("order.json", "store.json", "merged.json", INGEST), "restore it from a backup"
    ),
    **{"erased.json": "erased users would come back", "settings.json": "and runs do without"},
    **{"CURRENT.json": "`cofi rollback` writes it", NORMALIZE: "remove it and run the task again"},
    **{FAILED: "; remove it", MANIFEST: "`cofi rollback` gives readers another run meanwhile"},
    ".lease": "remove it while no task works on the store",
}


def write(store: Store, name: str, content: str | bytes | dict[str, Any]) -> None:
    text = json.dumps(content) if isinstance(content, dict) else content
    path = store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def sound(root: Path) -> Store:
    store = Store(root).create()
    for name, content in RECORDS.items():
        write(store, name, content)
    for key in (KEY, REFUSED):
        store.table(key, "").mkdir(parents=True)
    (store.root / "erased.key").write_text("0" * 64 + "\n")
    return store


def use(store: Store) -> None:
    """What tasks, commands and pages make of the records."""
    parse((store.root / ".lease").read_bytes(), ".lease", store.location)
    overview(store, list(TASKS))
    show.runs(store, list(TASKS))
    latest_run(store)
    rating_parts(store)
    taken_digests(store)
    compacted_file(store.records)
    for key in store.run_keys():
        files_of_run(store.records, key)
    Tombstones(store).until(["17"])
    Properties.of(store.records.properties() or {})
    scale_of(store.required_outcome(KEY, "ingest")["scale"])
    tuned.read(store)
    run = current_run(store)
    run.id_of("user_id", "17")
    from_record(run.manifest["settings"])


def message(store: Store, name: str) -> str:
    """The one sentence that a damaged record gives: it names the file and says what to do."""
    with pytest.raises(CofiError) as error:
        use(store)
    text = str(error.value)
    assert text.startswith(f"{store.location}/{name}")
    assert text.isprintable()
    assert len(text) < 500
    return text


def test_records_of_the_first_release_are_read(tmp_path: Path) -> None:
    use(sound(tmp_path / "store"))


@pytest.mark.parametrize("name", NAMES)
def test_fields_of_newer_versions_are_let_through(tmp_path: Path, name: str) -> None:
    store = sound(tmp_path / "store")
    write(store, name, {**RECORDS[name], "of_a_newer_version": [None]})
    use(store)


NO_RECORDS: dict[str | bytes, str] = {
    "null": "found null, expected an object",
    "3": "found 3, expected an object",
    '"x"': 'found "x", expected an object',
    '"\\ud800"': 'found "\\ud800", expected an object',
    "[]": "found [], expected an object",
    "": "is not valid JSON",
    '{"run_key": "a"': "is not valid JSON",
    "[" * 100_000: "is not valid JSON",
    b"\xff\xfe\x00": "is not valid JSON",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", NO_RECORDS, ids=range(len(NO_RECORDS)))
def test_what_is_no_record_says_so(tmp_path: Path, name: str, text: str | bytes) -> None:
    store = sound(tmp_path / "store")
    write(store, name, text)
    said = message(store, name)
    assert NO_RECORDS[text] in said
    assert ADVICE[name] in said


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("order.json", "runs"), ("order.json", "runs.0.key"), ("CURRENT.json", "run_key")),
        *(("store.json", "user_id"), ("store.json", "item_id"), ("store.json", "scale")),
        *(("merged.json", "batches"), ("merged.json", "part"), ("merged.json", "rows")),
        *(("erased.json", "users"), ("erased.json", "users.0.hash")),
        *(("erased.json", "users.0.until"), ("erased.json", "users.0.pending")),
        *((INGEST, "files"), (INGEST, "files.0.part"), (INGEST, "files.0.rows_taken")),
        *((FAILED, "error"), (FAILED, "permanent"), (FAILED, "metrics.ranking")),
        *((MANIFEST, "run_key"), (MANIFEST, "files.0.path"), (MANIFEST, "files.0.sha256")),
        *((MANIFEST, "id_types"), (MANIFEST, "metrics"), (INGEST, "scale")),
        *((".lease", "holder"), (".lease", "seconds")),
        *((NORMALIZE, "settings"), (NORMALIZE, "seconds")),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, name: str, field: str) -> None:
    content, (*above, last) = copy.deepcopy(RECORDS[name]), field.split(".")
    part: Any = content
    for key in above:
        part = part[int(key) if key.isdigit() else key]
    del part[last]
    store = sound(tmp_path / "store")
    write(store, name, content)
    said = message(store, name)
    assert f"in {field}: found no such field" in said or f"found no field '{last}'" in said
    assert ADVICE[name] in said


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("CURRENT.json", {"run_key": "../x"}, 'in run_key: found "../x", expected string to match'),
        ("CURRENT.json", {"run_key": KEY, "path": "/etc"}, 'in path: found "/etc", expected'),
        (
            "CURRENT.json",
            {"run_key": KEY, "path": "runs/night-0"},
            f"another value: the path of this run is runs/{KEY}",
        ),
        ("order.json", {"runs": [{"key": 3}]}, "in runs.0.key: found 3, expected a valid string"),
        ("erased.json", {"users": None}, "in users: found null, expected a valid list"),
        ("erased.json", {"users": {}}, "in users: found {}, expected a valid list"),
        (
            "erased.json",
            {"users": [{"hash": HASH, "until": "2026-01-01", "pending": []}]},
            'in users.0.until: found "2026-01-01", expected another value: it has no time zone',
        ),
        ("merged.json", {"batches": "a", "part": None, "rows": 0}, "expected a valid list"),
        ("merged.json", {"batches": [], "part": "../a", "rows": 0}, 'in part: found "../a"'),
        ("merged.json", {"batches": [], "part": None, "rows": "3"}, "expected a valid integer"),
        ("merged.json", {"batches": [], "part": None, "rows": -1}, "greater than or equal to 0"),
        ("store.json", {"user_id": "int", "item_id": "string", "scale": None}, "'integer'"),
        (INGEST, {"files": [[]]}, "in files.0: found [], expected an object"),
        (INGEST, {"files": [], "digests": {"/etc": {}}}, "in digests./etc"),
        (NORMALIZE, {"n_users": True}, "in n_users: found true, expected a valid integer"),
        (NORMALIZE, {}, "in settings: found no such field, expected one"),
        (FAILED, {"error": ["x"], "permanent": True}, "in error: found"),
        (MANIFEST, FIRST | {"scale": [1]}, "in scale: found [1], expected"),
        (MANIFEST, FIRST | {"metrics": {"ranking": {}}}, "it has no ndcg@<n>"),
        (".lease", {"holder": "a", "seconds": "60"}, "in seconds: found"),
    ],
)
def test_a_value_of_a_wrong_type_says_what_was_found_and_expected(
    tmp_path: Path, name: str, content: dict[str, Any], expected: str
) -> None:
    store = sound(tmp_path / "store")
    write(store, name, content)
    said = message(store, name)
    assert expected in said
    assert ADVICE[name] in said


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a record."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    inner = [places(part, (*place, key)) for key, part in items if isinstance(part, dict | list)]
    return [*((*place, key) for key, _ in items), *(deeper for of in inner for deeper in of)]


def changed(name: str, place: tuple[Any, ...], value: Any) -> str:
    """A record with another value in a place; with the value itself as REMOVED, without it."""
    content = copy.deepcopy(RECORDS[name])
    part: Any = content
    for key in place[:-1]:
        part = part[key]
    if value is REMOVED:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return json.dumps(content)


REMOVED = object()
WRONG = st.sampled_from(
    [REMOVED, None, True, -1, 0.5, 10**400, "text", "../x", "\ud800", [], [None], {}, {"a": 1}]
)
CHANGES = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.one_of(
            st.builds(changed, st.just(name), st.sampled_from(places(RECORDS[name])), WRONG),
            st.integers(0, 200).map(lambda end: json.dumps(RECORDS[name])[:end]),
            st.binary(max_size=9),
        ),
    )
)


@given(CHANGES)
@example(("erased.json", "null"))
@settings(max_examples=60, deadline=None)
def test_whatever_is_wrong_with_a_record_the_errors_are_those_of_the_project(
    tmp_path_factory: pytest.TempPathFactory, change: tuple[str, str | bytes]
) -> None:
    store = sound(tmp_path_factory.mktemp("store"))
    write(store, *change)
    said = ""
    try:
        use(store)
    except CofiError as error:
        said = str(error)
    assert said.isprintable()


def test_a_field_that_is_asked_for_and_missing_names_the_file(store: Store) -> None:
    store.records.write_outcome(KEY, "train", {"settings": {"a": 1}, "seconds": 1.0})
    outcome = store.required_outcome(KEY, "train")
    asked: list[Callable[[], Any]] = [
        lambda: outcome["liked_from"],
        lambda: outcome["settings"]["damping"],
    ]
    for ask in asked:
        with pytest.raises(StoreError, match=f"tasks/{KEY}/train.json: found no field '(liked|da)"):
            ask()
    assert outcome.get("liked_from") is None


def test_what_only_a_newer_version_knows_stays_when_a_record_is_changed(store: Store) -> None:
    newer = {"of_a_newer_version": {"a": 1}}
    names = (layout.ORDER, layout.COMPACTED, layout.TOMBSTONES)
    for name in names:
        write(store, name, {**RECORDS[name], **newer})
    records = store.records
    records.write_begun([*records.begun(), {"key": "next"}])
    records.write_compacted({**records.compacted(), "rows": 9})
    records.write_tombstones([])
    for name in names:
        assert json.loads((store.root / name).read_text())["of_a_newer_version"] == {"a": 1}


def test_a_damaged_pointer_can_be_removed_and_written_anew(tmp_path: Path) -> None:
    store = sound(tmp_path / "store")
    write(store, "CURRENT.json", "{")
    with pytest.raises(StoreError):
        store.set_current(KEY)
    (store.root / "CURRENT.json").unlink()  # as the message says
    store.set_current(KEY)
    assert store.current() == KEY
    assert (store.root / "current").readlink() == Path("runs") / KEY


def test_what_a_killed_write_leaves_is_no_record(store: Store) -> None:
    store.records.write_manifest(KEY, {"run_key": KEY})
    write(store, "manifests/.tmp-night-2.json", "{")
    assert store.published() == [KEY]
