"""A file of a store in a bucket, for machines that have no copy of the store."""

from dataclasses import dataclass
from pathlib import Path

from cofi_jobs.core.credentials import OPTIONS, options
from cofi_jobs.store.objects import Objects


@dataclass(frozen=True)
class InBucket:
    """Where a file is: the store's location, and the name below it."""

    location: str
    name: str

    def download(self, path: Path) -> None:
        """Get the file, with the options of this machine's environment. Errors are `Objects`'."""
        Objects(self.location, options(OPTIONS)).download({self.name: path})
