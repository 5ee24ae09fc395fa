"""Packages that not every installation has: the extras that pyproject.toml names."""

from collections.abc import Iterator
from contextlib import contextmanager

from cofi_jobs.core.errors import SettingsError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an extra. Raises SettingsError with the command that installs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise SettingsError(
            f"found no package {package}, expected it installed: pip install 'cofi[{name}]'"
        ) from error
