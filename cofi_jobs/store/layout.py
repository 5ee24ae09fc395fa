"""Where things are below a store's root: names as in docs/outputs.md, always with "/". Pure.

store.json                          rating scale and id types, fixed by the first run
landing/  catalogue/                what upstream drops: rating files; titles and groups of items
lists/                              items to show or not: allow.txt, deny.txt
ratings/batch=<run_key>/            accepted ratings of one run
merged.json, ratings/merged/        older batches, compacted into one file
rejected/batch=<run_key>/           rejected rows of one run, with reasons
runs/<run_key>/<table>/             what a run makes
tasks/<run_key>/<task>.json         how a task of a run ended: counts, settings, files read
manifests/<run_key>.json            a published run
CURRENT.json, current -> runs/...   the run that readers use
settings.json                       settings that tuning found
tune/<study>.journal                the trials of a tuning
erased.json, erased.key             tombstones of erased users: keyed hashes, and their key
"""

LANDING = "landing"
CATALOGUE = "catalogue"
ITEM_LISTS = "lists"
ALLOWED_ITEMS, DENIED_ITEMS = f"{ITEM_LISTS}/allow.txt", f"{ITEM_LISTS}/deny.txt"
RATINGS = "ratings"
REJECTED = "rejected"
RUNS = "runs"
STUDIES = "tune"

PROPERTIES = "store.json"
TUNED = "settings.json"
TASKS = "tasks"
COMPACTED = "merged.json"
MANIFESTS = "manifests"
CURRENT = "CURRENT.json"
CURRENT_LINK = "current"
TOMBSTONES = "erased.json"
ERASURE_KEY = "erased.key"

COMPACTED_PARTS = "ratings/merged"
ALL_OUTCOMES_OF_INGEST = "tasks/*/ingest.json"
ALL_FAILURES = "tasks/*/*.failed.json"
ALL_MANIFESTS = "manifests/*.json"
ALL_RUNS = "runs/*"

TEMPORARY = ".tmp-"  # start of the names of files and folders that are not complete
SPILL = ".spill"  # where DuckDB spills
LOCK = ".lock-"


def table(run_key: str, name: str) -> str:
    """Folder of a table of a run; without a name the folder of the run."""
    return f"{RUNS}/{run_key}/{name}".rstrip("/")


def ratings(run_key: str) -> str:
    """Folder of the ratings that a run accepted."""
    return f"{RATINGS}/batch={run_key}"


def rejected(run_key: str) -> str:
    """Folder of the rows that a run rejected."""
    return f"{REJECTED}/batch={run_key}"


def outcome(run_key: str, task: str) -> str:
    """Record of how a task of a run ended."""
    return f"{TASKS}/{run_key}/{task}.json"


def failure(run_key: str, task: str) -> str:
    """Record of how the last attempt of a task failed."""
    return f"{TASKS}/{run_key}/{task}.failed.json"


def records_of_tasks(run_key: str) -> str:
    """Pattern of all records of a run's tasks."""
    return f"{TASKS}/{run_key}/*.json"


def manifest(run_key: str) -> str:
    """Manifest of a published run."""
    return f"{MANIFESTS}/{run_key}.json"


def replaced(run_key: str) -> str:
    """Empty file whose time says when readers were pointed from this run to another."""
    return f"{MANIFESTS}/{run_key}.left"


def run_of(name: str) -> str | None:
    """Key of the run whose table a file belongs to, None for all other files."""
    parts = name.split("/")
    return parts[1] if parts[0] == RUNS and len(parts) > 2 else None


def is_in(name: str, folder: str) -> bool:
    """Whether a file lies in a folder or below it."""
    return name.startswith(f"{folder}/")


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on its way starts with a dot: temporary files and locks."""
    return "/." in f"/{name}"
