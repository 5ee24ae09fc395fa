"""What the records of a store must hold, as types, which pydantic checks when a record is read.

Those of tasks and of published runs are in run_shapes.py. The types name the fields that this
version uses. `NotRequired` are those that not every record has:
records of older versions have fewer. Fields that are not named here may have any value.
"""

from datetime import datetime
from typing import Annotated, Literal, NotRequired

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


def path_below(text: str) -> str:
    """A path of a record. Raises ValueError if it names no file below its folder."""
    parts = text.split("/")  # PurePath takes too long where each of many users has a file
    if "" in parts or ".." in parts or "\0" in text or text == ".":
        raise ValueError("it names no file below the folder")
    return text


Key = Annotated[str, StringConstraints(pattern=f"^(?:{RUN_KEY.pattern})$")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, AfterValidator(_time)]
Path = Annotated[str, AfterValidator(path_below)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Part = Annotated[str, StringConstraints(pattern=r"^[^/\x00]+\.parquet$")]  # a name of a file
Ends = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]  # of a scale
IdType = Literal["integer", "string"]


@with_config(SHAPE)
class FileDigest(TypedDict):
    """What a record has of a file.

    While an erasure replaces the file, `sha256_before` is that of the file with the users: either
    may be there.
    """

    bytes: Count
    sha256: str
    sha256_before: NotRequired[str]


@with_config(SHAPE)
class Properties(TypedDict):
    """What the first run has fixed: store.json."""

    user_id: IdType
    item_id: IdType
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
