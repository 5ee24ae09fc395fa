"""How good a run is: measures beside baselines, groups of users and items, the gate's verdict."""

from typing import Any

import pandas as pd
from rich.console import Console

from cofi_jobs.cli.show.tables import (
    blank_repeats,
    draw,
    integers,
    interval,
    new_console,
    number,
    signed,
)
from cofi_jobs.core.errors import StoreError
from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.evaluation.similar_items import SAME_GROUP
from cofi_jobs.evaluation.split_order import split_sentences
from cofi_jobs.store.status import evaluation_of, feedback_in, measure_names
from cofi_jobs.store.store import Store


def evaluation(store: Store, run_key: str | None = None) -> None:
    """Each measure of a run beside each baseline, by groups of users and items, and the verdict.

    Without a key, of the newest run that was evaluated. Raises StoreError if there is none.
    """
    key, record = _evaluated(store, [run_key] if run_key else store.run_keys()[::-1])
    console, metrics = new_console(), record["metrics"]
    feedback = feedback_in(metrics)
    console.rule(f"CoFi run {key}")
    for sentence in split_sentences(metrics):
        console.print(sentence, soft_wrap=True)
    for model, unit in (("rating", "in stars"), ("ranking", "means over users")):
        if model not in metrics:
            continue
        title = (
            f"{model} model on {metrics['held_out_ratings']:,} test {feedback}, {unit}, "
            "with 95 % intervals over users"
        )
        table = measures_table(model, metrics, record["comparisons"])
        console.print(draw(table, title, ("measure", "against")))
    if SAME_GROUP in metrics:
        console.print(same_group(metrics[SAME_GROUP]), soft_wrap=True)
    if "published" in metrics:
        console.print(
            "published: run {run_key}, on the {users:,} users whom both can be measured on".format(
                **metrics["published"]
            )
        )
    users, items = by_activity(metrics), by_popularity(metrics)
    console.print(draw(users, f"by how many {feedback} users have", ("users",)))
    console.print(draw(items, f"by how many {feedback} items have", ("items",)))
    _verdict(console, record["gate"])


def same_group(shares: dict[str, Any]) -> str:
    """Which share of similar items has a group in common with their item, in a sentence."""
    others = ", ".join(
        f"{name} {number(shares[name])}" for name in (*RANKINGS[1:], "chance") if name in shares
    )
    return (
        f"of the first {shares['neighbours']} similar items, {number(shares['ranking'])} have a "
        f"group in common with their item; {others}"
    )


def measures_table(
    model: str, metrics: dict[str, Any], comparisons: list[dict[str, Any]]
) -> pd.DataFrame:
    """A row for each measure of a model and each baseline; a measure and its value stand once."""
    intervals = metrics["intervals"][model]
    measures = pd.DataFrame(
        [
            (
                name,
                f"{value:,}" if name == "users" else number(value),
                interval(*(intervals.get(name) or (None, None))),
            )
            for name, value in metrics[model].items()
        ],
        columns=["measure", "model", "interval"],
    )
    baselines = pd.DataFrame(
        [
            (
                c["measure"],
                c["against"],
                number(c["other"]),
                signed(c["difference"]),
                interval(c["low"], c["high"], "+"),
            )
            for c in comparisons
            if c["head"] == model
        ]
        + [  # coverage is no mean over users: it has no interval and is not compared by users
            (name, baseline, number(metrics[baseline][name]), "", "")
            for name in metrics[model]
            if name.startswith("coverage")
            for baseline in RANKINGS[1:]
        ],
        columns=["measure", "against", "baseline", "difference", "of difference"],
    )
    table = measures.merge(baselines, on="measure", how="left")
    return blank_repeats(table, "measure", ["measure", "model", "interval"])


def by_activity(metrics: dict[str, Any]) -> pd.DataFrame:
    """The main measures for users with few, some and many ratings."""
    ndcg = measure_names(metrics)["ndcg"]
    errors = {"RMSE": "rating.rmse", "damped means": "damped_means.rmse"}
    errors = errors if "rating" in metrics else {}
    groups = _groups(
        metrics["by_activity"],
        ["ratings", "users", "from", "to", *errors.values()]
        + [f"{model}.{ndcg}" for model in RANKINGS],
    )
    return pd.DataFrame(
        {
            "users": groups["ratings"],
            "number": integers(groups["users"]),
            feedback_in(metrics): _span(groups),
            **{heading: groups[name].map(number) for heading, name in errors.items()},
            **{f"{ndcg} {model}": groups[f"{model}.{ndcg}"].map(number) for model in RANKINGS},
        }
    )


def by_popularity(metrics: dict[str, Any]) -> pd.DataFrame:
    """The main measures for popular, middle and rare items."""
    recall = measure_names(metrics)["recall"]
    errors = {"RMSE": "rating.rmse"} if "rating" in metrics else {}
    groups = _groups(
        metrics["by_popularity"],
        ["items", "n_items", "from", "to", *errors.values(), "ranking.shown"]
        + [f"{model}.recall" for model in RANKINGS],
    )
    return pd.DataFrame(
        {
            "items": groups["items"],
            "number": integers(groups["n_items"]),
            feedback_in(metrics): _span(groups),
            **{heading: groups[name].map(number) for heading, name in errors.items()},
            **{f"{recall} {model}": groups[f"{model}.recall"].map(number) for model in RANKINGS},
            "share of lists": groups["ranking.shown"].map("{:.0%}".format),
        }
    )


def _groups(groups: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Groups with a column for each number, such as "rating.rmse"; also where there is no group."""
    return pd.json_normalize(groups).reindex(columns=columns)


def _span(groups: pd.DataFrame) -> pd.Series:
    return integers(groups["from"]) + " to " + integers(groups["to"])


def _verdict(console: Console, gate: dict[str, Any]) -> None:
    for refusal in gate["refusals"]:
        console.print(f"{'overridden' if gate['forced'] else 'refused'}: {refusal}", soft_wrap=True)
    for sentence in gate.get("not_judged", []):
        console.print(sentence, soft_wrap=True)
    if gate["passed"]:
        console.print(f"the gate lets the run pass, after {len(gate['checks'])} checks")


def _evaluated(store: Store, run_keys: list[str]) -> tuple[str, dict[str, Any]]:
    """The first of some runs that was evaluated, published or refused, and its record."""
    for key in run_keys:
        if record := evaluation_of(store, key):
            return key, record
    raise StoreError(f"found no evaluation in {store.location}; run the task evaluate first")
