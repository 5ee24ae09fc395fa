"""Keys of runs: names, or times. Which run comes before which is in run_order.py."""

import re
from datetime import UTC, datetime

from cofi_jobs.core.errors import SettingsError

RUN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RUN_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"


def run_key_at(time: datetime) -> str:
    """The run key of a point in time."""
    return time.astimezone(UTC).strftime(RUN_TIME)


def run_time(run_key: str) -> datetime | None:
    """The point in time of a key that `run_key_at` made, None for any other."""
    try:
        return datetime.strptime(run_key, RUN_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def is_run_key(text: str) -> bool:
    """Whether a text can be the key of a run."""
    return RUN_KEY.fullmatch(text) is not None


def check_run_key(run_key: str) -> str:
    """The run key itself. Raises SettingsError if the key cannot name a folder."""
    if not is_run_key(run_key):
        raise SettingsError(
            f"found the run key {run_key!r}, expected 1 to 100 letters, digits, dots, hyphens or "
            "underscores, the first a letter or digit"
        )
    return run_key
