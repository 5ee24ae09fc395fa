"""Faults of single files, kept until the end: an erasure cleans all that it can before it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from cofi_jobs.core.errors import DamageError, StoreError


class Faults:
    """Errors of some files or runs, while the others are cleaned."""

    def __init__(self) -> None:
        self.errors: list[StoreError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a StoreError, so that what comes after the block is done as well."""
        try:
            yield
        except StoreError as error:
            self.errors.append(error)

    def raise_all(self, start: str = "") -> None:
        """Raise what was kept as one error, whose message begins with `start`, if anything was.

        Raises DamageError if files are not as they were written, StoreError for all else.
        """
        if not self.errors:
            return
        kind = DamageError if all(isinstance(e, DamageError) for e in self.errors) else StoreError
        messages = dict.fromkeys(map(str, self.errors))
        # A file can be met twice, the second time in a message that says more.
        said = [text for text in messages if sum(text in other for other in messages) == 1]
        raise kind(start + "; ".join(said))
