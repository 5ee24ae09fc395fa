"""How good the published similar items are, beside tuned peers, on real ratings.

Of each set the last fifth of each user's ratings is held out. The job runs on the rest with its
default settings and is judged by the Parquet that it publishes; the peers are implicit's
`similar_items` and popularity (similar_items_peers.py).
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks import contest, data, quality_sets
from benchmarks.contest import FOLDER
from benchmarks.options import FolderOption, SharedOption
from benchmarks.published import publish, rows_of
from benchmarks.quality_sets import NAMES, Parted, RatingSet
from benchmarks.quality_table import markdown
from benchmarks.similar_hits import K, hit_rate
from benchmarks.similar_items_peers import PEERS, liked

LIMIT = 1800  # seconds of a peer's process


def our_neighbours(parts: Parted, folder: Path) -> np.ndarray:
    """What the job publishes as similar items (n_items, K), -1 where there is none.

    Raises RuntimeError if it publishes nothing.
    """
    published = publish(parts, folder, f"similar_n={K}")
    if published.failed:
        raise RuntimeError(f"the job published no similar items:\n{published.output[-2000:]}")
    table = pd.read_parquet(
        published.current / "similar_items", columns=["item_id", "rank", "similar_item_id"]
    )
    return rows_of(table, parts.items, parts.items, K)


def rates(ratings: RatingSet, folder: Path) -> list[list[str]]:
    """A row for each contestant: set, contestant, hit rate, the options it chose."""
    parts = quality_sets.parted(ratings)
    folder.mkdir(parents=True, exist_ok=True)
    data.write(folder, parts.known, parts.held_out)
    judged_on = liked(parts.known, parts.held_out, ratings.liked_from)
    print(f"ours, {ratings.name}", file=sys.stderr, flush=True)
    ours = hit_rate(our_neighbours(parts, folder / "similar-ours"), *judged_on)
    rows = [[ratings.name, "ours", f"{ours:.4f}", ""]]
    for name in PEERS:
        output = folder / f"similar-{name.replace(' ', '-')}"
        if not contest.run(
            "similar_items_peers", name, folder, output, LIMIT, liked_from=ratings.liked_from
        ):
            rows.append([ratings.name, name, "", f"stopped after {LIMIT} s"])
            continue
        rate = hit_rate(np.load(output / "neighbours.npy"), *judged_on)
        choice = json.loads((output / "tuned.json").read_text())
        chosen = ", ".join(f"{option} {value}" for option, value in choice.items())
        rows.append([ratings.name, name, f"{rate:.4f}", chosen])
    return rows


def main(
    sets: Annotated[str, typer.Option(help=f"Sets, by commas, of {', '.join(NAMES)}.")] = ",".join(
        NAMES
    ),
    shared: SharedOption = data.SHARED,
    folder: FolderOption = FOLDER,
) -> None:
    """Print the hit rates among 20 similar items, as Markdown."""
    judged_on, missing = quality_sets.at_hand(sets.split(","), shared)
    for name in missing:
        print(f"left out {name}: found no file of it in {shared}", flush=True)
    rows = [row for each in judged_on for row in rates(each, folder / "similar" / each.slug)]
    print(markdown(["set", "contestant", f"hit rate@{K}", "chosen"], rows))


if __name__ == "__main__":
    typer.run(main)
