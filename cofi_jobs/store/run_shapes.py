"""What the records of tasks and of published runs must hold, as record_shapes.py has the others."""

from typing import Annotated, Any, NotRequired, Required

from pydantic import AfterValidator, FiniteFloat, StringConstraints, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store.record_shapes import (
    SHAPE,
    Count,
    Ends,
    FileDigest,
    IdType,
    Key,
    Part,
    Path,
    path_below,
)


def _with_ndcg(measures: dict[str, Any]) -> dict[str, Any]:
    if not any(name.startswith("ndcg@") for name in measures):
        raise ValueError("it has no ndcg@<n>")
    return measures


TableFile = Annotated[  # below the store's root
    str,
    StringConstraints(pattern="^(?:runs|ratings|rejected)/[^/]+/."),
    AfterValidator(path_below),
]


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
    id_types: dict[str, IdType]
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
class IdRange(TypedDict, total=False):
    """The first and the last id of a file that is sorted by its first column, an id."""

    first_id: int | str
    last_id: int | str


@with_config(SHAPE)
class PublishedFile(FileDigest, IdRange):
    """A file of a manifest; the path is below the run's folder."""

    path: Path
    rows: Count
    # SHA-256 of the footer: checksums of pages say nothing of it. Not in older manifests.
    footer_sha256: NotRequired[str]
    footer_sha256_before: NotRequired[str]


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
    id_types: dict[str, IdType]
    feedback: Feedback
    scale: Ends | None
    liked_from: FiniteFloat
    batches: list[Key]
    input_files: list[dict[str, Any]]
    counts: CountsOfTasks
    files: list[PublishedFile]
    erasures: list[dict[str, Any]]
