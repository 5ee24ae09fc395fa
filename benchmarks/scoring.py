"""All users' lists and all items' similar items: ours, implicit, faiss, the bare matrix product.

Factors are made up (seeded, normal), what users have rated is from the generator. All run with the
same threads; each is warmed up by a block, then measured, and the median of the rounds counts. The
lists must agree.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import contest, data
from benchmarks.contest import FEATURES, TOP_N
from benchmarks.synthetic import ratings
from cofi_jobs.core.ratings import Ratings

ROUNDS, BIG, LIMIT = (
    3,
    1e9,
    900,
)  # one round where there are more scores than BIG; seconds of a process
BATCH = 1000  # users of one call of implicit
# What runs, in turn: kind, contestant, and whether the lists are written to Parquet.
PLAN = (
    *(("lists", name, False) for name in ("ours", "product", "implicit", "faiss", "faiss-masked")),
    *(("lists", name, True) for name in ("ours", "task", "implicit", "faiss-masked")),
    *(("similar", name, False) for name in ("ours", "product", "implicit", "faiss")),
    *(("similar", name, True) for name in ("ours", "task", "implicit", "faiss")),
)
SAME = 0.999  # share of the items of two exact lists that must agree; ties and rounding are left


def scoring_set(folder: Path, users: int, items: int) -> Path:
    """Folder of W, X, and what each user has rated (`items`, from `starts[user]` on), made once."""
    target = folder / f"scoring-{users}-{items}"
    if target.exists():
        return target
    if (users, items) == data.SHAPES[20_000_000]:
        every = _sorted(data.read(data.prepared(folder, "20000000"), "known"))
    else:
        table = pa.concat_tables(ratings(150 * users, users, items))
        every = _sorted(
            Ratings(
                table["user_id"].to_numpy() - 1,
                table["item_id"].to_numpy() - 1,
                table["rating"].to_numpy(),
                users,
                items,
            )
        )
    partial = target.with_suffix(".part")
    partial.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, n in (("W", every.n_users), ("X", every.n_items)):
        np.save(partial / f"{name}.npy", rng.standard_normal((n, FEATURES), np.float32))
    counts = np.bincount(every.user_index, minlength=every.n_users)
    np.save(partial / "starts.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    np.save(partial / "items.npy", every.item_index.astype(np.int32))
    return partial.rename(target)


def run(folder: Path, users: int, items: int) -> list[dict[str, Any]]:
    """A row for each kind of list and contestant, with and without writing: seconds, their median.

    All contestants run in turn, each in a new process; small sets several times. Raises
    RuntimeError if a peer's lists are not ours.
    """
    source = scoring_set(folder, users, items)
    users, items = (len(np.load(source / f"{name}.npy", mmap_mode="r")) for name in ("W", "X"))
    each: dict[tuple[str, str, bool], list[float]] = {}
    lists: dict[tuple[str, str], np.ndarray] = {}
    for _ in range(1 if users * items > BIG else ROUNDS):
        for kind, name, write in PLAN:
            output = folder / "found" / f"{name}-{kind}"
            module = "ours" if name in ("ours", "product", "task") else "peers"
            if contest.run(
                module, f"{name} {kind}", source, output, LIMIT, write=write, batch=BATCH
            ):
                seconds = json.loads((output / "seconds.json").read_text())
                each.setdefault((kind, name, write), []).append(seconds)
            if (output / "items.npy").exists():
                lists[kind, name] = np.load(output / "items.npy")
    for (kind, name), ids in lists.items():
        if (kind, name) != ("lists", "faiss"):  # which has what was rated
            check_same(
                name, ids[:, -TOP_N:], lists[kind, "ours"]
            )  # a peer's similar items begin with the item itself
    return [
        {
            **{"kind": kind, "users": users, "items": items, "contestant": name, "write": write},
            **{"seconds": statistics.median(seconds), "each": seconds},
        }
        for (kind, name, write), seconds in each.items()
    ]


def check_same(name: str, items: np.ndarray, expected: np.ndarray) -> None:
    """Raise RuntimeError if the lists of a peer (n, TOP_N) have other items than expected."""
    some = np.random.default_rng(0).integers(0, len(expected), 500)
    same = np.mean([len(np.intersect1d(items[row], expected[row])) for row in some]) / TOP_N
    if same < SAME:
        raise RuntimeError(
            f"found {same:.1%} of our items in the lists of {name}, expected {SAME:.1%}"
        )


def _sorted(every: Ratings) -> Ratings:
    """By user and item, each pair once."""
    pairs = np.unique(every.user_index.astype(np.int64) * every.n_items + every.item_index)
    user, item = np.divmod(pairs, every.n_items)
    return Ratings(user, item, np.ones(len(pairs), np.float32), every.n_users, every.n_items)
