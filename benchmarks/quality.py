"""How good the published lists are, beside tuned peers, on real ratings; and the time to get there.

Of each set the last fifth of each user's ratings is held out. The job runs on the rest with its
default settings, as users run it, and is judged by the Parquet that it publishes. Each peer is
tuned on the same rest, then fitted to it (quality_peers.py).
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks import contest, data, quality_sets
from benchmarks.contest import FOLDER, TOP_N
from benchmarks.list_quality import quality
from benchmarks.measure import machine
from benchmarks.options import FolderOption, SharedOption
from benchmarks.published import publish, rows_of
from benchmarks.quality_peers import taking_part
from benchmarks.quality_sets import NAMES, Parted, RatingSet
from benchmarks.quality_table import DETAILS, SUMMARY, Judgement, Result, markdown, with_table
from cofi_jobs.core.ratings import Ratings

LIMIT = 3600  # seconds of a peer's process


def judge(ratings: RatingSet, folder: Path, keep_peers: bool = False) -> Judgement:
    """Let the job and the peers make their lists of a set, in a folder of its own.

    With `keep_peers`, a peer does so only if the folder has no lists of it. Raises ValueError if
    nobody liked anything that was held out.
    """
    parts = quality_sets.parted(ratings)
    liked = parts.held_out.where(parts.held_out.rating >= ratings.liked_from)
    if not len(liked.rating):
        raise ValueError(
            f"found no held-out rating of {ratings.liked_from:g} or more in {ratings.name}, "
            "expected some; --liked says from which rating on an item is liked"
        )
    folder.mkdir(parents=True, exist_ok=True)
    data.write(folder, parts.known, parts.held_out)
    n_users, n_items = len(parts.users), len(parts.items)
    peers = taking_part(n_users, n_items)
    return Judgement(
        ratings.name,
        "random" if ratings.time is None else "by time",
        n_users,
        n_items,
        len(parts.known.rating) + len(parts.held_out.rating),
        our_result(parts, liked, folder / "ours"),
        [peer_result(name, ratings.liked_from, liked, folder, keep_peers) for name in peers],
    )


def our_result(parts: Parted, liked: Ratings, folder: Path) -> Result:
    """The job's published lists, and the seconds of the whole command."""
    print(f"ours, {folder.parent.name}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    published = publish(parts, folder, f"top_n={TOP_N}")
    seconds = time.perf_counter() - start
    if published.failed or not (published.current / "recommendations").exists():
        output = published.output[-2000:]
        print(f"the job published no lists:\n{output}", file=sys.stderr, flush=True)
        return Result("ours", None, seconds, {})
    table = pd.read_parquet(
        published.current / "recommendations", columns=["user_id", "rank", "item_id"]
    )
    lists = rows_of(table, parts.users, parts.items, TOP_N)
    return Result("ours", quality(lists, liked), seconds, {})


def peer_result(name: str, liked_from: float, liked: Ratings, folder: Path, keep: bool) -> Result:
    """A tuned peer's lists, and the seconds of its tuning and its last fit."""
    output = folder / name.replace(" ", "-")
    is_there = keep and (output / "tuned.json").exists()
    if not is_there and not contest.run(
        "quality_peers", name, folder, output, LIMIT, liked_from=liked_from
    ):
        return Result(name, None, LIMIT, {})
    tuned = json.loads((output / "tuned.json").read_text())
    lists = np.load(output / "lists.npy")
    return Result(name, quality(lists, liked), tuned["seconds"], tuned["choice"])


def main(
    sets: Annotated[
        str | None, typer.Option(help=f"Sets, by commas; all if left out: {', '.join(NAMES)}.")
    ] = None,
    ratings: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV of user, item and maybe rating and time, in these columns; repeatable. "
            "Instead of the sets, if none is named."
        ),
    ] = None,
    liked: Annotated[
        float | None,
        typer.Option(help="Liked rating in these files; three quarters up the scale if left out."),
    ] = None,
    times: Annotated[bool, typer.Option(help="Whether their times say anything.")] = True,
    shared: SharedOption = data.SHARED,
    folder: FolderOption = FOLDER,
    keep_peers: Annotated[
        bool, typer.Option(help="Take the peers' lists of an earlier run, on the same ratings.")
    ] = False,
    document: Annotated[
        Path | None, typer.Option(help="Document that gets the table of all sets, between marks.")
    ] = None,
) -> None:
    """Print a table of the sets and one of all contestants; both are Markdown."""
    names = sets.split(",") if sets else [] if ratings else list(NAMES)
    try:
        judged_on, missing = quality_sets.at_hand(names, shared)
        judged_on += [quality_sets.from_file(path, liked, times) for path in ratings or []]
        for name in missing:
            print(f"left out {name}: found no file of it in {shared}", flush=True)
        if not judged_on:
            raise ValueError("found no ratings to judge lists on, expected a set or --ratings")
        judgements = [judge(each, folder / "quality" / each.slug, keep_peers) for each in judged_on]
    except ValueError as error:
        sys.exit(str(error))
    stands = machine()
    record = {"machine": stands, "sets": [asdict(each) for each in judgements]}
    (folder / "quality.json").write_text(json.dumps(record, indent=2) + "\n")
    table = markdown(SUMMARY, [each.summary() for each in judgements])
    print(table)
    print(markdown(DETAILS, [row for each in judgements for row in each.details()]))
    print(", ".join(f"{name} {value}" for name, value in stands.items()))
    if document and missing:
        print(f"left {document} as it is: its table is of all sets")
    elif document:
        document.write_text(with_table(document.read_text(), table))


if __name__ == "__main__":
    typer.run(main)
