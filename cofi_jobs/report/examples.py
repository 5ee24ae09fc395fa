"""A few users and items of a run, chosen to show variety, as a person would look at them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cofi_jobs.report.night import Night
from cofi_jobs.report.section import Card, Section
from cofi_jobs.store.reader import ArrowRun as Run


def people_section(night: Night) -> Section:
    """Ten users as a person would look at them."""
    section = Section("users", "Ten users, from few ratings to many")
    section.cards = user_cards(night.run, night.titles)
    return section


def items_section(night: Night) -> Section:
    """Ten items with their similar items."""
    section = Section("items", "Ten items, from the most rated to hardly rated ones")
    section.cards = item_cards(night.run, night.titles)
    return section


def spread(n: int, wanted: int, logarithmic: bool = False) -> list[int]:
    """Up to `wanted` different places among n, from the first to the last; logarithmic: mostly near the first."""
    if n <= wanted:
        return list(range(n))
    places = np.geomspace(1, n, wanted) - 1 if logarithmic else np.linspace(0, n - 1, wanted)
    return [max(int(place), number) for number, place in enumerate(np.round(places))]


def user_cards(run: Run, titles: Sequence[str], wanted: int = 10, n: int = 5) -> list[Card]:
    """Users from few ratings to many: what they liked most, and what they get, with predicted stars and the reason."""
    users = run.users().sort_by([("n_ratings", "ascending"), ("user_id", "ascending")])
    title_of = dict(zip(run.items()["item_id"].to_pylist(), titles, strict=True))
    cards = []
    for place in spread(len(users), wanted):
        user_id = str(users["user_id"][place])
        rated = run.rated(user_id).to_pylist()
        liked = sorted(rated, key=lambda row: -row["rating"])[:n]  # of equal stars the newest first
        gets = run.recommendations(user_id).slice(0, n).to_pylist()
        reasons = [row["because_item_id"] for row in gets]
        cards.append(
            Card(
                f"User {user_id}, {len(rated):,} {_plural('rating', len(rated))}",
                {
                    "liked most": [
                        (titles[row["item_index"]], f"{row['rating']:g}", "") for row in liked
                    ],
                    "is recommended (predicted rating)": [
                        (
                            title_of[row["item_id"]],
                            f"{row['predicted_rating']:.1f}",
                            "" if reason is None else f"because of {title_of[reason]}",
                        )
                        for row, reason in zip(gets, reasons, strict=True)
                    ],
                },
            )
        )
    return cards


def item_cards(run: Run, titles: Sequence[str], wanted: int = 10, n: int = 6) -> list[Card]:
    """Items from the most rated to hardly rated ones, with their similar items."""
    items = run.items()
    items = items.append_column("name", pa.array(titles, pa.string()))
    title_of = dict(zip(items["item_id"].to_pylist(), titles, strict=True))
    order = items.sort_by([("n_ratings", "descending"), ("item_id", "ascending")])
    cards = []
    for place in spread(len(order), wanted, logarithmic=True):
        row = {
            name: order[name][place].as_py()
            for name in ("item_id", "name", "n_ratings", "mean", "groups")
        }
        similar = run.similar_items(str(row["item_id"]))
        measure = similar.column_names[-1]
        groups = f" · {row['groups'].replace('|', ', ')}" if row["groups"] else ""
        cards.append(
            Card(
                f"{row['name']}: {row['n_ratings']:,} {_plural('rating', row['n_ratings'])}, mean {row['mean']:.2f}"
                f"{groups}",
                {
                    f"similar items ({measure})": [
                        (title_of[other["similar_item_id"]], f"{other[measure]:.2f}", "")
                        for other in similar.slice(0, n).to_pylist()
                    ]
                },
            )
        )
    return cards


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"
