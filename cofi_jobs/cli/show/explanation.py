"""Why an item stands where it does for a user."""

import pandas as pd
from rich.console import Console

from cofi_jobs.cli.show.run import given_as, item_in, ratings_of
from cofi_jobs.cli.show.tables import draw, new_console
from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.model.objectives import ranking_objective
from cofi_jobs.ranking.explanations import Explanation
from cofi_jobs.ranking.explanations import explain as explain_item
from cofi_jobs.read import Run, item_names
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store.run_tables import stored_model

LEAST_AGAINST = 0.05  # ratings that speak against an item are shown from this share on


def explain(run: Run, user_id: str, item_id: str) -> None:
    """Show where an item stands for a user, and the ratings that speak most for and against it.

    Raises StoreError for an unknown user or item, and for an item that the user has rated.
    """
    items, rated = run.items(), ratings_of(run, user_id)[::-1]  # the oldest rating first
    names, item = item_names(items), item_in(run, items, item_id)
    index, name = item["item_index"], names.iloc[item["item_index"]]
    verb = "rated" if run.feedback == "ratings" else "events of"
    for rating in rated.loc[rated["item_index"] == index, "rating"]:
        raise StoreError(
            f"user {user_id} has {verb} {name} with {rating:g}; only other items are recommended"
        )
    scale = scale_of(run.manifest["scale"])
    model = stored_model(run.arrow.user_factors(user_id), run.arrow.item_factors())
    objective = ranking_objective(from_record(run.manifest["settings"]), scale)
    indices, ratings = rated["item_index"].to_numpy(), rated["rating"].to_numpy()
    tied = rated["tied"].to_numpy(bool)
    explanation = explain_item(model, objective, indices, ratings, index, scale, tied)
    console = new_console()
    console.print(
        f"{name} for user {user_id}: score {explanation.score:.3f}, rank {explanation.rank:,} of "
        f"{explanation.n_unrated:,} items that the user has not rated, "
        f"{_place(run, user_id, item['item_id'])}{_predicted(explanation, scale)}",
        soft_wrap=True,
    )
    shares = {
        "rated": names.iloc[indices].array,
        given_as(run): pd.Series(ratings).map("{:g}".format),
        "share": explanation.shares,
    }
    _print_shares(console, pd.DataFrame(shares))


def _predicted(explanation: Explanation, scale: Scale | None) -> str:
    if scale is None:
        return ""
    rating = f"{explanation.predicted_rating:.1f} ({scale.low:g} to {scale.high:g})"
    return f"; predicted rating {rating}"


def _print_shares(console: Console, ratings: pd.DataFrame, n: int = 5) -> None:
    """The n ratings that speak most for the item, and against it."""
    table = ratings.sort_values("share", ascending=False, kind="stable")
    speaks_for = table[table["share"] > 0]
    against = table[table["share"] <= -LEAST_AGAINST][::-1]
    for title, rows in (("Speaks for it", speaks_for), ("Speaks against it", against)):
        if len(rows):
            title = f"{title}, of {len(table)} ratings"
            console.print(draw(_formatted(rows.head(n)), title, ("rated",)))
    if speaks_for.empty:
        console.print("None of the user's ratings speaks for it.")
    elif len(rest := speaks_for["share"].iloc[n:]):
        console.print(
            f"{len(rest)} more ratings speak for it, with {100 * rest.sum():.0f} % together."
        )


def _place(run: Run, user_id: str, item_id: int | str) -> str:
    listed = run.recommendations(user_id)
    rank = listed.loc[listed["item_id"] == item_id, "rank"]
    return "not in the list" if rank.empty else f"place {rank.iloc[0]} of the list"


def _formatted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(share=(100 * rows["share"]).map("{:.0f} %".format))
