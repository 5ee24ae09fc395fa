"""Folders that hold the rows of one id, in the way of Hive: `user_id=42/`."""

import re
from pathlib import PurePath
from urllib.parse import quote, unquote

LONGEST_NAME = 255  # bytes of a folder's name
# Hive names the folder of the rows without a value so, and its readers give null.
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def folder_of(column: str, value: int | str) -> str:
    """Name of the folder that holds the rows of one id, in the way of Hive."""
    return f"{column}={quote(str(value), safe='')}"


def users_in(path: PurePath | str) -> set[str]:
    """Ids of the users whose own folders a path goes through, as `folder_of` names them."""
    folders = (part.partition("=") for part in PurePath(path).parts)
    return {unquote(value) for column, _, value in folders if column == "user_id"}


def without_users(text: str) -> str:
    """A text with paths, without the ids in the names of users' own folders."""
    return re.sub(r"user_id=[^/\s]*", "user_id=***", text)
