"""Items that an operator allows or denies to be shown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ItemList:
    """The ids in a file of the store's folder lists/."""

    file: str  # for messages
    ids: list[str]
    allows: bool  # only these items may be shown; else all items but these
