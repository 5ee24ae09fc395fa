"""A run, and a user or an item in it."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from cofi_jobs.cli.show.tables import draw, new_console, number
from cofi_jobs.core.errors import StoreError
from cofi_jobs.read import Run, item_names, shown_mean
from cofi_jobs.store.status import feedback_in, measure_names


def summary(run: Run, n: int = 3) -> None:
    """What came in, how good the model is, where the files are, and a few users and items."""
    console, manifest = new_console(), run.manifest
    ingested, counts = manifest["counts"]["ingest"], manifest["counts"]["normalize"]
    pairs = "ratings" if run.feedback == "ratings" else "pairs"
    console.rule(f"CoFi run {run.key}")
    console.print(
        f"{ingested['rows_read']:,} {run.feedback} read, {ingested['rows_taken']:,} taken, "
        f"{ingested['rows_refused']:,} rejected; now {counts['n_ratings']:,} {pairs} of "
        f"{counts['n_items']:,} items by {counts['n_users']:,} users",
        soft_wrap=True,
    )
    for reason, count in ingested["reasons"].items():
        console.print(f"  {count:,} rejected: {reason}")
    console.print(_quality(manifest["metrics"]))
    users = run.users().sort_values(["n_ratings", "user_id"])["user_id"]
    # From users with few ratings to users with many; fewer where there are not so many.
    for row in dict.fromkeys(len(users) * part // (n + 1) for part in range(1, n + 1)):
        user(run, str(users.iloc[row]), console)
    items = run.items().sort_values(["n_ratings", "item_id"], ascending=[False, True])["item_id"]
    for item_id in items.head(n):
        item(run, str(item_id), console)
    for table in ("recommendations", "similar_items", "popular_items"):
        console.print(
            f"{table}: {run.store.shown(run.store.table(run.key, table))}", soft_wrap=True
        )


def user(run: Run, user_id: str, console: Console | None = None, n: int = 5) -> None:
    """What a user liked most beside what the user gets. Raises StoreError for an unknown user."""
    rated, items = ratings_of(run, user_id), run.items()
    names = item_names(items)
    liked = rated.sort_values("rating", ascending=False, kind="stable").head(n)
    listed = run.recommendations(user_id).head(n)
    by_id = names.set_axis(items["item_id"])
    columns = {
        "liked": names.iloc[liked["item_index"].to_numpy()],
        given_as(run): liked["rating"].map("{:g}".format),
        "gets": listed["item_id"].map(by_id),
        "expected": listed["predicted_rating"].map("{:.1f}".format),
        "because of": listed["because_item_id"].map(by_id),
    }
    if run.feedback == "events":
        del columns["expected"]
    table = pd.concat(
        {name: cells.reset_index(drop=True) for name, cells in columns.items()}, axis=1
    )
    title = f"User {user_id}, {len(rated)} {'ratings' if run.feedback == 'ratings' else 'items'}"
    (console or new_console()).print(draw(table, title, ("liked", "gets", "because of")))


def item(run: Run, item_id: str, console: Console | None = None, n: int = 5) -> None:
    """An item and its similar items. Raises StoreError for an unknown item."""
    similar, items = run.similar_items(item_id).head(n), run.items()
    shown = item_in(run, items, item_id)
    measure = similar.columns[-1]
    by_id = items.assign(name=item_names(items)).set_index("item_id")
    counted = "ratings" if run.feedback == "ratings" else "users"
    others = by_id.loc[similar["similar_item_id"]]
    table = pd.DataFrame(
        {
            "similar items": others["name"].array,
            measure: similar[measure].map("{:.2f}".format),
            counted: others["n_ratings"].array,
        }
    )
    name = by_id.loc[shown["item_id"], "name"]
    title = ", ".join(filter(None, (f"{name}, {shown['n_ratings']} {counted}", shown_mean(shown))))
    (console or new_console()).print(draw(table, title, ("similar items",)))


def given_as(run: Run) -> str:
    """The heading of what users gave: stars, or how often."""
    return "stars" if run.feedback == "ratings" else "count"


def ratings_of(run: Run, user_id: str) -> pd.DataFrame:
    """What a user rated, newest first. Raises StoreError for an unknown user."""
    rated = run.rated(user_id)
    if rated.empty:
        raise StoreError(
            f"found no user {user_id} in run {run.key}; users without ratings get popular_items"
        )
    return rated


def item_in(run: Run, items: pd.DataFrame, item_id: str) -> pd.Series:
    """The row of an item, given as text. Raises StoreError for an unknown item."""
    rows = items[items["item_id"].astype(str) == item_id]
    if rows.empty:
        raise StoreError(
            f"found no item {item_id} among the {len(items)} rated items of run {run.key}"
        )
    return rows.iloc[0]


def _quality(metrics: dict) -> Table:
    names = measure_names(metrics)
    # Manifests of the first release have item means alone.
    means = "damped_means" if "damped_means" in metrics else "item_means"
    compared = [("RMSE (stars, lower is better)", "rmse", "rating", means)]
    compared += [
        (f"{names[name]} (higher is better)", names[name], "ranking", "popularity")
        for name in ("ndcg", "recall")
    ]
    rows = [
        (
            *(title, number(metrics[model][measure]), number(metrics[baseline][measure])),
            baseline.replace("_", " "),
        )
        for title, measure, model, baseline in compared
        if model in metrics
    ]
    table = pd.DataFrame(rows, columns=["", "model", "baseline", ""])
    title = f"Measured on the {metrics['held_out_ratings']:,} test {feedback_in(metrics)}"
    return draw(table, title, ("",))
