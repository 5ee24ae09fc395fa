"""What a person sees of a store on the terminal: tables with titles, drawn by Rich."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.dataset as ds
from rich import box
from rich.console import Console
from rich.table import Table

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.objectives import ranking_objective, ranking_target
from cofi_jobs.ranking.explanations import explain as explanation
from cofi_jobs.ranking.explanations import shares
from cofi_jobs.settings.fields import of_run
from cofi_jobs.store.reader import Run
from cofi_jobs.store.status import evaluation_of, measure_names, state_of
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import from_column

if TYPE_CHECKING:
    from cofi_jobs.erasure.erase import Found

WORTH_A_WORD = 0.05  # what speaks against an item is shown from this share of what speaks for it


def summary(run: Run, n: int = 3) -> None:
    """What came in, how good the model is, where the files are, and a few users and items."""
    console, manifest = _console(), run.manifest
    ingested, counts = manifest["counts"]["ingest"], manifest["counts"]["normalize"]
    console.rule(f"CoFi run {run.key}")
    console.print(
        f"{ingested['rows_read']:,} ratings read, {ingested['rows_taken']:,} taken, "
        f"{ingested['rows_refused']:,} refused; now {counts['n_ratings']:,} ratings of {counts['n_items']:,} items "
        f"by {counts['n_users']:,} users"
    )
    for reason, count in ingested["reasons"].items():
        console.print(f"  {count:,} refused: {reason}")
    console.print(_quality(manifest))
    users = run.users().sort_by([("n_ratings", "ascending"), ("user_id", "ascending")])["user_id"]
    # From users with few ratings to users with many; fewer where there are not so many.
    for row in dict.fromkeys(len(users) * part // (n + 1) for part in range(1, n + 1)):
        user(run, str(users[row]), console)
    items = run.items().sort_by([("n_ratings", "descending"), ("item_id", "ascending")])["item_id"]
    for item_id in items[:n].to_pylist():
        item(run, str(item_id), console)
    for table in ("recommendations", "similar_items", "popular_items"):
        console.print(
            f"{table}: {run.store.shown(run.store.table(run.key, table))}", soft_wrap=True
        )


def user(run: Run, user_id: str, console: Console | None = None, n: int = 5) -> None:
    """What a user liked most beside what the user gets. Raises StoreError for an unknown user."""
    rated = _rated(run, user_id)
    items = _by_id(run)
    by_index = list(items.values())
    liked = sorted(rated, key=lambda row: -row["rating"])[:n]  # of equal stars the newest first
    gets = run.recommendations(user_id).slice(0, n).to_pylist()
    table = _table(
        f"User {user_id}, {len(rated)} ratings", "liked", "stars", "gets", "expected", "because of"
    )
    for row in range(max(len(liked), len(gets))):
        cells = (
            [_name(by_index[liked[row]["item_index"]]), f"{liked[row]['rating']:g}"]
            if row < len(liked)
            else ["", ""]
        )
        if row < len(gets):
            because = items.get(gets[row]["because_item_id"])
            cells += [_name(items[gets[row]["item_id"]]), f"{gets[row]['predicted_rating']:.1f}"]
            cells += [_name(because) if because else ""]
        table.add_row(*cells)
    (console or _console()).print(table)


def item(run: Run, item_id: str, console: Console | None = None, n: int = 5) -> None:
    """An item and its similar items. Raises StoreError for an unknown item."""
    similar = run.similar_items(item_id)
    items = _by_id(run)
    own = _item(run, items, item_id)
    measure = similar.column_names[-1]
    table = _table(
        f"{_name(own)}, {own['n_ratings']} ratings, mean {own['mean']:.2f}",
        "similar items",
        measure,
        "ratings",
    )
    for row in similar.slice(0, n).to_pylist():
        other = items[row["similar_item_id"]]
        table.add_row(_name(other), f"{row[measure]:.2f}", str(other["n_ratings"]))
    (console or _console()).print(table)


def explain(run: Run, user_id: str, item_id: str, n: int = 5) -> None:
    """Why an item stands where it does for a user: the ratings that speak most for it and against it.

    Raises StoreError for an unknown user or item, and for an item that the user has rated.
    """
    items, rated = _by_id(run), _rated(run, user_id)[::-1]
    own, by_index = _item(run, items, item_id), list(items.values())
    stars = {row["item_index"]: row["rating"] for row in rated}
    if own["item_index"] in stars:
        raise StoreError(
            f"user {user_id} has rated {_name(own)} with {stars[own['item_index']]:g}; only other items are recommended"
        )
    scale = Scale(*run.manifest["scale"])
    objective = ranking_objective(of_run(run.manifest["settings"]))
    model, user = run.item_factors(), run.user_factors(user_id)
    X, W = (from_column(table["ranking_factors"]) for table in (model, user))
    y = ranking_target(np.array(list(stars.values())), scale)
    found = explanation(objective, X, W[0], np.array(list(stars)), y, own["item_index"])
    expected = (
        from_column(user["rating_factors"])[0]
        @ from_column(model["rating_factors"])[own["item_index"]]
        + user["bias"][0].as_py()
        + own["mean"]
    )
    listed = (
        run.recommendations(user_id)
        .filter(ds.field("item_id") == own["item_id"])["rank"]
        .to_pylist()
    )
    place = f"place {listed[0]} of the list" if listed else "not in the list"
    console = _console()
    console.print(
        f"{_name(own)} for user {user_id}: score {found.score:.3f}, rank {found.rank:,} of {found.n_unrated:,} items "
        f"that the user has not rated, {place}; predicted rating {scale.clip(expected):.1f} "
        f"({scale.low:g} to {scale.high:g})",
        soft_wrap=True,
    )
    share = shares(found.falls)
    order, names, given = np.argsort(-share, kind="stable"), list(stars), list(stars.values())
    spoke_for = [row for row in order if share[row] > 0]
    against = [row for row in order[::-1] if share[row] <= -WORTH_A_WORD]
    for title, rows in (("Speaks for it", spoke_for[:n]), ("Speaks against it", against[:n])):
        table = _table(f"{title}, of {len(stars)} ratings", "rated", "stars", "share")
        for row in rows:
            table.add_row(
                _name(by_index[names[row]]), f"{given[row]:g}", f"{100 * share[row]:.0f} %"
            )
        if rows:
            console.print(table)
    if not spoke_for:
        console.print("None of the user's ratings speaks for it.")
    elif len(spoke_for) > n:
        rest = 100 * share[spoke_for[n:]].sum()
        console.print(
            f"{len(spoke_for) - n} more ratings speak for it, with {rest:.0f} % together."
        )


def runs(store: Store) -> None:
    """All runs of a store: how far they came, how good they are, which one readers use."""
    table = _table(store.location, "run", "state", "ratings", "RMSE", "NDCG")
    notes: list[str] = []
    for key in store.run_keys():
        manifest = store.manifest(key)
        state, reason = state_of(store, key)
        numbers = ["", "", ""]
        if manifest:
            metrics = manifest["metrics"]
            numbers = [f"{manifest['counts']['normalize']['n_ratings']:,}"]
            numbers += [
                _number(metrics["rating"]["rmse"]),
                _number(metrics["ranking"][_main_measures(metrics)[0]]),
            ]
        if reason:
            notes.append(f"{key} {state}: {reason}")
        table.add_row(key, state, *numbers)
    console = _console()
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)


def _quality(manifest: dict[str, Any]) -> Table:
    metrics = manifest["metrics"]
    table = _table(
        f"{metrics['held_out_ratings']:,} newest ratings held out", "", "model", "baseline", ""
    )
    rmse, means = metrics["rating"]["rmse"], metrics["item_means"]["rmse"]
    table.add_row("RMSE (stars, lower is better)", _number(rmse), _number(means), "item means")
    for measure in _main_measures(metrics):
        own, popular = metrics["ranking"][measure], metrics["popularity"][measure]
        table.add_row(f"{measure} (higher is better)", _number(own), _number(popular), "popularity")
    return table


def _main_measures(metrics: dict[str, Any]) -> tuple[str, str]:
    """The full names of the ranking model's two main measures, with the depth that the run measured at."""
    names = measure_names(metrics)
    return names["ndcg"], names["recall"]


def evaluation(store: Store, run_key: str | None = None) -> None:
    """Each measure of a run against each baseline, by groups of users and items, and the gate's verdict.

    Without a key, of the newest run that was evaluated. Raises StoreError if there is none.
    """
    key, found = _evaluated(store, [run_key] if run_key else store.run_keys()[::-1])
    console, metrics, gate = _console(), found["metrics"], found["gate"]
    console.rule(f"CoFi run {key}")
    for head, unit in (("rating", "in stars"), ("ranking", "means over users")):
        title = (
            f"{head} model on {metrics['held_out_ratings']:,} held-out ratings, {unit}, "
            "with 95 % intervals over users"
        )
        table = _table(
            title,
            "measure",
            "model",
            "interval",
            "against",
            "baseline",
            "difference",
            "of difference",
        )
        for measure, own in metrics[head].items():
            interval = _interval(metrics["intervals"][head].get(measure))
            cells = [measure, f"{own:,}" if measure == "users" else _number(own), interval]
            others = [
                c for c in found["comparisons"] if (c["head"], c["measure"]) == (head, measure)
            ]
            for number, c in enumerate(others):
                of_others = [c["against"], _number(c["other"]), _number(c["difference"], "+")]
                table.add_row(
                    *(cells if number == 0 else ["", "", ""]),
                    *of_others,
                    _interval((c["low"], c["high"]), "+"),
                )
            if not others:  # no mean over users, so without intervals
                table.add_row(*cells)
                for model in ("popularity", "item_knn") if measure.startswith("coverage") else ():
                    value = metrics[model][measure]
                    table.add_row("", "", "", model, _number(value))
        console.print(table)
    if "published" in metrics:
        console.print(
            "published: run {run_key}, on the {users:,} users whom both can be measured on".format(
                **metrics["published"]
            )
        )
    ndcg, recall = _main_measures(metrics)
    models = ("ranking", "popularity", "item_knn")
    table = _table("by how much users have rated", "users", "number", "ratings", "RMSE", "damped means",
                   *(f"{ndcg} {model}" for model in models))  # fmt: skip
    for group in metrics["by_activity"]:
        numbers = [group[model]["rmse"] for model in ("rating", "damped_means")]
        numbers += [group[model][ndcg] for model in models]
        span = f"{group['from']:,} to {group['to']:,}"
        table.add_row(group["ratings"], f"{group['users']:,}", span, *map(_number, numbers))
    console.print(table)
    table = _table("by how much items are rated", "items", "number", "ratings", "RMSE",
                   *(f"{recall} {model}" for model in models), "share of lists")  # fmt: skip
    for group in metrics["by_popularity"]:
        numbers = [group["rating"]["rmse"], *(group[model]["recall"] for model in models)]
        span, share = f"{group['from']:,} to {group['to']:,}", f"{group['ranking']['shown']:.0%}"
        table.add_row(group["items"], f"{group['n_items']:,}", span, *map(_number, numbers), share)
    console.print(table)
    for refusal in gate["refusals"]:
        console.print(f"{'overridden' if gate['forced'] else 'refused'}: {refusal}", soft_wrap=True)
    if gate["passed"]:
        console.print(f"the gate lets the run pass, after {len(gate['checks'])} checks")


def _evaluated(store: Store, run_keys: list[str]) -> tuple[str, dict[str, Any]]:
    """The first of some runs that was evaluated, published or refused, and what was found."""
    for key in run_keys:
        if found := evaluation_of(store, key):
            return key, found
    raise StoreError(f"found no evaluation in {store.location}; run the task evaluate first")


def tuning(found: dict[str, Any], store: Store) -> None:
    """Settings and measures before and after a tuning, and whether the next nights use what it found."""
    console = _console()
    trials = " and ".join(f"{n} trials of the {head} model" for head, n in found["trials"].items())
    table = _table(f"run {found['run_key']}, {trials}", "setting", "before", "after")
    for name, value in found["found"].items():
        table.add_row(name, *(f"{number:.4g}" for number in (found["before"][name], value)))
    console.print(table)
    table = _table(
        f"{found['held_out_ratings']:,} ratings that tuning never saw, with 95 % intervals over users",
        *("measure", "before", "after", "difference", "of difference"),
    )
    for name, m in found["measures"].items():
        numbers = _number(m["before"]), _number(m["after"]), _number(m["difference"], "+")
        table.add_row(
            f"{name} ({m['better']} is better)", *numbers, _interval((m["low"], m["high"]), "+")
        )
    console.print(table)
    if found["written"]:
        console.print(f"the next nights use {store.shown(store.tuned_file)}", soft_wrap=True)
    else:
        console.print("no better settings: the next nights use what they used", soft_wrap=True)


def _interval(interval: Sequence[float | None] | None, sign: str = "") -> str:
    low, high = interval or (None, None)
    return "" if low is None or high is None else f"{low:{sign}.4f} to {high:{sign}.4f}"


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    words = ("users", "items", "measure", "against", "run", "state", "liked", "gets", "because of", "similar items",
             "rated", "setting", "")  # fmt: skip
    for heading in headings:  # where the terminal is narrow, titles wrap and numbers do not
        number = heading not in words
        table.add_column(
            heading, justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    return table


def _rated(run: Run, user_id: str) -> list[dict[str, Any]]:
    """What a user rated, newest first."""
    rated = run.rated(user_id).to_pylist()
    if not rated:
        raise StoreError(
            f"found no user {user_id} in run {run.key}; users without ratings get popular_items"
        )
    return rated


def _item(run: Run, items: dict[Any, dict[str, Any]], item_id: str) -> dict[str, Any]:
    own = next((row for key, row in items.items() if str(key) == item_id), None)
    if own is None:
        raise StoreError(
            f"found no item {item_id} among the {len(items)} rated items of run {run.key}"
        )
    return own


def _by_id(run: Run) -> dict[Any, dict[str, Any]]:
    """Items by id, in the order of their row numbers."""
    return {row["item_id"]: row for row in run.items().to_pylist()}


def _number(value: float | None, sign: str = "") -> str:
    return "none" if value is None else f"{value:{sign}.4f}"


def _name(row: dict[str, Any]) -> str:
    return row["title"] or f"item {row['item_id']}"


def erased(store: Store, found: "Found") -> None:
    """Say where a scan looked for erased users. Raises StoreError naming the files that still hold one."""
    console = _console()
    console.print(
        f"searched {found.files} files of {store.location}, save catalogue/, lists/ and tune/"
    )
    for name in found.skipped:
        console.print(f"not searched, as it is no text: {name}")
    for name in found.waiting:
        console.print(f"found, gone with the next publication: {name}")
    if found.delivered:
        console.print("not searched: what deliver wrote into a database; the next delivery replaces all of it by the "
                      "published lists as they are then (python -m cofi_jobs deliver)")  # fmt: skip
    if found.left:
        raise StoreError(
            f"found the users in {', '.join(found.left)}; run erase again, or remove these files"
        )
    console.print("found no other trace" if found.waiting else "found no trace")
