"""What a person sees of a store on the terminal: tables with titles, drawn by Rich."""

import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from cofi_jobs.errors import StoreError
from cofi_jobs.read import Run
from cofi_jobs.store import Store
from cofi_jobs.tasks import TASKS


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
        console.print(f"{table}: {run.store.table(run.key, table)}", soft_wrap=True)


def user(run: Run, user_id: str, console: Console | None = None, n: int = 5) -> None:
    """What a user liked most beside what the user gets. Raises StoreError for an unknown user."""
    rated = run.rated(user_id).to_pylist()
    if not rated:
        raise StoreError(f"found no user {user_id} in run {run.key}; users without ratings get popular_items")
    items = _by_id(run)
    by_index = list(items.values())
    liked = sorted(rated, key=lambda row: -row["rating"])[:n]  # of equal stars the newest first
    gets = run.recommendations(user_id).slice(0, n).to_pylist()
    table = _table(f"User {user_id}, {len(rated)} ratings", "liked", "stars", "gets", "expected", "because of")
    for row in range(max(len(liked), len(gets))):
        cells = (
            [_name(by_index[liked[row]["item_index"]]), f"{liked[row]['rating']:g}"] if row < len(liked) else ["", ""]
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
    own = next((row for key, row in items.items() if str(key) == item_id), None)
    if own is None:
        raise StoreError(f"found no item {item_id} among the {len(items)} rated items of run {run.key}")
    measure = similar.column_names[-1]
    table = _table(
        f"{_name(own)}, {own['n_ratings']} ratings, mean {own['mean']:.2f}", "similar items", measure, "ratings"
    )
    for row in similar.slice(0, n).to_pylist():
        other = items[row["similar_item_id"]]
        table.add_row(_name(other), f"{row[measure]:.2f}", str(other["n_ratings"]))
    (console or _console()).print(table)


def runs(store: Store) -> None:
    """All runs of a store: how far they came, how good they are, which one readers use."""
    table = _table(str(store.root), "run", "state", "ratings", "RMSE", "NDCG@10")
    notes: list[str] = []
    for key in store.run_keys():
        manifest = store.manifest(key)
        if manifest:
            metrics = manifest["metrics"]
            state = "current" if key == store.current() else "published"
            numbers = [f"{manifest['counts']['normalize']['n_ratings']:,}"]
            numbers += [_number(metrics["rating"]["rmse"]), _number(metrics["ranking"]["ndcg@10"])]
        else:
            state, numbers = _state(store, key, notes), ["", "", ""]
        table.add_row(key, state, *numbers)
    console = _console()
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)


def _state(store: Store, run_key: str, notes: list[str]) -> str:
    for task in TASKS:
        failure = store.failure(run_key, task)
        if failure:
            notes.append(f"{run_key} failed in {task}: {failure['error']}")
            return f"failed in {task}"
    return "not finished: " + next(task for task in TASKS if store.outcome(run_key, task) is None)


def _quality(manifest: dict[str, Any]) -> Table:
    metrics = manifest["metrics"]
    table = _table(f"{metrics['held_out_ratings']:,} newest ratings held out", "", "model", "baseline", "")
    rmse, means = metrics["rating"]["rmse"], metrics["item_means"]["rmse"]
    table.add_row("RMSE (stars, lower is better)", _number(rmse), _number(means), "item means")
    for measure in ("ndcg@10", "recall@20"):
        own, popular = metrics["ranking"][measure], metrics["popularity"][measure]
        table.add_row(f"{measure} (higher is better)", _number(own), _number(popular), "popularity")
    return table


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = ("stars", "expected", "similarity", "distance", "ratings", "model", "baseline", "RMSE", "NDCG@10")
    for heading in headings:  # where the terminal is narrow, titles wrap and numbers do not
        number = heading in numbers
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    return table


def _by_id(run: Run) -> dict[Any, dict[str, Any]]:
    """Items by id, in the order of their row numbers."""
    return {row["item_id"]: row for row in run.items().to_pylist()}


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _name(row: dict[str, Any]) -> str:
    return row["title"] or f"item {row['item_id']}"
