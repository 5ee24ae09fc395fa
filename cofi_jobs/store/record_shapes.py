"""What the records of a store must hold, as types, which pydantic checks when a record is read.

They name the fields that this version uses. `NotRequired` are those that not every record has:
records of older versions have fewer. Fields that are not named here may have any value.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, StringConstraints, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store import layout
from cofi_jobs.store.run_keys import RUN_KEY

SHAPE = ConfigDict(extra="allow", strict=True)


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it has no time zone")
    return text


def _path_below(text: str) -> str:
    parts = text.split("/")  # PurePath takes too long where each of many users has a file
    if "" in parts or ".." in parts or "\0" in text or text == ".":
        raise ValueError("it names no file below the folder")
    return text


def _with_ndcg(measures: dict[str, Any]) -> dict[str, Any]:
    if not any(name.startswith("ndcg@") for name in measures):
        raise ValueError("it has no ndcg@<n>")
    return measures


Key = Annotated[str, StringConstraints(pattern=f"^(?:{RUN_KEY.pattern})$")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, AfterValidator(_time)]
Path = Annotated[str, AfterValidator(_path_below)]
TableFile = Annotated[  # below the store's root
    str,
    StringConstraints(pattern="^(?:runs|ratings|rejected)/[^/]+/."),
    AfterValidator(_path_below),
]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Part = Annotated[str, StringConstraints(pattern=r"^[^/\x00]+\.parquet$")]  # a name of a file
Ends = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]  # of a scale
IdTypes = dict[str, Literal["integer", "string"]]


@with_config(SHAPE)
class FileDigest(TypedDict):
    """What a record has of a file.

    While an erasure replaces the file, `sha256_before` is that of the file with the users: either
    may be there.
    """

    bytes: Count
    sha256: str
    sha256_before: NotRequired[str]


# ---- of the store


@with_config(SHAPE)
class Properties(TypedDict):
    """What the first run has fixed: store.json."""

    user_id: Literal["integer", "string"]
    item_id: Literal["integer", "string"]
    scale: Ends | None
    feedback: NotRequired[Feedback]
    count_column: NotRequired[str]


@with_config(SHAPE)
class BegunRun(TypedDict):
    """A run in order.json."""

    key: Key
    removed: NotRequired[bool]  # its tables have been removed, it is not under way any more


@with_config(SHAPE)
class Order(TypedDict):
    """The runs in the order in which they began: order.json."""

    runs: list[BegunRun]


@with_config(SHAPE)
class Current(TypedDict):
    """The run that readers use: CURRENT.json."""

    run_key: Key
    path: NotRequired[Path]


def _names_one_run(current: Current) -> Current:
    folder = layout.table(current["run_key"], "")
    if current.get("path", folder) != folder:
        raise ValueError(f"the path of this run is {folder}")
    return current


CurrentRun = Annotated[Current, AfterValidator(_names_one_run)]


@with_config(SHAPE)
class Compacted(TypedDict):
    """Which batches are compacted, oldest first, into which file, and its rows: merged.json."""

    batches: list[Key]
    part: Part | None
    rows: Count
    bytes: NotRequired[Count]  # of the file, as its SHA-256; not in records of older versions
    sha256: NotRequired[str]
    rows_superseded: NotRequired[Count]  # left out so far, by newer rows of the same pair
    rows_erased: NotRequired[Count]  # removed so far, of erased users


@with_config(SHAPE)
class Tombstone(TypedDict):
    """An erased user: see erasure/tombstones.py."""

    hash: Hash
    until: Time
    pending: list[Key]
    unfinished: NotRequired[bool]


@with_config(SHAPE)
class Tombstones(TypedDict):
    """All erased users: erased.json."""

    users: list[Tombstone]
    key_check: NotRequired[Hash]  # shows whether a key is theirs; not in records of older versions


@with_config(SHAPE)
class Lease(TypedDict):
    """Who works on a store in a bucket: .lease."""

    holder: str | None
    seconds: Annotated[FiniteFloat, Field(ge=0)]


# ---- of tasks


@with_config(SHAPE)
class Tuned(TypedDict):
    """What a run used of settings.json."""

    settings: dict[str, Any]


@with_config(SHAPE)
class Errors(TypedDict, total=False):
    """Errors of predicted ratings; None where nothing could be measured."""

    rmse: float | None
    mae: float | None


@with_config(SHAPE)
class Metrics(TypedDict):
    """What a run was measured to be; docs/outputs.md has each field."""

    ranking: Annotated[dict[str, float | None], AfterValidator(_with_ndcg)]
    rating: NotRequired[Errors]


@with_config(SHAPE)
class Evaluated(TypedDict, total=False):
    """What the evaluation of a run adds to a record."""

    metrics: Metrics
    comparisons: list[dict[str, Any]]
    gate: dict[str, Any]


@with_config(SHAPE)
class Sizes(TypedDict, total=False):
    """How much `normalize` has written."""

    n_ratings: Count
    n_users: Count
    n_items: Count


@with_config(SHAPE)
class Ended(Evaluated, Sizes, total=False):
    """What the outcomes of some tasks have."""

    digests: dict[TableFile, FileDigest]
    tuned: Tuned | None
    batches: list[Key]
    liked_from: FiniteFloat
    rows: Count
    barred_items: Count


@with_config(SHAPE)
class Outcome(Ended):
    """How a task ended: tasks/<run_key>/<task>.json. Every version has written these fields."""

    settings: dict[str, Any]
    seconds: float


@with_config(SHAPE)
class Counts(TypedDict):
    """What became of the rows of a file; `reasons` counts the rejected rows by reason."""

    rows_read: Count
    rows_taken: Count
    rows_refused: Count
    rows_withdrawn: NotRequired[Count]  # not in records of older versions
    reasons: dict[str, Count]
    time_unit: NotRequired[str | None]  # of times that are numbers; not in older records


@with_config(SHAPE)
class TakenFile(Counts):
    """A file in the outcome of ingest."""

    name: str
    path: str
    bytes: Count
    mtime_ns: int | None  # None: an erasure removed the file; if it comes again, it is read again
    sha256: str
    part: Part  # file in the batch's folders; another one after an erasure
    rows_erased: NotRequired[Count]
    source: NotRequired[dict[str, str]]


@with_config(SHAPE)
class OutcomeOfIngest(Ended, total=False):
    """How ingest ended: which files are in the batch, and what became of their rows."""

    files: Required[list[TakenFile]]
    settings: dict[str, Any]
    seconds: float
    id_types: IdTypes
    feedback: Feedback
    scale: Ends | None
    rows_read: Count
    rows_taken: Count
    rows_refused: Count
    rows_withdrawn: Count
    reasons: dict[str, Count]
    objects: dict[str, str]


@with_config(SHAPE)
class Failure(Evaluated):
    """How a task failed: tasks/<run_key>/<task>.failed.json. A refused run has its evaluation."""

    error: str
    permanent: bool  # whether trying again cannot help
    no_input: NotRequired[bool]  # there was nothing to read


# ---- of published runs


@with_config(SHAPE)
class PublishedFile(FileDigest):
    """A file of a manifest; the path is below the run's folder."""

    path: Path
    rows: Count
    # SHA-256 of the footer: checksums of pages say nothing of it. Not in older manifests.
    footer_sha256: NotRequired[str]
    footer_sha256_before: NotRequired[str]
    first_id: NotRequired[int | str]  # of a file that is sorted by its first column, an id
    last_id: NotRequired[int | str]


@with_config(SHAPE)
class CountsOfTasks(TypedDict, total=False):
    """The counts of a published run, by task."""

    normalize: Sizes


@with_config(SHAPE)
class Manifest(Evaluated, total=False):
    """A published run: manifests/<run_key>.json; docs/outputs.md has each field."""

    run_key: Required[Key]
    settings: dict[str, Any]
    tuned: Tuned | None
    id_types: IdTypes
    feedback: Feedback
    scale: Ends | None
    liked_from: FiniteFloat
    batches: list[Key]
    input_files: list[dict[str, Any]]
    counts: CountsOfTasks
    files: list[PublishedFile]
    erasures: list[dict[str, Any]]
