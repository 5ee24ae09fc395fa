"""Peak memory of each step as a formula, read off the code; night.py compares it to measurements.

Each formula adds up what is alive at a step's highest point. docs/model.md explains the numbers.
"""

from dataclasses import dataclass

from cofi_jobs.evaluation.baselines import LONGEST_HISTORY, USERS_AT_ONCE
from cofi_jobs.evaluation.cells import CELLS
from cofi_jobs.model.draws import BLOCK
from cofi_jobs.ranking.top_k import block_size
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tasks.run_split import MOST_USERS, RATINGS_AT_ONCE

MB = 1e6
MEASURED_USERS = Settings.model_fields["evaluate_users"].default
PYTHON, TENSORFLOW, PLOTS = 180 * MB, 760 * MB, 340 * MB  # a process with what it imports
CSV_THREAD, CSV_ROW, KEPT_ROW = (
    140 * MB,
    75,
    8,
)  # ingest: rows on their way into a row group, rows staged
SQL_THREAD, SORTED_ROW = 20 * MB, 70  # SQL: a thread's buffers; normalize: a row being sorted
TRAIN_ROW, EVALUATE_ROW = 32, 58  # columns and masks of ratings that live at once
OWN_ROW, COMPARED_ROW = (
    24,
    33,
)  # train, while it looks what an earlier run knew: its own, and that run's
CHUNK, CHUNK_ROW = 100_000, 7  # gradients.CHUNK; rows of f factors for each rating of a chunk
# Copies of one model's factors: of both models the holdout model's, where the final ones start,
# and what is solved. Of the users' rows the final ones of a block are held, as arrays and as a
# table; the search of a first run holds them all.
TRAINED, SOLVED = 8, 4
DRAWN = 40  # bytes of a user: numbers of ratings, and the order in which users are drawn
LEARNED = 30  # copies of X besides: Adam's moments, gradients and what they are made of
FREED, MOST_FREED = (
    140,
    700 * MB,
)  # copies of X that are freed and not yet given back, and what that is at most
MOST_FACTORS, MOST_RATINGS = 256, 2_000_000  # of the search of a first run
SCORED, KEPT = (
    1.25,
    1,
)  # blocks of scores in a thread: with the mask of its best; freed, but not yet given back
MEASURED = 800  # bytes of a user whose list is measured: measures, in copies
CELL = 3000  # evaluate: bytes of sums over users, and of what is drawn of them
EVALUATED = 6  # copies of a block's rows of users, of this run's model and the published one
USER_ROWS = 3 << 14  # rows of the users' factors, both models: row groups being read
PAIR, COUNTED = (
    28,
    3,
)  # evaluate: another like of who likes an item, while item-kNN counts them; blocks of counts


@dataclass(frozen=True)
class Size:
    """What memory depends on: ratings in the store, in the new files, and of the earlier run."""

    ratings: int
    read: int
    earlier: int
    users: int
    items: int
    n_factors: int
    threads: int
    memory_limit_mb: int


def peaks(size: Size) -> dict[str, float]:
    """Peak memory of each step in MB (10^6 bytes)."""
    limit, threads, n = size.memory_limit_mb * MB, size.threads, size.ratings
    X = 4 * size.items * size.n_factors
    users, items = (
        4 * size.items * min(block_size(size.items), side) for side in (size.users, size.items)
    )  # blocks
    solved = SOLVED * 4 * min(size.users, BLOCK) * (size.n_factors + 1) + DRAWN * size.users
    trained = solved + fitted(n, size.items, size.n_factors)
    searched = 0.0
    if not size.earlier:
        tried = min(n, MOST_RATINGS)
        held = TRAINED * 4 * (size.users * tried / n) * (MOST_FACTORS + 1)
        searched = OWN_ROW * n + held + fitted(tried, size.items, MOST_FACTORS)
    at_once, earlier_at_once = min(n, RATINGS_AT_ONCE), min(size.earlier, RATINGS_AT_ONCE)
    compared = COMPARED_ROW * earlier_at_once
    listed = n * min(1, MEASURED_USERS / size.users)
    rows = 4 * min(size.users, MOST_USERS) * (size.n_factors + 1)
    measured = (
        EVALUATE_ROW * listed
        + MEASURED * min(size.users, MEASURED_USERS)
        + CELL * min(size.users, CELLS)
        + threads
        * max(
            EVALUATE_ROW * at_once + compared + EVALUATED * rows,
            PAIR * min(listed, USERS_AT_ONCE * LONGEST_HISTORY) + COUNTED * items,
        )
    )
    read = USER_ROWS * 8 * size.n_factors
    bytes_of = {
        "ingest": PYTHON
        + min(limit, min(threads * CSV_THREAD, CSV_ROW * size.read) + KEPT_ROW * size.read),
        "normalize": PYTHON + min(limit, threads * SQL_THREAD + SORTED_ROW * n),
        "train": TENSORFLOW + max(trained, searched, OWN_ROW * n + compared + 4 * X),
        "similar_items": PYTHON + threads * SCORED * items + 4 * X,
        "recommend": PYTHON + threads * (SCORED + KEPT) * users + 6 * X + read,
        "evaluate": PYTHON + measured + threads * (SCORED + KEPT) * users + 8 * X,
        "report": PLOTS + threads * SQL_THREAD + 2 * X,
        "publish": PYTHON,
    }
    return {step: peak / MB for step, peak in bytes_of.items()}


def fitted(ratings: float, items: int, n_factors: int) -> float:
    """Bytes of both models' fits to so many ratings, without what they hold of users."""
    X = 4 * items * n_factors
    return (
        TRAIN_ROW * ratings
        + CHUNK_ROW * min(ratings, CHUNK) * 4 * n_factors
        + TRAINED * 4 * items * (n_factors + 1)
        + LEARNED * X
        + min(FREED * X, MOST_FREED)
    )
