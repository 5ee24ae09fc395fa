"""How good the published lists are, beside tuned peers, on real ratings; and the time to get there.

Of each set the last fifth of each user's ratings is held out. The job runs on the rest with its
default settings, as users run it, and is judged by the Parquet that it publishes. Each peer is
tuned on the same rest, then fitted to it (quality_peers.py).
"""

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks import contest, data, quality_sets
from benchmarks.contest import FOLDER, ROOT, TOP_N
from benchmarks.list_quality import quality
from benchmarks.measure import machine
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


def rows_of(table: pd.DataFrame, parts: Parted) -> np.ndarray:
    """Published lists as rows of items (n_users, TOP_N), -1 where nothing is listed.

    `table` has user_id, rank and item_id.
    """
    lists = np.full((len(parts.users), TOP_N), -1, np.int64)
    places = {
        side: pd.Index(ids).get_indexer(table[f"{side}_id"].astype(str))
        for side, ids in (("user", parts.users), ("item", parts.items))
    }
    rank = table["rank"].to_numpy() - 1
    listed = (places["user"] >= 0) & (rank < TOP_N)
    lists[places["user"][listed], rank[listed]] = places["item"][listed]
    return lists


def our_result(parts: Parted, liked: Ratings, folder: Path) -> Result:
    """The job's published lists, and the seconds of the whole command."""
    print(f"ours, {folder.parent.name}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parts.known_table.to_csv(folder / "ratings.csv", index=False)
    command = [sys.executable, "-m", "cofi_jobs", "run", "--set", f"top_n={TOP_N}"]
    command += ["--store", str(folder / "store"), "--ratings", str(folder / "ratings.csv")]
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seconds = time.perf_counter() - start
    published = folder / "store" / "current" / "recommendations"
    if done.returncode or not published.exists():
        print(f"the job published no lists:\n{done.stdout[-2000:]}", file=sys.stderr, flush=True)
        return Result("ours", None, seconds, {})
    lists = rows_of(pd.read_parquet(published), parts)
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
    shared: Annotated[
        Path, typer.Option(help="Folder of the sets that no package has.")
    ] = data.SHARED,
    folder: Annotated[
        Path, typer.Option(help="Where data and figures go.", envvar="BENCHMARK_FOLDER")
    ] = FOLDER,
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
        judgements = [
            judge(each, folder / "quality" / _slug(each.name), keep_peers) for each in judged_on
        ]
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


def _slug(name: str) -> str:
    """The name of a set as that of a folder."""
    return re.sub(r"\W+", "-", name.lower())


if __name__ == "__main__":
    typer.run(main)
