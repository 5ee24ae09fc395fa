"""Ingest: new rating files become this run's batch of clean ratings; bad rows go to rejected/ with a reason."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.core.progress import track
from cofi_jobs.erasure import tombstones as erasure
from cofi_jobs.ingestion import bucket_files as source_files
from cofi_jobs.ingestion import formats as sources
from cofi_jobs.ingestion import plain_files
from cofi_jobs.ingestion import query_rows as source_query
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import show_rejected
from cofi_jobs.store.files import sha256
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

COUNTS = ("rows_read", "rows_taken", "rows_refused")
# What the column `op` may say, in words and as the letters of change data capture; no word is an insert.
WRITES = ("", "insert", "upsert", "update", "create", "read", "i", "c", "r", "u")
DELETES = ("delete", "d")
LARGEST = 1e9  # rating
OUTSIDE = "rating is outside the scale"
STAGING = (
    "staging"  # a database for the rows of a night, in a file: it keeps them small, and memory free
)
# What its tables have. Nearly all rows are numbers; what else there is of the others is one column, not five more to
# write for every row.
STAGED = """
    SELECT user_number, item_number, value, time, texts[1] AS user_id, texts[2] AS item_id, texts[3] AS reason,
        texts[4] AS raw, coalesce(texts[5]::BIGINT, rowid + 1) AS row"""


@dataclass(frozen=True)
class Bounds:
    """What ratings must keep to: columns whose ids must be integers, lowest and highest rating."""

    integers: Sequence[str] = ()
    low: float = -LARGEST
    high: float = LARGEST


@dataclass(frozen=True)
class Staged:
    """The rows of a file, a view in SQL, see STAGED; of a plain file only those that are refused."""

    view: str
    plain: plain_files.Plain | None = None


def judged(source: sources.RatingFile, bounds: Bounds) -> str:
    """SELECT that gives a file's rows their values, and where that is not all of a row its `texts`, see STAGED.

    An id is a number, or else a text: `user_number` or `user_id`. A row is refused if it has a `reason`; then its text
    `raw` is kept. A row that withdraws a rating has no value. A rating such as 4,5 is 4.5. A time is a number of
    seconds since 1970 (milli-, micro- or nanoseconds where the number is too large for that) or an ISO 8601 time, UTC
    if it names no zone.

    What nearly all rows are, numbers as they should be, is asked first; nothing else is worked out for those.
    """
    seconds = "CASE WHEN abs(number) < 1e14 THEN number / 1e3 WHEN abs(number) < 1e17 THEN number / 1e6 ELSE number / 1e9 END"
    time = f"""CASE WHEN abs(number) < 1e11 THEN to_timestamp(number)
        ELSE coalesce(TRY(to_timestamp({seconds})), try_cast(trim(timestamp) AS TIMESTAMPTZ)) END"""
    withdrawn = f"coalesce(op IN {DELETES}, false)"
    comma = "CASE WHEN regexp_full_match(trim(rating), '[+-]?[0-9]+,[0-9]{1,2}') THEN replace(rating, ',', '.') END"
    value = f"CASE WHEN NOT {withdrawn} THEN coalesce(stars, try_cast({comma} AS FLOAT)) END"
    no_time = (
        "time IS NULL OR NOT isfinite(time)" if source.timed else "false"
    )  # "infinity" would be newest for ever
    inside = f"value BETWEEN {bounds.low}::FLOAT AND {bounds.high}::FLOAT"
    good = f"user_number IS NOT NULL AND item_number IS NOT NULL AND {inside} AND op IS NULL AND NOT ({no_time})"
    checks = [
        f"WHEN {_not_integer(column)} THEN '{column} is not an integer like the others: ' || {column}"
        for column in bounds.integers
    ]
    checks.append(f"WHEN NOT {inside} THEN '{OUTSIDE}: ' || value")
    fields = ", ".join(f"{field} AS {name}" for name, field in source.fields.items())
    return f"""
        SELECT user_number, item_number, value, time, CASE
            WHEN reason IS NOT NULL THEN [user_id, item_id, reason, {source.raw}, {source.row}]
            WHEN user_number IS NULL OR item_number IS NULL THEN [user_id, item_id, NULL, NULL, NULL] END AS texts
        FROM (SELECT *, CASE WHEN {good} THEN NULL ELSE coalesce(CASE
            WHEN {source.broken} THEN 'line is not a JSON object'
            WHEN user_number IS NULL AND coalesce(user_id, '') = '' THEN 'user_id is missing'
            WHEN item_number IS NULL AND coalesce(item_id, '') = '' THEN 'item_id is missing'
            WHEN op NOT IN {WRITES + DELETES} THEN 'op is unknown: ' || op
            WHEN {no_time} THEN 'timestamp is unreadable: ' || coalesce(trim(timestamp), '')
            WHEN {withdrawn} THEN NULL
            WHEN coalesce(trim(rating), '') = '' THEN 'rating is missing'
            WHEN value IS NULL OR NOT isfinite(value) THEN 'rating is not a number: ' || trim(rating)
            WHEN abs(value) > {LARGEST} THEN 'rating is too large: ' || trim(rating)
            END, CASE {" ".join(checks)} END) END AS reason
        FROM (SELECT * REPLACE (
            CASE WHEN user_number IS NULL THEN {sources.clean_id("user_id")} END AS user_id,
            CASE WHEN item_number IS NULL THEN {sources.clean_id("item_id")} END AS item_id),
            {value} AS value, {time} AS time
        FROM (SELECT * REPLACE (
            CASE WHEN user_number::VARCHAR = user_id THEN user_number END AS user_number,
            CASE WHEN item_number::VARCHAR = item_id THEN item_number END AS item_number)
        FROM (SELECT * REPLACE (lower(trim(op)) AS op), try_cast(user_id AS BIGINT) AS user_number,
            try_cast(item_id AS BIGINT) AS item_number, try_cast(rating AS FLOAT) AS stars,
            try_cast(timestamp AS DOUBLE) AS number
        FROM (SELECT *, {fields} FROM {source.cells})))))"""


def run(
    store: Store, settings: Settings, run_key: str, ratings: Sequence[Path] = ()
) -> dict[str, Any]:
    """Take what is new of the sources, files and rows of the query, into the batch of this run; see `take`."""
    with (
        source_query.extracted(store, settings, run_key) as extract,
        source_files.downloaded(store, settings, run_key) as download,
    ):
        outcome = take(store, settings, run_key, [*ratings, *extract.files, *download.files])
    for file in outcome["files"]:
        if Path(file["path"]) in extract.files:
            file["source"] = extract.source
    return {
        **outcome,
        "reads": [*extract.reads, *download.reads],
        "objects": dict(download.objects),
    }


def take(store: Store, settings: Settings, run_key: str, ratings: Sequence[Path]) -> dict[str, Any]:
    """Take every new file of the landing folder, and the files given, into the batch of this run.

    A file is new if no other run has taken a file of the same content. A rerun makes its own batch anew, and keeps
    what it took from files that have since gone. Raises DataError for a file that cannot be read as ratings, and if
    too many rows are refused; then nothing is taken, and rejected/ shows them unless the run has a batch already.
    """
    merged = store.records.compacted()["batches"]
    if merged and run_key <= merged[-1]:
        raise StoreError(
            f"found the batches up to {merged[-1]} compacted, so run {run_key} can take no more ratings"
        )
    tombstones = erasure.Tombstones(store)
    landed = sources.settled(sources.drop_files(store.landing), settings.settle_seconds)
    batch, replayed = _batch(store, run_key, [*landed, *(path.absolute() for path in ratings)])
    properties = store.records.properties()
    gone = any(
        "part" in file for file in batch
    )  # what was taken from files that have gone fits the properties
    if store.batches() in ([], [run_key]) and not gone:
        properties = None  # this is the first night, perhaps anew
    bounds = _bounds(settings, properties)
    with (
        store.replace_folder(store.ratings(run_key)) as taken,
        store.replace_folder(store.rejected(run_key)) as refused,
        sql.connect(settings, taken) as connection,
    ):
        for path in replayed if tombstones.users else ():
            if path.parent == store.landing and _shows_erased(connection, path, tombstones):
                path.unlink()
                log.info(
                    "removed a file with rows of erased users, whose content an earlier run took: %s",
                    path,
                )
        sql.attach(connection, STAGING)
        staged = {}
        integers = len(bounds.integers) == 2 or (
            properties is None and settings.id_type == "auto"
        )  # or may be
        for number, file in track(list(enumerate(batch)), "reading rating files"):
            if "part" not in file:
                target = taken / _part(file) if integers and not tombstones.users else None
                staged[number] = _stage(connection, number, Path(file["path"]), bounds, target)
                stat = Path(file["path"]).stat()
                if (stat.st_size, stat.st_mtime_ns) != (file["bytes"], file["mtime_ns"]):
                    raise RuntimeError(
                        f"{file['path']} was changed while it was read"
                    )  # a retry reads it again
                if tombstones.users:
                    _bar_erased(connection, number, tombstones)
        if properties is None:
            properties = _first_night(store, settings, connection, list(staged.values()))
            for number, rows in staged.items():
                if rows.plain and "string" in (
                    properties["user_id"],
                    properties["item_id"],
                ):  # by another file
                    staged[number] = _stage(connection, number, Path(batch[number]["path"]), bounds)
        id_types = {column: properties[column] for column in ("user_id", "item_id")}
        scale = _scale(settings, properties["scale"])
        for number, file in enumerate(batch):
            part = _part(file)
            if number in staged:
                file |= _write(
                    connection,
                    staged[number],
                    file["name"],
                    id_types,
                    scale,
                    taken / part,
                    refused / part,
                )
                log.info(
                    "%s: %d rows read, %d taken, %d refused",
                    *(file[key] for key in ("path", *COUNTS)),
                )
            else:
                log.warning(
                    "%s is gone; what an earlier attempt of this run took from it is kept",
                    file["path"],
                )
                part = file["part"]  # another, where an erasure has replaced it
                for old, new in (
                    (store.ratings(run_key), taken),
                    (store.rejected(run_key), refused),
                ):
                    if (old / part).exists():
                        (new / part).hardlink_to(old / part)
            file["part"] = part
        too_many = _too_many_refused(batch, settings.max_rejected)
        if too_many:
            if run_key not in store.batches():
                show_rejected(store, run_key, refused)
            raise DataError(too_many)
    store.records.write_properties(properties)
    reasons = sum((Counter(file["reasons"]) for file in batch), Counter())
    for reason, count in reasons.items():
        log.warning("%d rows refused: %s (see %s)", count, reason, store.rejected(run_key))
    if not batch:
        log.info("no new rating files in %s", store.shown(store.landing))
    totals = {key: sum(file[key] for file in batch) for key in COUNTS}
    totals["rows_withdrawn"] = sum(file.get("rows_withdrawn", 0) for file in batch)
    return {
        **totals,
        "reasons": dict(reasons),
        "scale": scale,
        "id_types": id_types,
        "files": batch,
    }


def _batch(
    store: Store, run_key: str, paths: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Records of the files of this run's batch, in the order in which they are taken; and files dropped once more.

    Those that an earlier attempt of this run took and that have gone since still carry their "part".
    """
    taken_by_others, digests, batch = set(), {}, {}
    replayed = []
    paths = list(paths)
    for key in store.batches():
        for file in store.required_outcome(key, "ingest")["files"]:
            digests[file["path"], file["bytes"], file["mtime_ns"]] = file["sha256"]
            if key != run_key:
                taken_by_others.add(file["sha256"])
            elif Path(file["path"]).is_file():
                paths.append(
                    Path(file["path"])
                )  # read again; if it was corrected meanwhile, as it is now
            else:
                batch[file["sha256"]] = file
    for path in paths:
        if not path.is_file():
            raise DataError(f"found no file {path}, expected a file of ratings")
        stat = path.stat()
        record = {
            "name": path.name,
            "path": str(path),
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
        }
        # A file with the path, size and time of one that was read before is not read again to know it.
        known = digests.get((record["path"], stat.st_size, stat.st_mtime_ns))
        digest = known or sha256(path)
        if digest in taken_by_others:
            if not known:
                replayed.append(path)
            log.info("%s: an earlier run took this content, so it is left", path)
        else:
            batch[digest] = {**record, "sha256": digest}
    return sorted(batch.values(), key=lambda file: (file["name"], file["sha256"])), replayed


def _part(file: Mapping[str, Any]) -> str:
    """Name of what a file becomes in the batch. By its content, so it means the same in every attempt of a run."""
    return f"part-{file['sha256'][:16]}.parquet"


def _stage(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    path: Path,
    bounds: Bounds,
    taken: Path | None = None,
) -> Staged:
    """Parse one file into a table, see STAGED. Good rows of a plain file go to `taken` at once, if that is given."""
    view, table = f"staged_{number}", f"{STAGING}.file_{number}"
    columns = (
        "user_number BIGINT, item_number BIGINT, value FLOAT, time TIMESTAMPTZ, texts VARCHAR[]"
    )
    connection.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {STAGED} FROM {table}")
    if sources.is_empty(path):
        return Staged(view)
    try:
        source = sources.rating_file(connection, path)
        found = (
            plain_files.take(connection, source, bounds.low, bounds.high, taken) if taken else None
        )
        if found:
            _insert(connection, table, found.odd, bounds, path)
            [(good,)] = connection.execute(
                f"SELECT count(*) FROM {view} WHERE reason IS NULL"
            ).fetchall()
            return _stage(connection, number, path, bounds) if good else Staged(view, found)
        _insert(connection, table, source, bounds, path)
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read as ratings: {str(error).splitlines()[0]}") from None
    return Staged(view)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    source: sources.RatingFile,
    bounds: Bounds,
    path: Path,
) -> None:
    """Judge a file's rows into a table; lines with a wrong number of columns come last, with a reason."""
    connection.execute(f"INSERT INTO {table} BY NAME {judged(source, bounds)}")
    if sources.is_text(path):
        sources.check_quotes(connection, path)
        reason = "'line is malformed: ' || lower(first(error_type)::VARCHAR)"
        connection.execute(f"""
            INSERT INTO {table} BY NAME
            SELECT [NULL, NULL, {reason}, first(csv_line), line::VARCHAR] AS texts
            FROM reject_errors WHERE error_type != 'CAST' GROUP BY line ORDER BY line""")
        connection.execute("DELETE FROM reject_errors")


def _bar_erased(
    connection: duckdb.DuckDBPyConnection, number: int, tombstones: erasure.Tombstones
) -> None:
    """Refuse what erased users rated until their erasure, and keep neither their ids nor the text of their rows."""
    table = f"{STAGING}.file_{number}"
    nameless = f"[NULL, NULL, '{erasure.REASON}', NULL, texts[5]]"
    user_id = "coalesce(texts[1], user_number::VARCHAR)"
    users = connection.execute(
        f"SELECT DISTINCT {user_id} AS id FROM {table} WHERE id IS NOT NULL"
    ).fetchall()
    until = tombstones.until(user for (user,) in users)
    if until:
        columns = {
            "user_id": pa.array(until, pa.string()),
            "until": pa.array(until.values(), pa.timestamp("us", "UTC")),
        }
        connection.register("erased", pa.table(columns))
        connection.execute(f"""
            UPDATE {table} SET user_number = NULL, item_number = NULL, texts = {nameless} FROM erased
            WHERE {user_id} = erased.user_id AND (time IS NULL OR time <= until)""")
        connection.unregister("erased")
    # Lines that could not be taken apart: whose they are is unknown.
    lines = connection.execute(f"""
        SELECT rowid, texts[4] FROM {table}
        WHERE user_number IS NULL AND texts[1] IS NULL AND texts[4] IS NOT NULL""").fetchall()
    barred = [row for row, raw in lines if tombstones.may_be_in(raw)]
    if barred:
        rows = ", ".join(map(str, barred))
        connection.execute(f"UPDATE {table} SET texts = {nameless} WHERE rowid IN ({rows})")


def _shows_erased(
    connection: duckdb.DuckDBPyConnection, path: Path, tombstones: erasure.Tombstones
) -> bool:
    """Whether a file that was taken before has rows of erased users."""
    query = sources.rating_file(connection, path).query
    users = connection.execute(
        f"SELECT DISTINCT user_id FROM ({query}) WHERE user_id IS NOT NULL"
    ).fetchall()
    if sources.is_text(path):
        connection.execute("DELETE FROM reject_errors")
    return bool(tombstones.until(user_id for (user_id,) in users))


def _write(
    connection: duckdb.DuckDBPyConnection,
    staged: Staged,
    name: str,
    id_types: dict[str, str],
    scale: Sequence[float],
    taken: Path,
    refused: Path,
) -> dict[str, Any]:
    """Write a staged file's good and bad rows; returns how many were read, taken and refused, and why."""
    user_id, item_id = (
        f"{_id_as(column, id_type)} AS {column}" for column, id_type in id_types.items()
    )
    good = f"SELECT {user_id}, {item_id}, value AS rating, time AS timestamp FROM {staged.view} WHERE reason IS NULL"
    # Which scale that is, the first night knows only when all of its rows are staged.
    outside = f"'{OUTSIDE} {scale[0]:g} to {scale[1]:g}' || substr(reason, {len(OUTSIDE) + 1})"
    bad = f"""SELECT {sql.quote(name)} AS file, row,
        CASE WHEN starts_with(reason, '{OUTSIDE}') THEN {outside} ELSE reason END AS reason, raw,
        {_id_as("user_id", "string")} AS user_id FROM {staged.view} WHERE reason IS NOT NULL"""
    reasons = dict(
        connection.execute(f"SELECT split_part(reason, ':', 1) AS why, count(*) FROM ({bad}) GROUP BY why ORDER BY why")
        .fetchall()
    )  # fmt: skip
    n_read, withdrawn = connection.execute(f"""
        SELECT count(*), count(*) FILTER (reason IS NULL AND value IS NULL) FROM {staged.view}""").fetchall()[0]
    if staged.plain:
        n_taken = staged.plain.n_taken
        n_read += n_taken
    else:
        n_taken = sql.write_parquet(connection, good, taken)
    n_refused = sql.write_parquet(connection, bad, refused) if reasons else 0
    if n_read != n_taken + n_refused:
        raise RuntimeError(
            f"{name}: {n_read} rows read, but {n_taken} taken and {n_refused} refused"
        )
    counts = zip(COUNTS, (n_read, n_taken, n_refused), strict=True)
    return {**dict(counts), "rows_withdrawn": withdrawn, "reasons": reasons}


def _too_many_refused(batch: list[dict[str, Any]], limit: float) -> str | None:
    """A sentence if more than this share of a night's rows was refused, those of erased users aside."""
    reasons = sum((Counter(file["reasons"]) for file in batch), Counter())
    erased = reasons.pop(erasure.REASON, 0)
    n_read, n_refused = sum(file["rows_read"] for file in batch) - erased, reasons.total()
    if n_refused <= limit * n_read:
        return None
    why = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(5))
    worst = max(batch, key=lambda file: file["rows_refused"])
    return (
        f"found {n_refused} of {n_read} rows to be refused, expected at most {limit:g} of them (setting "
        f"max_rejected): {why}; most are in {worst['path']}; nothing was taken"
    )


def _number(column: str) -> str:
    """The name of the column that has an id as a number, if it is one."""
    return column.replace("_id", "_number")


def _not_integer(column: str) -> str:
    # Compared as text, so that "007" stays what it is: text.
    text = f"CAST(try_cast({column} AS BIGINT) AS VARCHAR) IS DISTINCT FROM {column}"
    return f"({_number(column)} IS NULL AND {text})"


def _id_as(column: str, id_type: str) -> str:
    """An id of a staged row, as int64 or as the text that it was."""
    if id_type == "integer":
        return f"coalesce({_number(column)}, try_cast({column} AS BIGINT))"
    return f"coalesce({column}, {_number(column)}::VARCHAR)"


def _bounds(settings: Settings, properties: Mapping[str, Any] | None) -> Bounds:
    """What the settings and the store's properties, if it has them already, ask of a night's ratings."""
    if properties is None:
        given = (settings.rating_low, settings.rating_high)
        low, high = (
            end if given is None else given
            for end, given in zip((-LARGEST, LARGEST), given, strict=True)
        )
        return Bounds(("user_id", "item_id") if settings.id_type == "integer" else (), low, high)
    id_types = {column: properties[column] for column in ("user_id", "item_id")}
    if settings.id_type != "auto" and settings.id_type not in id_types.values():
        raise DataError(
            f"found id_type {settings.id_type}, but the first night has fixed {id_types}"
        )
    return Bounds(
        [column for column in id_types if id_types[column] == "integer"],
        *_scale(settings, properties["scale"]),
    )


def _first_night(
    store: Store, settings: Settings, connection: duckdb.DuckDBPyConnection, staged: list[Staged]
) -> dict[str, Any]:
    """The store's id types and rating scale, from its first ratings."""
    if not staged:
        raise DataError(
            f"found no ratings in {store.shown(store.landing)}, expected a file there: {sources.FORMATS}"
        )
    rows = " UNION ALL ".join(f"FROM {file.view}" for file in staged)
    users_differ, items_differ, low, high = connection.execute(f"""
        SELECT bool_or({_not_integer("user_id")}), bool_or({_not_integer("item_id")}), min(value), max(value)
        FROM ({rows}) WHERE reason IS NULL OR starts_with(reason, '{OUTSIDE}')""").fetchall()[0]
    found = [(file.plain.low, file.plain.high) for file in staged if file.plain]
    if low is not None:
        found.append((low, high))
    if not found:
        example = connection.execute(f"SELECT reason, raw FROM ({rows}) LIMIT 1").fetchone()
        rows = f"rows such as {example[1]!r} ({example[0]})" if example else "no rows"
        raise DataError(f"found {rows} in the first night's files, expected ratings")
    low, high = min(low for low, _ in found), max(high for _, high in found)
    id_types = {
        "user_id": "string" if users_differ else "integer",
        "item_id": "string" if items_differ else "integer",
    }
    if settings.id_type != "auto":
        id_types = dict.fromkeys(id_types, settings.id_type)
    log.info("first night: %s, ratings from %g to %g; kept from now on", id_types, low, high)
    return {**id_types, "scale": _scale(settings, [low, high])}


def _scale(settings: Settings, kept: Sequence[float]) -> list[float]:
    low = kept[0] if settings.rating_low is None else settings.rating_low
    high = kept[1] if settings.rating_high is None else settings.rating_high
    if low >= high:
        raise DataError(
            f"found the rating scale {low:g} to {high:g}, expected two different ends: set rating_low and rating_high"
        )
    return [low, high]
