"""Every task, declared once.

To add a task, write a module `cofi_jobs/tasks/<name>.py` with a function
`run(store, settings, run_key)` that returns a dict, and declare the task in DECLARED. The order,
the command, the task of the DAG, the lineage, what a store in a bucket downloads, and the table in
docs/operating.md follow from the declaration.
"""

from cofi_jobs.core.credentials import DATABASE, RAY_CLUSTER, SOURCE_DATABASE, SOURCE_FILES
from cofi_jobs.tasks.declaration import Credential, Task, in_order

RAY = Credential("ray_address", RAY_CLUSTER, "cluster")

INGEST = Task(
    "ingest",
    "Accept new ratings into the run's batch: from files, and from a query if there is one.",
    if_it_fails=(
        "a file or the query could not be read, or too many rows were rejected; nothing was "
        'accepted. Repair or remove what the log names, then clear the task. "found no ratings" '
        "means that this is the first run and `landing/` is empty."
    ),
    reads=("landing",),
    writes=("ratings", "rejected"),
    reads_besides="files of `source_files`, rows of `source_query`",
    credentials=(
        Credential("source_connection", SOURCE_DATABASE, "database"),
        Credential("source_files_connection", SOURCE_FILES, "files"),
        RAY,
    ),
    begins_run=True,
    counts=("rows_read", "rows_taken", "rows_refused", "rows_withdrawn", "reasons"),
    memory="rows of the run's files, at most `memory_limit_mb`",
)
NORMALIZE = Task(
    "normalize",
    "Compute current ratings, item means and row numbers.",
    if_it_fails=(
        "the log names the file of the catalogue that could not be read, or the disk was full. "
        "Repair that, then clear the task."
    ),
    reads=("ratings", "catalogue"),
    writes=("runs/*/normalized",),
    needs=("ingest",),
    counts=(
        *("n_read", "n_refused", "n_erased", "n_rows", "n_superseded", "n_withdrawn"),
        *("n_outside", "n_ratings", "n_users", "n_items"),
    ),
    credentials=(RAY,),
    memory="ratings, at most `memory_limit_mb`",
)
TRAIN = Task(
    "train",
    "Learn both models twice: once without the test ratings, once from all ratings.",
    about="A warm start also reads `normalized/` and `trial/` of the last published run.",
    if_it_fails=(
        'and the log says "J is nan", lower the setting that the log names, in a new run. If it '
        "ended with exit code -9, it needed more memory than there was: give it more, or lower "
        '`n_factors`. While it waits as "scheduled", another training holds the pool.'
    ),
    reads=("runs/*/normalized",),
    writes=("runs/*/trial", "runs/*/model", "runs/*/training"),
    maintains=("runs/*/checkpoint",),
    needs=("normalize",),
    learns=True,
    prepares=True,
    credentials=(RAY,),
    memory="ratings, users and items",
)
SIMILAR_ITEMS = Task(
    "similar_items",
    "Write the similar items of each item.",
    if_it_fails="clear it: nothing was published.",
    reads=("runs/*/normalized", "runs/*/model", "lists"),
    writes=("runs/*/similar_items",),
    needs=("train",),
    credentials=(RAY,),
    counts=("rows",),
    memory="items",
)
RECOMMEND = Task(
    "recommend",
    "Write each user's recommendations, and the popular items for users without ratings.",
    if_it_fails=(
        "and the log says that there are too many users for `per-user`, choose `whole` in the "
        "form. Else clear it: nothing was published."
    ),
    reads=("runs/*/normalized", "runs/*/model", "lists"),
    writes=("runs/*/recommendations", "runs/*/popular_items"),
    needs=("train",),
    credentials=(RAY,),
    counts=("rows", "users", "popular_items", "barred_items"),
    memory="items",
)
EVALUATE = Task(
    "evaluate",
    "Measure the models on the test ratings; refuse a run that is worse than the published run.",
    about="It compares with the holdout model of the last published run, on the same test ratings.",
    if_it_fails=(
        'and the log says "not published", the gate refused the run: the log names the measure, '
        "its value and the bound. If the input is broken, repair it and run again. If the run is "
        "right after all, trigger a run with `force_publish`, or with another bound."
    ),
    reads=("runs/*/normalized", "runs/*/trial"),
    writes=("runs/*/evaluation",),
    needs=("similar_items", "recommend"),
    memory="users and items, and the ratings of `evaluate_users` users",
    credentials=(RAY,),
)
REPORT = Task(
    "report",
    "Write the page about the run: what came in, how good the models are, what they recommend.",
    about=(
        "The page is the tab *CoFi report* of the run, and *CoFi* in the menu lists all pages. A "
        "run that fails after `normalize` gets a page too, above all a run that the gate refused."
    ),
    if_it_fails=(
        "the disk was full or memory ran out: clear it. A plot that cannot be drawn does not "
        "fail it."
    ),
    reads=(
        "rejected",
        "runs/*/normalized",
        "runs/*/training",
        "runs/*/model",
        "runs/*/similar_items",
        "runs/*/recommendations",
        "runs/*/evaluation",
    ),
    writes=("runs/*/report",),
    needs=("normalize",),
    after=("evaluate",),
    repeatable=True,
    of_failed_runs=True,
    memory="items",
)
PUBLISH = Task(
    "publish",
    "Write the manifest and point readers to the run, at once; then clean up.",
    about=(
        "It also updates the asset of the store, removes runs beyond `keep_runs` and "
        "erased users, and compacts old batches."
    ),
    if_it_fails=(
        "clear it: readers are on the old run or on the new run, never between. "
        "`cofi rollback` takes bad lists back."
    ),
    reads=(
        "runs/*/model",
        "runs/*/similar_items",
        "runs/*/recommendations",
        "runs/*/popular_items",
        "runs/*/evaluation",
    ),
    writes=(
        "current/model",
        "current/similar_items",
        "current/recommendations",
        "current/popular_items",
        "current/evaluation",
    ),
    maintains=("landing", "ratings", "rejected"),
    writes_besides="`manifests/<run_key>.json`, `CURRENT.json`",
    needs=("evaluate",),
    repeatable=True,
)
DELIVER = Task(
    "deliver",
    "Write the lists that readers use now into a PostgreSQL database.",
    about="It is skipped unless `deliver_to` names the connection of the database.",
    if_it_fails=(
        "services keep the lists that they have. The log has the message of the database; repair "
        "that, then clear the task."
    ),
    reads=("current/similar_items", "current/recommendations", "current/popular_items"),
    writes_besides="the tables of the schema `deliver_schema`, all at once",
    needs=("publish",),
    every_run=False,
    repeatable=True,
    only_with="deliver_to",
    credentials=(Credential("deliver_to", DATABASE, "database"),),
)
TUNE = Task(
    "tune",
    "Search for better settings on the ratings of a published run; later runs use them.",
    about="It tries settings until the time is up. It keeps the best if no model became worse.",
    if_it_fails=(
        'or is stopped, clear it: it goes on with the trials so far. "found no published run" '
        "means that `cofi_nightly` has to run first."
    ),
    reads=("runs/*/normalized",),
    writes_besides="`tune/`, `settings.json`",
    needs=("normalize",),
    every_run=False,
    repeatable=True,
    learns=True,
    credentials=(RAY,),
    memory="ratings, users and items",
)
VERIFY = Task(
    "verify",
    "Compare the files of the store with the SHA-256 that the records have.",
    about="It reads every file of batches and tables once; in a bucket there, not in a copy.",
    if_it_fails=(
        "the log names each damaged file and what to do: a task that makes it again, or a backup."
    ),
    reads_besides="all files that manifests and outcomes name",
    every_run=False,
    repeatable=True,
)

DECLARED = {
    task.name: task
    for task in (
        *(INGEST, NORMALIZE, TRAIN, SIMILAR_ITEMS, RECOMMEND, EVALUATE, REPORT, PUBLISH),
        *(DELIVER, TUNE, VERIFY),
    )
}
# The tasks of every run, in their order.
TASKS = tuple(task.name for task in in_order(DECLARED) if task.every_run)
