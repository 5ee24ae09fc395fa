"""Any user, and items by id or title, of the run that readers use now."""

from cofi_jobs.core.errors import StoreError
from cofi_jobs.read import Run, current_run, item_names
from cofi_jobs.report.examples import item_card, user_card
from cofi_jobs.report.section import Card
from cofi_jobs.store.store import Store

MOST_ITEMS = 12


def cards_of(store: Store, name: str) -> list[Card]:
    """The user of this id, if there is one, and the items of this id or with this in their title.

    Raises StoreError if no run is published, and DamageError for a damaged file.
    """
    run = current_run(store)
    return [*_users(run, name), *_items(run, name)]


def _users(run: Run, name: str) -> list[Card]:
    try:
        is_known = not run.rated(name).empty
    except StoreError:  # a text, and all ids are integers
        return []
    return [user_card(run, item_names(run.items()).tolist(), name)] if is_known else []


def _items(run: Run, name: str) -> list[Card]:
    """The item of this id, else the most rated of those whose title has the text."""
    items = run.items()
    items = items.assign(name=item_names(items))
    matches = items[items["item_id"].astype(str) == name]
    if matches.empty:
        has_text = items["name"].str.casefold().str.contains(name.casefold(), regex=False)
        matches = items[has_text].sort_values("n_ratings", ascending=False, kind="stable")
    by_id = items.set_index("item_id")["name"]
    return [item_card(run, item, by_id) for _, item in matches.head(MOST_ITEMS).iterrows()]
