"""Where things are below a store's root: names as in docs/outputs.md, always with "/". Pure.

Each function takes a run key that can name a folder, and raises SettingsError for any other: no key
from a command, a form or a record leads out of the store.

store.json                          rating scale and id types, fixed by the first run
order.json                          the runs in the order in which they began
landing/  catalogue/                what upstream drops: rating files; titles and groups of items
lists/                              items to show or not: allow.txt, deny.txt
ratings/batch=<run_key>/            accepted ratings of one run
merged.json, ratings/merged/        older batches, compacted into one file
rejected/batch=<run_key>/           rejected rows of one run, with reasons
runs/<run_key>/<table>/             what a run makes
tasks/<run_key>/<task>.json         how a task of a run ended: counts, settings, files read
manifests/<run_key>.json            a published run
manifests/<run_key>.left            since when readers have another run; see removal.py
CURRENT.json, current -> runs/...   the run that readers use
settings.json                       settings that tuning found
tune/<study>.journal                the trials of a tuning
erased.json, erased.key             tombstones of erased users: keyed hashes, and their key
"""

from collections.abc import Iterable

from cofi_jobs.store.run_keys import check_run_key, is_run_key

LANDING = "landing"
CATALOGUE = "catalogue"
ITEM_LISTS = "lists"
ALLOWED_ITEMS, DENIED_ITEMS = f"{ITEM_LISTS}/allow.txt", f"{ITEM_LISTS}/deny.txt"
RATINGS = "ratings"
REJECTED = "rejected"
RUNS = "runs"
# The tables of a run that readers see.
PUBLISHED = ("recommendations", "similar_items", "popular_items", "model", "evaluation")
STUDIES = "tune"

PROPERTIES = "store.json"
TUNED = "settings.json"
ORDER = "order.json"
TASKS = "tasks"
COMPACTED = "merged.json"
MANIFESTS = "manifests"
CURRENT = "CURRENT.json"
CURRENT_LINK = "current"
TOMBSTONES = "erased.json"
ERASURE_KEY = "erased.key"

COMPACTED_PARTS = "ratings/merged"
WRITTEN = (RATINGS, REJECTED, RUNS, TASKS, MANIFESTS, STUDIES)  # folders where only tasks write
ALL_COMPACTED_PARTS = f"{COMPACTED_PARTS}/up-to-*.parquet"
ALL_OUTCOMES_OF_INGEST = "tasks/*/ingest.json"
ALL_OUTCOMES = "tasks/*/*.json"  # and failures
ALL_FAILURES = "tasks/*/*.failed.json"
ALL_MANIFESTS = "manifests/*.json"
ALL_RUNS = "runs/*/"  # folders alone
ALL_REJECTED = "rejected/batch=*"
REPLACED = ".left"  # end of the names of the files that say when readers left a run
ALL_REPLACED = f"manifests/*{REPLACED}"

TEMPORARY = ".tmp-"  # start of the names of files and folders that are not complete
SPILL = ".spill"  # where DuckDB spills
LOCK = ".lock-"
LEASE = ".lease"  # of a store in a bucket


def table(run_key: str, name: str) -> str:
    """Folder of a table of a run; without a name the folder of the run."""
    return f"{RUNS}/{check_run_key(run_key)}/{name}".rstrip("/")


def ratings(run_key: str) -> str:
    """Folder of the ratings that a run accepted."""
    return f"{RATINGS}/batch={check_run_key(run_key)}"


def rejected(run_key: str) -> str:
    """Folder of the rows that a run rejected."""
    return f"{REJECTED}/batch={check_run_key(run_key)}"


def folder_of_run(run_key: str, declared: str) -> str | None:
    """Folder of a run's batch or table that a task declares, such as "runs/*/model"; else None."""
    if declared in (RATINGS, REJECTED):
        return f"{declared}/batch={run_key}"
    top, _, name = declared.partition("/*/")
    return table(run_key, name) if top == RUNS and name else None


def outcome(run_key: str, task: str) -> str:
    """Record of how a task of a run ended."""
    return f"{TASKS}/{check_run_key(run_key)}/{task}.json"


def failure(run_key: str, task: str) -> str:
    """Record of how the last attempt of a task failed."""
    return f"{TASKS}/{check_run_key(run_key)}/{task}.failed.json"


def records_of_tasks(run_key: str) -> str:
    """Pattern of all records of a run's tasks."""
    return f"{TASKS}/{check_run_key(run_key)}/*.json"


def manifest(run_key: str) -> str:
    """Manifest of a published run."""
    return f"{MANIFESTS}/{check_run_key(run_key)}.json"


def replaced(run_key: str) -> str:
    """Empty file whose time says when readers were pointed from this run to another.

    Without a manifest beside it, the run is half removed.
    """
    return f"{MANIFESTS}/{check_run_key(run_key)}{REPLACED}"


def run_of(name: str) -> str | None:
    """Key of the run whose table a file belongs to, None for all other files."""
    top, key, *below = (*name.split("/"), "", "")
    return key if top == RUNS and any(below) and is_run_key(key) else None


def manifests_in(names: Iterable[str]) -> list[str]:
    """Keys of the runs whose manifests are among these files."""
    manifests = (name for name in names if is_in(name, MANIFESTS) and name.endswith(".json"))
    return run_keys_in(manifests, ".json")


def run_keys_in(names: Iterable[str], suffix: str = "") -> list[str]:
    """Keys of the runs in "<folder>/<run_key><suffix>/...", each as often as it is there.

    Names that no run can have, such as those of temporary files, are left out.
    """
    keys = (name.split("/")[1].removesuffix(suffix) for name in names)
    return [key for key in keys if is_run_key(key)]


def is_in(name: str, folder: str) -> bool:
    """Whether a file lies in a folder or below it."""
    return name.startswith(f"{folder}/")


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on its way starts with a dot: temporary files and locks."""
    return "/." in f"/{name}"
