"""Many nights of a store against the oracle; users leave, settings change, work is killed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from torture import story
from torture.attack import Attack, arm
from torture.checks import served, settled, traces
from torture.oracle import current_ratings, differences
from torture.warm import forked

N_USERS, N_ITEMS = 24, 12
KILLED, ERASING, TUNING = 0.1, 0.15, 0.06  # share of the nights
FIRST_USER = 700_000_001  # ids that no other number in a store is


@dataclass
class Past:
    """What the oracle knows: all files that were dropped, in order of arrival, and who left."""

    dropped: list[pd.DataFrame] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)


def nights(folder: Path, count: int, seed: int) -> Iterator[tuple[str, list[str]]]:
    """What happened in each night, and what did not hold at its end."""
    rng, past, root = random.Random(seed), Past(), folder / "store"
    Store(root).create()
    for night in range(1, count + 1):
        events: list[str] = []
        failed = [*_night(root, past, night, rng, events)]
        judged = forked(_judge, root, past, _key(night))
        yield f"night {night} ({', '.join(events)})", [*failed, *judged.texts]


def _key(night: int) -> str:
    return f"n{night:04}"


def _night(
    root: Path, past: Past, night: int, rng: random.Random, events: list[str]
) -> Iterator[str]:
    """Drop files and do the night's work. What is killed is done again; gives what fails."""
    work = _work(past, night, rng)
    for number in range(rng.choice((1, 1, 2))):
        frame = ratings(rng, night)
        frame.to_csv(root / "landing" / f"{_key(night)}-{number}.csv", index=False)
        past.dropped.append(frame)
    killed = rng.randrange(len(work)) if rng.random() < KILLED else None
    for place, (kind, name) in enumerate(work):
        attack = Attack("kill", rng.randrange(1, 80)) if place == killed else Attack("count")
        ended = forked(_do, root, kind, name, _key(night), attack)
        if kind != "run":
            events.append(kind)
        if ended.killed:
            events.append(f"{name if kind == 'run' else kind} killed")
            ended = forked(_do, root, kind, name, _key(night), Attack("count"))
        if ended.error or ended.signal:
            yield f"{kind} {name}: {ended.texts}"


def _work(past: Past, night: int, rng: random.Random) -> list[tuple[str, str]]:
    """All tasks of a run; sometimes somebody leaves between two of them, or settings are tuned."""
    work = [("run", task) for task in story.QUIET]
    if night > 3 and rng.random() < ERASING:
        users = range(FIRST_USER, FIRST_USER + N_USERS)
        past.erased.append(rng.choice([user for user in users if user not in past.erased]))
        work.insert(rng.randrange(len(work)), ("erase", str(past.erased[-1])))
    if night > 3 and rng.random() < TUNING:
        work.append(("tune", _key(night)))
    return work


def _do(root: Path, kind: str, name: str, run_key: str, attack: Attack) -> None:
    log = root.with_name("log")
    log.write_text("")
    arm(root, attack, log)
    if kind == "run":
        story.run(Store(root), run_key, [name])
    elif kind == "erase":
        erase(Store(root), story.settings(), [name])
    else:
        story.tune(Store(root), run_key)


def ratings(rng: random.Random, night: int) -> pd.DataFrame:
    """Rows of a night: new, changed, repeated and withdrawn ratings, some of them late."""
    pairs = [(user, item) for user in range(N_USERS) for item in range(N_ITEMS)]
    rows = []
    for user, item in rng.sample(pairs, 150 if night == 1 else rng.randrange(5, 60)):
        day = max(1, night - rng.choice((0, 0, 0, 0, 1, 3)))
        withdrawn = night > 1 and rng.random() < 0.15
        rows.append(
            {
                "userId": FIRST_USER + user,
                "movieId": 100 + item,
                "rating": rng.randrange(1, 6),
                "timestamp": 1_000_000_000 + 10 * day + rng.randrange(3),
                "op": "d" if withdrawn else "u",
            }
        )
    return pd.DataFrame(rows)


def _judge(root: Path, past: Past, key: str) -> list[str]:
    store = Store(root)
    wrong = [*served(store, {key}), *settled(store)]
    for user in past.erased:
        wrong += traces(store, user, shown_in=())
    return wrong + differences(store, key, current_ratings(past.dropped, past.erased))
