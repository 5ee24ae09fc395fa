"""A few users and items of a run, chosen to show variety, as a person would look at them."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cofi_jobs.read import Run, shown_mean
from cofi_jobs.report.id_tables import users_at
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Card, Entry, Section
from cofi_jobs.report.words import counted, with_minus
from cofi_jobs.store import parquet

N_CARDS = 10  # that everybody sees
N_SAMPLE = 30  # that can be looked up in the page


def people_section(run: ReportedRun) -> Section:
    """Ten users as a person would look at them."""
    table = run.file("normalized", "users.parquet")
    places = sample(parquet.read_metadata(table).num_rows)
    users = zip(users_at(table, [*places]), places.values(), strict=True)
    cards = user_cards(run.tables, run.titles, users)
    title = f"{_number(N_CARDS, cards)} users, from few {run.feedback} to many"
    search = f"Look up one of {len(cards)} users by id"
    return Section("users", title, cards=cards, search=search)


def items_section(run: ReportedRun) -> Section:
    """Ten items with their similar items."""
    cards = item_cards(run.tables, run.titles)
    title = f"{_number(N_CARDS, cards)} items, from the most popular to rare ones"
    search = f"Look up one of {len(cards)} items by title or id"
    return Section("items", title, cards=cards, search=search)


def sample(n: int, logarithmic: bool = False) -> dict[int, bool]:
    """Places among n that are shown (False), and more that can be looked up (True), in order."""
    shown = spread(n, N_CARDS, logarithmic)
    return {place: place not in shown for place in sorted({*shown, *spread(n, N_SAMPLE)})}


def spread(n: int, most: int, logarithmic: bool = False) -> list[int]:
    """Up to `most` different places among n, from first to last; logarithmic: mostly early ones."""
    if n <= most:
        return list(range(n))
    places = np.geomspace(1, n, most) - 1 if logarithmic else np.linspace(0, n - 1, most)
    return [max(int(place), number) for number, place in enumerate(np.round(places))]


def user_cards(
    run: Run, titles: Sequence[str], users: Iterable[tuple[int | str, bool]]
) -> list[Card]:
    """Users with what they liked most and what they get; with each, whether its card is extra."""
    by_index, by_id = pd.Series(titles), pd.Series(titles, index=run.items()["item_id"])
    return [_user_card(run, str(user), by_index, by_id, is_extra) for user, is_extra in users]


def user_card(run: Run, titles: Sequence[str], user_id: str) -> Card:
    """One user."""
    by_index, by_id = pd.Series(titles), pd.Series(titles, index=run.items()["item_id"])
    return _user_card(run, user_id, by_index, by_id)


def _user_card(
    run: Run,
    user_id: str,
    by_index: pd.Series,
    by_id: pd.Series,
    is_extra: bool = False,
    n: int = 5,
) -> Card:
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
        f"User {user_id}, {counted(len(rated), 'rating' if is_rated else 'item')}",
        {
            "liked most" if is_rated else "most often (count)": [Entry(*cells) for cells in likes],
            f"is recommended ({'predicted rating' if is_rated else 'rank'})": [
                Entry(*cells) for cells in gets
            ],
        },
        user_id,
        is_extra,
    )


def item_cards(run: Run, titles: Sequence[str]) -> list[Card]:
    """Items from the most rated to hardly rated ones, with their similar items."""
    items = run.items().assign(name=list(titles))
    by_id = items.set_index("item_id")["name"]
    ordered = items.sort_values(["n_ratings", "item_id"], ascending=[False, True])
    return [
        item_card(run, ordered.iloc[place], by_id, is_extra)
        for place, is_extra in sample(len(ordered), logarithmic=True).items()
    ]


def item_card(
    run: Run, item: pd.Series, by_id: pd.Series, is_extra: bool = False, n: int = 6
) -> Card:
    """One item, a row of the run's items with its name; `by_id` has the names of all."""
    similar = run.similar_items(str(item["item_id"])).head(n)
    measure = similar.columns[-1]
    names, numbers = similar["similar_item_id"].map(by_id), similar[measure].map(_similarity)
    groups = "" if pd.isna(item["groups"]) else str(item["groups"])
    users = counted(item["n_ratings"], "rating" if run.feedback == "ratings" else "user")
    described = ", ".join(filter(None, (users, shown_mean(item))))
    return Card(
        f"{item['name']}: {described}" + (f" · {groups.replace('|', ', ')}" if groups else ""),
        {
            f"similar items ({measure})": [
                Entry(*cells) for cells in zip(names, numbers, strict=True)
            ]
        },
        str(item["item_id"]),
        is_extra,
    )


def _number(most: int, cards: Sequence[Card]) -> str:
    n = min(most, len(cards))
    return "Ten" if n == 10 else str(n)


def _similarity(value: float) -> str:
    return with_minus(f"{value:z.2f}")  # z: never "-0.00"
