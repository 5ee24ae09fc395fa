"""What fuzzed input is given to. A target raises AssertionError for what it must not accept."""

import contextlib
import functools
import json
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from cofi_jobs.core.errors import CofiError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.batches import rating_parts
from cofi_jobs.store.id_folders import folder_of, users_in
from cofi_jobs.store.paths import readable_path, store_path
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.run_keys import check_run_key
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from torture.fuzz_data import FuzzData, dumped
from torture.fuzz_readers import readers

HEADER = "user_id,item_id,rating,timestamp"
ROWS = "1,10,4,1000000000\n2,20,1,1000000001\n3,10,5,1000000002\n"
RATING_FILES = {
    "csv": f"{HEADER}\n{ROWS}".encode(),
    "tsv": f"{HEADER}\n{ROWS}".replace(",", "\t").encode(),
    "dat": ROWS.replace(",", "::").encode(),
    "jsonl": b'{"user_id": 1, "item_id": 10, "rating": 4, "timestamp": 1000000000}\n' * 3,
    "json": b'[{"user_id": "a", "item_id": "b", "rating": 2.5}, {"user_id": "c", "rating": 1}]',
}
HASH = "a" * 64
RECORDS = {
    "store.json": {
        "id_types": {"user_id": "integer", "item_id": "integer"},
        "scale": [1.0, 5.0],
        "feedback": "ratings",
    },
    "CURRENT.json": {"run_key": "n1", "path": "runs/n1"},
    "manifests/n1.json": {
        "run_key": "n1",
        "id_types": {"user_id": "integer", "item_id": "integer"},
        "files": [{"path": "recommendations/part-0.parquet", "rows": 1, "bytes": 9, "sha256": "0"}],
    },
    "merged.json": {"batches": ["n0"], "part": "up-to-n0.parquet", "rows": 3},
    "erased.json": {
        "users": [{"hash": HASH, "until": "2024-01-01T00:00:00+00:00", "pending": ["n1"]}]
    },
    "settings.json": {"settings": {"n_factors": 8}, "run_key": "n1"},
    "tasks/n1/ingest.json": {
        "files": [{"name": "a", "part": "part-0.parquet", "sha256": "0", "rows_taken": 3}],
        "scale": [1, 5],
    },
}


@contextmanager
def fresh_store() -> Iterator[Store]:
    """A store of its own, in memory where there is such a folder."""
    memory = Path("/dev/shm")
    folder = Path(mkdtemp(prefix="torture-", dir=memory if memory.is_dir() else None))
    try:
        yield Store(folder / "store").create()
    finally:
        shutil.rmtree(folder)


def run_keys(data: FuzzData) -> None:
    """A key that is taken names a folder of its own, and no other."""
    key = data.text()
    check_run_key(key)
    store = Store("/store")
    assert store.table(key, "").parent == Path("/store/runs"), "a key that leads elsewhere"
    assert store.table(key, "").resolve() == store.table(key, ""), "a key that leads elsewhere"
    assert not key.startswith("."), "a hidden key"


def settings(data: FuzzData) -> None:
    """Settings that are taken are taken again when they are written and read."""
    names = sorted(Settings.model_fields)
    texts = [
        f"{data.one_of([*names, data.text()])}={data.text()}" for _ in range(1 + data.number(2))
    ]
    if not data.number(4):
        texts.append(data.text())
    chosen = load_settings(texts).model_dump()
    again = Settings(**json.loads(json.dumps(chosen, allow_nan=False))).model_dump()
    assert again == chosen, "settings change when they are written"


def records(data: FuzzData) -> None:
    """A broken record is named, or does no harm."""
    with fresh_store() as store:
        (store.root / "erased.key").write_text("ab" * 32)
        broken = data.one_of(sorted(RECORDS))
        for name, content in RECORDS.items():
            path = store.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dumped(data.changed(content) if name == broken else content))
        had_users = broken != "erased.json"
        assert not had_users or Tombstones(store).users, "tombstones vanish"
        _read_records(store)


def _read_records(store: Store) -> None:
    for look in (store.records.properties, store.records.feedback, store.current, store.published):
        look()
    store.records.tuned()
    Tombstones(store).until(["1"])
    rating_parts(store)
    with contextlib.suppress(FileNotFoundError):  # it names the file, as readers know it
        current_run(store).recommendations("1")


def ids(data: FuzzData) -> None:
    """An id that was read is the same when it is read again."""
    text = data.text()
    once = clean_id(text)
    assert clean_id(once) == once or once.endswith(".0.0"), "an id changes when it is read again"


def names(data: FuzzData) -> None:
    """A folder of a user names this user; a path that is taken can be shown in one line."""
    text = clean_id(data.text())
    text.encode()
    if text:
        folder = folder_of("user_id", text)
        assert users_in(f"recommendations/{folder}/part-0.parquet") == {text}, "another user"
        assert "/" not in folder, "a folder with a slash"
    for check in (readable_path, store_path):
        assert "\n" not in check(Path("/landing") / data.text().replace("\x00", "")), "two lines"


def rating_files(data: FuzzData) -> None:
    """A broken file is refused, or each of its rows is taken or rejected."""
    kind = data.one_of(sorted(RATING_FILES))
    with fresh_store() as store:
        (store.landing / f"a.{kind}").write_bytes(data.mangled(RATING_FILES[kind]))
        quick = load_settings(["settle_seconds=0", "max_rejected=1", "threads=1"])
        outcome = run_task("ingest", store, quick, "n1")
        n = {name: outcome[f"rows_{name}"] for name in ("read", "taken", "refused")}
        assert n["read"] == n["taken"] + n["refused"], "rows are lost"


Target = Callable[[FuzzData], None]
TARGETS: dict[str, Target] = {
    "run_keys": run_keys,
    "settings": settings,
    "records": records,
    "ids": ids,
    "names": names,
    "rating_files": rating_files,
}
# Of 100 inputs, how many a target gets: files take a thousand times as long as ids.
SHARES = {
    **{"run_keys": 20, "settings": 25, "records": 15, "ids": 20, "names": 18},
    **{"rating_files": 1, "readers": 1},
}


def inputs_of(inputs: int) -> dict[str, int]:
    """Of so many inputs, how many each target gets."""
    return {target: max(inputs * share // 100, 1) for target, share in SHARES.items()}


def wrong(target: str, data: bytes, published: Path) -> str | None:
    """What is wrong about a target's answer to some bytes, None if nothing is.

    `published` is a store with a published run, for the target "readers".
    """
    logging.disable(logging.CRITICAL)
    targets: dict[str, Target] = {**TARGETS, "readers": functools.partial(readers, published)}
    try:
        targets[target](FuzzData(data))
    except (CofiError, UnicodeEncodeError) as error:
        return f"two lines: {error}" if "\n" in str(error) else None
    except Exception as error:
        places = [f for f in traceback.extract_tb(error.__traceback__) if "cofi_jobs" in f.filename]
        place = f"{Path(places[-1].filename).name} {places[-1].name}" if places else "here"
        return f"{type(error).__name__} in {place}: {error}"
    return None
