"""All users' lists and all items' similar items: the project, implicit, faiss and the bare matrix product.

Factors are made up (seeded, normal), what users have rated is from the generator. All run with the same threads; each
is warmed up by a block, then measured `repeats` times, and the median counts. The lists must agree.
"""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import contest, data
from benchmarks.contest import FEATURES
from benchmarks.synthetic import ratings
from cofi_jobs.model import Ratings

REPEATS, LIMIT = 3, 900
BATCH = 1000  # users of one call of implicit
CONTESTANTS = (("ours", "cofi"), ("ours", "product"), ("peers", "implicit"), ("peers", "faiss"))
SAME = 0.999  # share of the items of two exact lists that must agree; ties and rounding are left


def scoring_set(folder: Path, users: int, items: int) -> Path:
    """Folder of the arrays W, X, and what each user has rated (`items`, from `starts[user]` on), made once."""
    target = folder / f"scoring-{users}-{items}"
    if target.exists():
        return target
    if (users, items) == data.SHAPES[20_000_000]:
        every = _sorted(data.read(data.synthetic_set(folder, 20_000_000), "known"))
    else:
        table = pa.concat_tables(ratings(150 * users, users, items))
        every = _sorted(Ratings(table["user_id"].to_numpy() - 1, table["item_id"].to_numpy() - 1, table["rating"].to_numpy(), users, items))
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
    """A row for each kind of list and contestant: seconds with and without writing."""
    source, rows = scoring_set(folder, users, items), []
    for kind in ("lists", "similar"):
        expected = None
        for module, name in CONTESTANTS:
            for write in (False, True):
                if write and name == "product":
                    continue
                found = folder / "found" / f"{name}-{kind}"
                shutil.rmtree(found, ignore_errors=True)
                options = {"write": write, "repeats": repeats, "batch": BATCH}
                if not contest.run(module, f"{name} {kind}", source, found, LIMIT, **options):
                    continue
                seconds = json.loads((found / "seconds.json").read_text())
                row = {"kind": kind, "users": users, "items": items, "contestant": name, "write": write}
                rows.append({**row, "seconds": statistics.median(seconds), "each": seconds})
                print(rows[-1], flush=True)
            if (found / "items.npy").exists() and not (name == "faiss" and kind == "lists"):
                own = np.load(found / "items.npy")
                own = own[:, 1:] if own.shape[1] > contest.TOP_N else own  # a peer's list begins with the item itself
                expected = own if expected is None else expected
                same = np.mean([len(np.intersect1d(*pair)) for pair in zip(own[:500], expected[:500], strict=True)])
                if same < SAME * own.shape[1]:
                    raise RuntimeError(f"{name}: found {same:.2f} of our {own.shape[1]} items in its lists of {kind}")
    return rows


def _sorted(every: Ratings) -> Ratings:
    """By user and item, each pair once."""
    pairs = np.unique(every.user_index.astype(np.int64) * every.n_items + every.item_index)
    user, item = np.divmod(pairs, every.n_items)
    return Ratings(user, item, np.ones(len(pairs), np.float32), every.n_users, every.n_items)
