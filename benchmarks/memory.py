"""Peak memory of each step of a night as a formula, read off the code; night.py holds what it measures against it.

Each formula adds up what is alive at a step's highest point. docs/model.md explains the numbers.
"""

from dataclasses import dataclass

from cofi_jobs.baselines import PAIRS
from cofi_jobs.heads import Head
from cofi_jobs.top_k import block_size

MB = 1e6
PYTHON, TENSORFLOW, PLOTS = 150 * MB, 1130 * MB, 250 * MB  # a process with what it imports, and what XLA compiles
CSV_THREAD, CSV_ROW, KEPT_ROW = 140 * MB, 75, 8  # ingest: rows on their way into a row group, rows staged
SORTED_ROW = 70  # normalize: a row in the window over a pair's ratings
TRAIN_ROW, EVALUATE_ROW, COMPARED_ROW = 55, 60, 87  # columns and masks of all ratings that live at once
CALL, CALL_ROW = 2_000_000, 88  # train.MOST_AT_ONCE; both heads' batches of a call, in use and in the making
TRAINED = 20  # copies of a head's factors: both heads' values, Adam's moments, gradients, what comes out of a step
STEP_ROW = 10  # rows of f features for each rating of a batch, both heads
PAIR = 52  # evaluate: a pair of items that somebody liked, while item-kNN counts them; and 8 for the count


@dataclass(frozen=True)
class Size:
    """What memory depends on: ratings in the store, those of the night's files, and of the run compared with."""

    ratings: int
    read: int
    earlier: int
    users: int
    items: int
    features: int
    threads: int
    memory_limit_mb: int


def peaks(size: Size) -> dict[str, float]:
    """Peak memory of each step in MB (10^6 bytes)."""
    limit, threads, n = size.memory_limit_mb * MB, size.threads, size.ratings
    head = 4 * (size.users + size.items) * (size.features + 1)
    X = 4 * size.items * size.features
    block = 4 * size.items * min(block_size(size.items), size.users)
    block_of_items = 4 * size.items * min(block_size(size.items), size.items)
    scored = 1.25  # a block, and the mask of its best
    compared = COMPARED_ROW * max(size.earlier, 0) if size.earlier else 0
    batch = n / Head(batch_size=None).batches(n)
    fitted = TRAIN_ROW * n + CALL_ROW * min(n, CALL) + STEP_ROW * 4 * size.features * batch + TRAINED * head
    measured = EVALUATE_ROW * n + (8 + PAIR) * PAIRS
    return {
        step: peak / MB
        for step, peak in {
            "ingest": PYTHON + min(limit, min(threads * CSV_THREAD, CSV_ROW * size.read) + KEPT_ROW * size.read),
            "normalize": PYTHON + min(limit, SORTED_ROW * n),
            "train": TENSORFLOW + max(fitted, compared + 4 * head),
            "similar_items": PYTHON + threads * scored * block_of_items + 4 * X,
            "recommend": PYTHON + threads * scored * block + 6 * X,
            "evaluate": PYTHON + max(measured, compared) + 2 * scored * block + 4 * head,
            "report": PLOTS + min(limit, 8 * n) + 2 * X,
            "publish": PYTHON,
        }.items()
    }
