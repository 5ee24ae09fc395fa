"""The tasks of a run and their order."""

# Each task with the tasks whose tables it reads. A task's module has the task's name.
TASKS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "normalize": ("ingest",),
    "train": ("ingest", "normalize"),
    "similar_items": ("train",),
    "recommend": ("ingest", "normalize", "train"),
    "evaluate": ("ingest", "normalize", "train", "similar_items", "recommend"),
    "report": ("ingest", "normalize", "train", "similar_items", "recommend", "evaluate"),
    "publish": ("similar_items", "recommend", "evaluate"),
}
# What a task cannot do without, where that is less than what it reads: the report is of a run as far as it came. `tune`
# is no task of a night: it works on the ratings of any run; `deliver` is not one of every night.
NEEDED = TASKS | {
    "report": ("ingest", "normalize"),
    "tune": ("ingest", "normalize"),
    "deliver": ("publish",),
}
REPEATABLE = (
    "report",
    "publish",
    "deliver",
    "tune",
)  # also when the run is published: none rewrites what readers use
# Folders that a task reads or writes besides tables of runs and records (see `Store.lock`).
FOLDERS = {
    "ingest": ("landing", "ratings", "rejected"),
    "normalize": ("ratings",),
    "report": ("rejected",),
    "publish": ("landing", "ratings", "rejected"),
}
LEARNING = ("train", "tune")  # tasks that use TensorFlow


def following(task: str) -> set[str]:
    """Tasks that read, directly or not, what a task writes."""
    direct = {later for later, needs in TASKS.items() if task in needs}
    return direct.union(*(following(later) for later in direct))
