"""A few users and items of a run, chosen to show variety, as a person would look at them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cofi_jobs.read import Run, shown_mean
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Card, Entry, Section

N_CARDS = 10


def people_section(run: ReportedRun) -> Section:
    """Ten users as a person would look at them."""
    cards = user_cards(run.tables, run.titles)
    return Section("users", f"Ten users, from few {run.feedback} to many", cards=cards)


def items_section(run: ReportedRun) -> Section:
    """Ten items with their similar items."""
    cards = item_cards(run.tables, run.titles)
    return Section("items", "Ten items, from the most popular to rare ones", cards=cards)


def spread(n: int, most: int, logarithmic: bool = False) -> list[int]:
    """Up to `most` different places among n, from first to last; logarithmic: mostly early ones."""
    if n <= most:
        return list(range(n))
    places = np.geomspace(1, n, most) - 1 if logarithmic else np.linspace(0, n - 1, most)
    return [max(int(place), number) for number, place in enumerate(np.round(places))]


def user_cards(run: Run, titles: Sequence[str]) -> list[Card]:
    """Users from few ratings to many, with what they liked most and what they get."""
    by_index, by_id = pd.Series(titles), pd.Series(titles, index=run.items()["item_id"])
    users = run.users().sort_values(["n_ratings", "user_id"])["user_id"]
    chosen = users.iloc[spread(len(users), N_CARDS)]
    return [_user_card(run, str(user_id), by_index, by_id) for user_id in chosen]


def _user_card(run: Run, user_id: str, by_index: pd.Series, by_id: pd.Series, n: int = 5) -> Card:
    """The n best-rated items of a user, of equal ratings the newest first, beside the list's n."""
    rated, listed = run.rated(user_id), run.recommendations(user_id).head(n)
    liked = rated.sort_values("rating", ascending=False, kind="stable").head(n)
    likes = zip(liked["item_index"].map(by_index), liked["rating"].map("{:g}".format), strict=True)
    reasons = by_id.reindex(listed["because_item_id"])  # missing where no item was a reason
    is_rated = run.feedback == "ratings"
    numbers = listed["predicted_rating"].map("{:.1f}".format) if is_rated else listed["rank"]
    gets = zip(
        listed["item_id"].map(by_id),
        numbers.astype(str),
        ("because of " + reasons).fillna(""),
        strict=True,
    )
    return Card(
        f"User {user_id}, {_counted(len(rated), 'rating' if is_rated else 'item')}",
        {
            "liked most" if is_rated else "most often (count)": [Entry(*cells) for cells in likes],
            f"is recommended ({'predicted rating' if is_rated else 'rank'})": [
                Entry(*cells) for cells in gets
            ],
        },
    )


def item_cards(run: Run, titles: Sequence[str]) -> list[Card]:
    """Items from the most rated to hardly rated ones, with their similar items."""
    items = run.items().assign(name=list(titles))
    by_id = items.set_index("item_id")["name"]
    ordered = items.sort_values(["n_ratings", "item_id"], ascending=[False, True])
    chosen = ordered.iloc[spread(len(ordered), N_CARDS, logarithmic=True)]
    return [_item_card(run, item, by_id) for _, item in chosen.iterrows()]


def _item_card(run: Run, item: pd.Series, by_id: pd.Series, n: int = 6) -> Card:
    similar = run.similar_items(str(item["item_id"])).head(n)
    measure = similar.columns[-1]
    names, numbers = similar["similar_item_id"].map(by_id), similar[measure].map("{:.2f}".format)
    groups = "" if pd.isna(item["groups"]) else str(item["groups"])
    users = _counted(item["n_ratings"], "rating" if run.feedback == "ratings" else "user")
    described = ", ".join(filter(None, (users, shown_mean(item))))
    return Card(
        f"{item['name']}: {described}" + (f" · {groups.replace('|', ', ')}" if groups else ""),
        {
            f"similar items ({measure})": [
                Entry(*cells) for cells in zip(names, numbers, strict=True)
            ]
        },
    )


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
