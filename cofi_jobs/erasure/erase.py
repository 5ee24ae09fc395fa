"""Erase: remove all that the store holds of given users, and look whether it is gone.

Everything is done with the locks of all tasks held, so no task sees a half. Each step replaces a file or a folder at
once and finds what an interrupted attempt has done already, so `erase` can be run again. First come the tombstones:
whatever happens then, the users do not come back. Messages and outcomes never hold an id.
"""

import html
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cofi_jobs.core.errors import CofiError, SettingsError, StoreError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.erasure import tombstones as erasure
from cofi_jobs.erasure.tombstones import BREAKS
from cofi_jobs.ingestion import formats as sources
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import compacted_part, rating_parts, recover, taken_digests
from cofi_jobs.store.erasure_key import erasure_key
from cofi_jobs.store.files import sha256, write_json
from cofi_jobs.store.schemas import PUBLISHED, users_in
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS

log = logging.getLogger(__name__)

# Columns that hold no user: a user 17 is not found in an item 17 or a rank 17.
NO_USERS = {
    *(
        "item_id",
        "similar_item_id",
        "because_item_id",
        "title",
        "groups",
        "user_index",
        "item_index",
        "row",
        "rank",
    ),
    *(
        "n_ratings",
        "n_known",
        "n_held_out",
        "n_wanted",
        "epoch",
        "step",
        "fit",
        "head",
        "batch",
        "file",
    ),
}
# Places that hold no user either: items, a tuning's trials, hashes. The minute of a time there is not the user 13.
UNSEARCHED = ("catalogue", "lists", "tune", "settings.json", "erased.json", "erased.key")
FREE_TEXT = ("error", "refusals")  # fields of tasks/ and manifests/ that are sentences


@dataclass
class Found:
    """Where a scan looked, and what it found; paths are below the store's root."""

    files: int = 0
    skipped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # gone with the next publication
    left: list[str] = field(default_factory=list)
    delivered: bool = False  # whether there are tables in a database, of which a scan knows nothing


def erase(store: Store, settings: Settings, user_ids: Sequence[str], now: bool = False) -> Found:
    """Remove users from the store; returns what a scan finds afterwards.

    Batches, refused rows, taken files of the landing folder and the tables of runs that readers do not see are cleaned
    here. Published tables are cleaned by the next publication, or here with `now`.
    Raises StoreError if `root` is no store.
    """
    users = _checked(store, user_ids)
    with ExitStack() as stack:
        # publish comes before ingest, as it holds its own lock when it takes that one.
        for task in ("deliver", *reversed(TASKS)):
            store = stack.enter_context(store.lock(task))
        recover(store)
        with sql.connect(settings, store.root) as connection:
            parts = _parts_with(connection, store, users)
            _bury(store, users, max((newest or 0 for _, newest in parts.values()), default=0))
            _clean_landing(connection, store, users)
            _clean_merged(store, users, parts)
            for key in store.batches():
                _clean_batch(store, key, users, parts)
            for key in store.run_keys():
                removed = erasure.clean_run(
                    store, key, erasure.matches(users), shown=store.manifest(key) is None
                )
                if removed:
                    log.info("%d rows removed from tables of run %s", removed, key)
                _clean_report(store, key, users)
            _clean_messages(store, users)
            if now:
                erasure.finish(store)
            return scan(connection, store, users)


def look(store: Store, settings: Settings, user_ids: Sequence[str]) -> Found:
    """What a scan finds of users, without changing anything."""
    users = _checked(store, user_ids)
    with store.lock("look") as store, sql.connect(settings, store.root) as connection:
        return scan(connection, store, users)


def scan(connection: duckdb.DuckDBPyConnection, store: Store, users: Sequence[str]) -> Found:
    """Search every file of the store for users' ids: whole, as number and as text.

    Columns of tables that hold something else (items, ranks, counts) are not searched, nor is what is UNSEARCHED.
    """
    found = Found(delivered=any(store.root.glob("tasks/*/deliver.json")))
    pending = {key for user in store.records.tombstones() for key in user["pending"]}
    for path in sorted(
        path
        for path in store.root.rglob("*")
        if path.is_file() and not path.name.startswith(".lock-")
    ):
        name = path.relative_to(store.root)
        place = name.parts[0]
        if place in UNSEARCHED or any(part.startswith(".spill") for part in name.parts):
            continue
        if place == "current":  # the link: its files are seen below runs/
            continue
        found.files += 1
        shown = (
            place == "runs"
            and len(name.parts) > 2
            and name.parts[1] in pending
            and name.parts[2] in PUBLISHED
        )
        try:
            if place == "landing":
                hit = bool(_rows_in(connection, path, users))
                shown = not path.name.startswith(".")
            elif path.suffix == ".parquet":
                hit = _in_parquet(path, users) or not users_in(name).isdisjoint(users)
            else:
                text = html.unescape(path.read_text(encoding="utf-8"))
                free = place in ("tasks", "manifests")
                hit = any(
                    _pattern(users).search(part)
                    for part in _texts(text, path, FREE_TEXT if free else None)
                )
                if (
                    place == "manifests"
                    and path.suffix == ".json"
                    and _in_manifest(json.loads(text), users)
                ):
                    hit, shown = True, path.stem in pending
        except UnicodeDecodeError:
            found.skipped.append(str(name))
            continue
        if hit:
            (found.waiting if shown else found.left).append(
                re.sub("user_id=[^/]*", "user_id=***", str(name))
            )
    return found


def _checked(store: Store, user_ids: Sequence[str]) -> list[str]:
    users = sorted({clean_id(user_id) for user_id in user_ids} - {""})
    if not users:
        raise SettingsError("found no user id, expected at least one")
    if not (store.exists() and store.landing.is_dir()):
        raise StoreError(
            f"found no store in {store.location}, expected one in which ingest has run"
        )
    return users


def _pattern(users: Sequence[str]) -> re.Pattern[str]:
    """A regular expression that finds any of the ids as a whole word; also for Arrow's RE2, so without look-around."""
    ids = "|".join(re.escape(user) for user in users)
    return re.compile(f"(^|[{BREAKS}])({ids})(\\.0)?([{BREAKS}]|$)")


def _parts_with(
    connection: duckdb.DuckDBPyConnection, store: Store, users: Sequence[str]
) -> dict[Path, tuple[int, int | None]]:
    """The batches' files that hold the users: how many rows, and the newest time among them in µs since 1970."""
    parts = [*rating_parts(store)]
    if not parts:
        return {}
    rows = connection.execute(
        f"""SELECT filename, count(*), max(epoch_us(timestamp)) FROM read_parquet({sql.files(parts)}, filename = true)
        WHERE user_id::VARCHAR IN (SELECT unnest($users)) GROUP BY filename""",
        {"users": list(users)},
    ).fetchall()
    return {Path(name): (count, newest) for name, count, newest in rows}


def _bury(store: Store, users: Sequence[str], newest: int) -> None:
    """Write the users' tombstones. A rating dated in the future must not come back either."""
    key = erasure_key(store)
    until = max(
        datetime.now(UTC), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
    )
    buried = {user["hash"]: user for user in store.records.tombstones()}
    for user in users:
        digest = erasure.hash_of(user, key)
        buried[digest] = {"hash": digest, "until": until.isoformat(), "pending": store.published()}
    store.records.write_tombstones([buried[digest] for digest in sorted(buried)])


def _clean_landing(
    connection: duckdb.DuckDBPyConnection, store: Store, users: Sequence[str]
) -> None:
    """Remove taken files that hold the users: what others have in them is in the batches."""
    taken = taken_digests(store)
    removed: dict[str, list[Path]] = {}
    for path in sources.drop_files(store.landing):
        if _rows_in(connection, path, users):
            digest = sha256(path)
            if digest in taken:
                removed.setdefault(digest, []).append(path)
            else:
                log.warning("a file in %s holds rows of the users and was not taken yet; the next night takes it "
                            "without them and removes it", store.landing)  # fmt: skip
    for key in store.batches():
        outcome = store.required_outcome(key, "ingest")
        own = [file for file in outcome["files"] if file["sha256"] in removed]
        for file in own:
            file["mtime_ns"] = None  # should it be dropped again, it is read again
        if own:
            store.records.write_outcome(key, "ingest", outcome)
    for path in (path for paths in removed.values() for path in paths):
        path.unlink()
        log.info("removed a taken file with rows of the users from %s", store.landing)


def _rows_in(connection: duckdb.DuckDBPyConnection, path: Path, users: Sequence[str]) -> int:
    """How many rows of a file are of the users; in a file that cannot be read as ratings, how many lines name them."""
    try:
        if sources.is_empty(path):
            return 0
        query = sources.rating_file(connection, path).query
        [(count,)] = connection.execute(
            f"""SELECT count(*) FROM ({query}) WHERE user_id IN (SELECT unnest($users))
            OR (user_id IS NULL AND regexp_matches(raw, $pattern))""",
            {"users": list(users), "pattern": _pattern(users).pattern},
        ).fetchall()
        if sources.is_text(path):
            malformed = connection.execute("SELECT csv_line FROM reject_errors").fetchall()
            connection.execute("DELETE FROM reject_errors")
            count += sum(bool(_pattern(users).search(line or "")) for (line,) in malformed)
        return count
    except (CofiError, duckdb.Error):
        lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
        return sum(bool(_pattern(users).search(line)) for line in lines)


def _clean_merged(store: Store, users: Sequence[str], parts: dict[Path, Any]) -> None:
    """Remove the users' ratings of merged batches, as `_clean_batch` does."""
    merged = store.records.compacted()
    if merged["part"] is None or (old := compacted_part(store, merged["part"])) not in parts:
        return
    new = old.with_name(_next_name(old.name))
    erasure.copy_without(store, pq.ParquetFile(old), new, erasure.matches(users))
    n_erased = parts[old][0]
    merged["part"] = new.name
    merged["rows"] -= n_erased
    merged["rows_erased"] = merged.get("rows_erased", 0) + n_erased
    store.records.write_compacted(merged)
    old.unlink()
    log.info("removed the users from the merged batches")


def _next_name(part: str) -> str:
    stem, _, number = part.removesuffix(".parquet").partition("-erased-")
    return f"{stem}-erased-{int(number or 0) + 1}.parquet"


def _clean_batch(store: Store, key: str, users: Sequence[str], parts: dict[Path, Any]) -> None:
    """Remove the users' ratings and refused rows of a batch.

    Files are written anew under new names; the batch's record, which names them, is replaced in one step.
    """
    outcome = store.required_outcome(key, "ingest")
    old = []
    for file in outcome["files"]:
        taken, refused = store.ratings(key) / file["part"], store.rejected(key) / file["part"]
        bad = pq.read_table(refused) if refused.exists() else None
        mask = _refused_rows(bad, users) if bad is not None else None
        if taken not in parts and (mask is None or not pc.any(mask).as_py()):
            continue
        part = _next_name(file["part"])
        old.append(file["part"])
        file["rows_erased"] = file.get("rows_erased", 0) + parts.get(taken, (0, None))[0]
        if taken.exists():  # else its batch is merged
            erasure.copy_without(
                store, pq.ParquetFile(taken), taken.with_name(part), erasure.matches(users)
            )
        if bad is not None:
            with store.replace_file(refused.with_name(part)) as target:
                pq.write_table(_without(bad, mask), target, compression="zstd")
        file["part"] = part
    if old:
        store.records.write_outcome(key, "ingest", outcome)
        log.info("removed the users from batch %s", key)
        for name in old:
            for folder in (store.ratings(key), store.rejected(key)):
                (folder / name).unlink(missing_ok=True)


def _refused_rows(table: pa.Table, users: Sequence[str]) -> pa.Array:
    """Mask of refused rows that are the users', or name them where whose they are is unknown."""
    by_text = pa.array([False] * len(table))
    for column in ("raw", "reason"):
        hit = pc.match_substring_regex(table[column].cast(pa.string()), _pattern(users).pattern)
        by_text = pc.or_(by_text, pc.fill_null(hit, False))
    if "user_id" not in table.column_names:
        return by_text
    own = pc.fill_null(
        pc.is_in(table["user_id"].cast(pa.string()), value_set=pa.array(users)), False
    )
    return pc.or_(own, pc.and_(pc.is_null(table["user_id"]), by_text))


def _without(table: pa.Table, mask: pa.Array) -> pa.Table:
    """Refused rows, of which those of the mask only say that they were there."""
    for name in ("raw", "reason", "user_id"):
        if name in table.column_names:
            place, value = (
                table.schema.get_field_index(name),
                erasure.REASON if name == "reason" else None,
            )
            column = pc.if_else(mask, pa.scalar(value, table.schema.field(name).type), table[name])
            table = table.set_column(place, table.schema.field(name).with_nullable(True), column)
    return table


def _clean_report(store: Store, key: str, users: Sequence[str]) -> None:
    """Remove the report of a run that shows a user."""
    for path in store.table(key, "report").rglob("*"):
        if path.suffix in (".html", ".md", ".txt", ".json", ".svg", ".csv") and _pattern(
            users
        ).search(html.unescape(path.read_text(encoding="utf-8", errors="replace"))):
            path.unlink()
            log.info("removed the report of run %s, which showed a user", key)


def _clean_messages(store: Store, users: Sequence[str]) -> None:
    """Blot the users out of the sentences in tasks/ and manifests/: an error quotes what it found."""
    for path in [*store.root.glob("tasks/*/*.json"), *store.root.glob("manifests/*.json")]:
        text = path.read_text(encoding="utf-8")
        if any(_pattern(users).search(part) for part in _texts(text, path, FREE_TEXT)):
            blotted = _blot(json.loads(text), _pattern(users))
            write_json(path, blotted)


def _blot(value: Any, pattern: re.Pattern[str], free: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _blot(part, pattern, free or key in FREE_TEXT) for key, part in value.items()}
    if isinstance(value, list):
        return [_blot(part, pattern, free) for part in value]
    if not (free and isinstance(value, str)):
        return value
    while pattern.search(value):  # two ids can share the character between them
        value = pattern.sub(r"\1***\4", value)
    return value


def _texts(text: str, path: Path, only: Sequence[str] | None) -> Iterator[str]:
    """What people or programs wrote as text in a file: of JSON its strings, if given those of some fields only."""
    try:
        if path.suffix != ".json":
            raise ValueError
        stack = [(json.loads(text), only is None)]
    except ValueError:
        yield text
        return
    while stack:
        value, wanted = stack.pop()
        if isinstance(value, dict):
            stack += [(part, wanted or key in (only or ())) for key, part in value.items()]
        elif isinstance(value, list):
            stack += [(part, wanted) for part in value]
        elif isinstance(value, str) and wanted:
            yield value


def _in_manifest(manifest: dict[str, Any], users: Sequence[str]) -> bool:
    """Whether the list of files names a user, as the first or last of a file or as the folder of a file."""
    ids = set()
    for file in manifest.get("files", ()):
        if not file["path"].startswith(("similar_items", "popular_items", "model/item")):
            ids |= {str(file.get(name)) for name in ("first_id", "last_id")}
        ids |= users_in(file["path"])
    return not ids.isdisjoint(users)


def _in_parquet(path: Path, users: Sequence[str]) -> bool:
    """Whether a column that may hold users has one of them."""
    if "rejected" in path.parts[-3:-1] or path.parent.parent.name == "rejected":
        return bool(pc.any(_refused_rows(pq.read_table(path), users)).as_py())
    dataset = ds.dataset(path, format="parquet")
    tests = []
    for column in dataset.schema:
        if column.name in NO_USERS:
            continue
        if pa.types.is_integer(column.type):
            numbers = [int(user) for user in users if re.fullmatch(r"-?[0-9]{1,18}", user)]
            tests.append(ds.field(column.name).isin(numbers))
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            if column.name != "user_id":  # there an id stands alone: "anna\t" is not "anna"
                pattern = _pattern(users).pattern
                tests.append(pc.match_substring_regex(ds.field(column.name), pattern))
            tests.append(ds.field(column.name).isin(list(users)))
    return any(dataset.count_rows(filter=test) > 0 for test in tests)
