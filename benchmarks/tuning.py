"""The options of training.py's contestants: for each the best of a small grid, on the same ratings.

Writes training.json. Of a peer with several points on its way the best one counts. On more than
MOST ratings only the first setting, the regularization, is sought, and the rest is as for a
million.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import data
from benchmarks.contest import FOLDER
from benchmarks.training import CHOSEN, LIKED_FROM, MILLION, best, trained

ANY = 0.0  # liked_from of a peer for which all ratings are positive
MOST = 2_000_000
# A contestant's own settings, and beside them what it takes for positive and how often it runs
# through the ratings.
GRIDS: dict[str, tuple[Mapping[str, Sequence[Any]], Mapping[str, Sequence[Any]]]] = {
    "implicit ranking": (
        {"regularization": [1, 10, 50, 100, 200, 400, 800], "alpha": [1, 4], "iterations": [15]},
        {"liked_from": [ANY, LIKED_FROM], "weight": ["stars"]},
    ),
    "lenskit ranking": (
        {
            "regularization": [1, 10, 50, 100, 200, 400, 800],
            "weight": [1, 4],
            "use_ratings": [True],
        },
        {"liked_from": [ANY, LIKED_FROM], "weight": ["stars"], "epochs": [10]},
    ),
    "lenskit rating": (
        {"regularization": [0.03, 0.05, 0.1, 0.2], "damping": [5]},
        {"epochs": [15]},
    ),
    "surprise rating": (
        {"reg_all": [0.02, 0.05, 0.1], "lr_all": [0.005]},
        {"epochs": [[10, 20, 40, 80]]},
    ),
    "spark rating": ({"regParam": [0.05, 0.1]}, {"epochs": [[3, 6, 10]]}),
    "ours rating": (
        {
            "rating_lambda": [0.6, 0.8, 1.2, 2.4],
            "rating_learning_rate": [0.0475, 0.06],
            "recency": [0, 0.5],
            "ratings_per_step": [120_000, 250_000],
            "rating_steps": [20],
        },
        {},
    ),
    "ours ranking": (
        {
            "ranking_lambda": [0.5, 1, 1.4, 2],
            "ranking_learning_rate": [0.048, 0.1],
            "ranking_alpha": [30, 50, 100],
            "recency": [0, 0.5],
            "ratings_per_step": [70_000, 200_000],
            "ranking_steps": [20],
        },
        {},
    ),
}


def grid(name: str) -> Iterator[dict[str, Any]]:
    """The options of a contestant, one after another."""
    settings, rest = GRIDS[name]
    for values in itertools.product(*settings.values()):
        for others in itertools.product(*rest.values()):
            yield {
                "settings": dict(zip(settings, values, strict=True)),
                **dict(zip(rest, others, strict=True)),
            }


def first_varied(name: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """These options of a contestant, with each value that its grid has for the first setting."""
    first, values = next(iter(GRIDS[name][0].items()))
    for value in values:
        yield {**options, "settings": options["settings"] | {first: value}}


def main(
    which: Annotated[
        str, typer.Option(help="So many made-up ratings, or a ratings.csv.")
    ] = "1000000",
    names: Annotated[str, typer.Option(help="Contestants, by commas.")] = ",".join(GRIDS),
    folder: Annotated[Path, typer.Option(envvar="BENCHMARK_FOLDER")] = FOLDER,
) -> None:
    """Try each option of each contestant; print all, keep the best."""
    source = data.prepared(folder, which)
    for name in names.split(","):
        contestant, kind = name.split(" ")
        chosen = _chosen()
        many = len(data.read(source, "known").rating) > MOST
        tried = []
        for options in first_varied(name, chosen[MILLION][name]) if many else grid(name):
            curve = trained(contestant, kind, source, folder, options)
            if curve:
                tried.append((best(kind, curve), options))
                print(
                    name,
                    options,
                    [f"{p['epochs']:.0f}: {p['value']:.4f} {p['seconds']:.1f}s" for p in curve],
                    flush=True,
                )
        chosen = _chosen()  # as it is by now: a trial takes long
        choose = min if kind == "rating" else max
        value, options = choose(tried, key=lambda pair: pair[0])
        chosen.setdefault(source.name, {})[name] = options
        CHOSEN.write_text(json.dumps(chosen, indent=2) + "\n")
        print(name, "best", value, options, flush=True)


def _chosen() -> dict[str, Any]:
    return json.loads(CHOSEN.read_text()) if CHOSEN.exists() else {}


if __name__ == "__main__":
    typer.run(main)
