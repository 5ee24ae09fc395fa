"""Time to quality: how long each peer trains to its best, and how long we train to reach it.

Both learn the same train ratings (see data.py) with 64 factors and 2 threads. The test ratings
measure both: RMSE of stars, or NDCG@10 of the lists of some users. Seconds run from the start of
the fit, compiling included, reading and measuring excluded. A peer shows its factors after each
epoch or is fitted with ever more. A schedule of ours ends with its steps, so each of our points is
a whole fit: with few large steps, or more and smaller ones. On small sets all contestants train in
several rounds, in turn, since the machine's speed changes between them; the medians count.

What each is set to is in training.json, the best of a small grid on the same ratings (tuning.py);
the peers' best is so chosen in their favour. On real ratings we have the job's default settings.
"""

import json
import statistics
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contest, data
from benchmarks.data import SCALE
from cofi_jobs.core.factors import Factors, predict
from cofi_jobs.evaluation import ranking_metrics
from cofi_jobs.settings.resolve import load_settings

MEASURES = {"rating": "RMSE", "ranking": "NDCG@10"}
PEERS = {"rating": ("lenskit", "surprise", "spark"), "ranking": ("implicit", "lenskit")}
CLOSE = 0.001  # as good as the best is what is within this share of it
USERS, LIKED_FROM, NDCG_AT = 5000, 4.0, 10
OUR_STEPS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 120)
OUR_SECONDS = 240  # no more fits of ours once they took so many seconds together
LIMIT = 300  # seconds of a contestant's process; what it has shown by then counts
MOST_RATINGS = {"surprise": 2_000_000, "spark": 2_000_000}  # beyond which a peer would not come far
ROUNDS, BIG = 3, 2_000_000  # one round with more ratings than BIG
ONCE = ("spark",)  # too slow for several rounds
MILLION = "ratings-1000000"  # whose options hold where none were sought
REAL = (data.SAMPLE, "ml-latest-small")
CHOSEN = Path(__file__).parent / "training.json"
Point = dict[str, float]


def measured(kind: str, source: Path, factors: Mapping[str, np.ndarray]) -> float:
    """RMSE over all test ratings, clipped to the scale; or mean NDCG@10 over USERS fixed users."""
    test = data.read(source, "held-out")
    if kind == "rating":
        b = factors.get("user", np.zeros(len(factors["W"]), np.float32))
        stars = predict(Factors(factors["X"], factors["W"], b), test.user_index, test.item_index)
        stars += (
            factors.get("mean", 0)
            + factors.get("item", np.zeros(len(factors["X"])))[test.item_index]
        )
        return float(np.sqrt(np.mean((SCALE.clip(stars) - test.rating) ** 2)))
    train, relevant = data.read(source, "known"), test.where(test.rating >= LIKED_FROM)
    rng = np.random.default_rng(0)
    users = np.zeros(train.n_users, bool)
    users[rng.choice(train.n_users, min(USERS, train.n_users), replace=False)] = True
    W, X = factors["W"][users], factors["X"]
    lists = ranking_metrics.rank(
        lambda block: W[block] @ X.T, train.of_some(users), relevant.of_some(users), X, NDCG_AT
    )
    return float(np.nanmean(lists.by_user["ndcg"]))


def points(kind: str, source: Path, output: Path) -> list[Point]:
    """Seconds and quality after each number of epochs, or of our steps, that is known."""
    curve = []
    for path in sorted(output.glob("[0-9]*.npz")):
        with np.load(path) as arrays:
            factors = dict(arrays)
        seconds, epochs = float(factors.pop("seconds")), int(factors.pop("epochs"))
        curve.append(
            {"epochs": epochs, "seconds": seconds, "value": measured(kind, source, factors)}
        )
    return curve


def best(kind: str, curve: list[Point]) -> float:
    """The best value of a curve."""
    return min(p["value"] for p in curve) if kind == "rating" else max(p["value"] for p in curve)


def seconds_to(kind: str, curve: list[Point], goal: float) -> float | None:
    """The least seconds of a point that is within CLOSE of the goal; None if there is none."""
    if kind == "rating":
        reached = [p["seconds"] for p in curve if p["value"] <= goal * (1 + CLOSE)]
    else:
        reached = [p["seconds"] for p in curve if p["value"] >= goal * (1 - CLOSE)]
    return min(reached, default=None)


def compared(kind: str, peer: list[Point], ours: list[Point]) -> dict[str, float | None]:
    """The peer's best, both sides' seconds to it, and their ratio; None if we do not reach it."""
    goal = best(kind, peer)
    theirs, ours_to_goal = seconds_to(kind, peer, goal), seconds_to(kind, ours, goal)
    ratio = ours_to_goal / theirs if ours_to_goal is not None and theirs else None
    return {
        "goal": goal,
        "peer": theirs,
        "ours": ours_to_goal,
        "ratio": ratio,
        "our_best": best(kind, ours),
    }


def middle(rounds: list[list[Point]]) -> list[Point]:
    """One curve of several: at each number of epochs the medians of what the rounds have there."""
    each: dict[float, list[Point]] = {}
    for point in chain(*rounds):
        each.setdefault(point["epochs"], []).append(point)
    return [
        {key: statistics.median(point[key] for point in points_there) for key in points_there[0]}
        for _, points_there in sorted(each.items())
    ]


def chosen_options(name: str) -> dict[str, Any]:
    """The options of every contestant of a set.

    On REAL sets only the peers take part whose options were sought on the sample, and ours are the
    job's defaults.
    """
    of_sets: dict[str, dict[str, Any]] = json.loads(CHOSEN.read_text())
    if name not in REAL:
        return of_sets[MILLION] | of_sets.get(name, {})
    ours = {f"ours {kind}": {"settings": _default_settings(kind)} for kind in PEERS}
    return ours | of_sets[data.SAMPLE]


def _default_settings(kind: str) -> dict[str, Any]:
    """The job's settings that `_ours` varies."""
    defaults = load_settings()
    return {name: getattr(defaults, name) for name in (f"{kind}_learning_rate", f"{kind}_steps")}


def run(folder: Path, which: str) -> list[dict[str, Any]]:
    """A row for each measure and contestant: options, curves; for a peer `compared` too."""
    source = data.prepared(folder, which)
    chosen = chosen_options(source.name)
    size, rows = len(data.read(source, "known").rating), []
    for kind, every in PEERS.items():
        peers = [
            name
            for name in every
            if size <= MOST_RATINGS.get(name, size) and f"{name} {kind}" in chosen
        ]
        if not peers:
            continue
        rounds: dict[str, list[list[Point]]] = {name: [] for name in (*peers, "ours")}
        for number in range(1 if size > BIG else ROUNDS):
            for name in peers:
                if number == 0 or name not in ONCE:
                    rounds[name].append(
                        trained(name, kind, source, folder, chosen[f"{name} {kind}"])
                    )
            goals = [best(kind, rounds[name][0]) for name in peers if rounds[name][0]]
            rounds["ours"].append(
                _ours(kind, source, folder, chosen[f"ours {kind}"]["settings"], goals)
            )
        curves = {name: middle(curves_of_rounds) for name, curves_of_rounds in rounds.items()}
        for name, curve in curves.items():
            row = {
                "set": source.name,
                "kind": kind,
                "contestant": name,
                "options": chosen[f"{name} {kind}"],
            }
            row |= {"curve": curve, "rounds": rounds[name]}
            rows.append(
                row | (compared(kind, curve, curves["ours"]) if curve and name != "ours" else {})
            )
    return rows


def _ours(
    kind: str, source: Path, folder: Path, settings: Mapping[str, Any], goals: list[float]
) -> list[Point]:
    """Our curve: fits with ever more steps, until all goals are reached or OUR_SECONDS are over.

    The rate of the settings is that of a fit with as many steps as they say. Fewer are larger, so
    that all come as far.
    """
    curve: list[Point] = []
    for steps in OUR_STEPS:
        rate = settings[f"{kind}_learning_rate"] * settings[f"{kind}_steps"] / steps
        options = {**settings, f"{kind}_steps": steps, f"{kind}_learning_rate": rate}
        curve += trained("ours", kind, source, folder, {"settings": options})
        if sum(point["seconds"] for point in curve) > OUR_SECONDS or all(
            seconds_to(kind, curve, goal) is not None for goal in goals
        ):
            break
    return curve


def trained(
    name: str, kind: str, source: Path, folder: Path, options: Mapping[str, Any]
) -> list[Point]:
    """The curve of one contestant, as far as it came."""
    output = folder / "found" / f"{name}-{kind}"
    contest.run(
        "ours" if name == "ours" else "peers", f"{name} {kind}", source, output, LIMIT, **options
    )
    return points(kind, source, output)
