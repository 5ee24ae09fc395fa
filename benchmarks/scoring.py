"""All users' lists and all items' similar items: the project, implicit, faiss and the bare matrix product.

Factors are made up (seeded, normal), what users have rated is from the generator. All run with the same threads; each
is warmed up by a block, then measured `repeats` times, and the median counts. The lists must agree.
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
from cofi_jobs.model import Ratings

REPEATS, LIMIT = 3, 900
BATCH = 1000  # users of one call of implicit
CONTESTANTS = {"ours": "ours", "product": "ours", "implicit": "peers", "faiss": "peers", "faiss-masked": "peers"}
SAME = 0.999  # share of the items of two exact lists that must agree; ties and rounding are left


def scoring_set(folder: Path, users: int, items: int) -> Path:
    """Folder of the arrays W, X, and what each user has rated (`items`, from `starts[user]` on), made once."""
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


def run(folder: Path, users: int, items: int, repeats: int = REPEATS) -> list[dict[str, Any]]:
    """A row for each kind of list and contestant: seconds with and without writing.

    Raises RuntimeError if a peer's lists are not ours.
    """
    source, rows = scoring_set(folder, users, items), []
    for kind in ("lists", "similar"):
        lists: dict[str, np.ndarray] = {}
        for name, module in CONTESTANTS.items():
            for write in (False, True):
                if (name == "product" and write) or (name == "faiss-masked" and kind == "similar"):
                    continue
                found = folder / "found" / f"{name}-{kind}"
                options = {"write": write, "repeats": repeats, "batch": BATCH}
                if not contest.run(module, f"{name} {kind}", source, found, LIMIT, **options):
                    continue
                seconds = json.loads((found / "seconds.json").read_text())
                row = {"kind": kind, "users": users, "items": items, "contestant": name, "write": write}
                rows.append({**row, "seconds": statistics.median(seconds), "each": seconds})
                print(rows[-1], flush=True)
                if (found / "items.npy").exists():
                    lists[name] = np.load(found / "items.npy")
        for name, own in lists.items():
            if not (name == "faiss" and kind == "lists"):  # which has what was rated
                _check_same(name, own[:, -TOP_N:], lists["ours"])  # a peer's similar items begin with the item itself
    return rows


def _check_same(name: str, own: np.ndarray, expected: np.ndarray) -> None:
    some = np.random.default_rng(0).integers(0, len(expected), 500)
    same = np.mean([len(np.intersect1d(own[row], expected[row])) for row in some]) / TOP_N
    if same < SAME:
        raise RuntimeError(f"found {same:.1%} of our items in the lists of {name}, expected {SAME:.1%}")


def _sorted(every: Ratings) -> Ratings:
    """By user and item, each pair once."""
    pairs = np.unique(every.user_index.astype(np.int64) * every.n_items + every.item_index)
    user, item = np.divmod(pairs, every.n_items)
    return Ratings(user, item, np.ones(len(pairs), np.float32), every.n_users, every.n_items)
