"""Which places ratings, catalogues and lists of items may come from.

The deployment says so, by an environment variable of the process that runs the task. No setting of
a run does: who triggers a run must not be able to have any file of the worker read.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.lists import texts
from cofi_jobs.store import layout
from cofi_jobs.store.store import Store

VARIABLE = "COFI_SOURCE_ROOTS"
DEFAULT = "s3://, gs://"
SCHEMES = ("s3://", "gs://")


@dataclass(frozen=True)
class SourceRoots:
    """Folders without links in their paths, and starts of addresses of buckets.

    `folders` are where links may lead to, `named` those of them that a setting may name. `excluded`
    are files below the folders that nothing may come from.
    """

    folders: Sequence[Path]
    named: Sequence[Path]
    buckets: Sequence[str]
    excluded: Sequence[Path] = ()

    @classmethod
    def of(cls, store: Store, given: Iterable[Path] = ()) -> "SourceRoots":
        """Those of the environment, and the store itself.

        `given` are paths that a person named on the command line, who may read them by other means
        too. Within the store they open nothing more. Raises SettingsError for a root that is none.
        """
        roots = texts(os.environ.get(VARIABLE, DEFAULT))
        # Not the whole store: any folder can be named as the store of a run.
        named = [_folder(root) for root in roots if not root.startswith(SCHEMES)]
        named += [store.landing]
        # A drop folder may be a link itself: only the owner of the store can make it one.
        folders = [*named, store.root, store.catalogue, store.item_lists]
        folders += [path for path in given if not path.is_relative_to(store.root)]
        return cls(
            [_real(folder) for folder in folders],
            [_real(folder) for folder in named],
            [root.rstrip("/") + "/" for root in roots if root.startswith(SCHEMES)],
            [_real(store.path(layout.ERASURE_KEY))],
        )

    def has(self, path: Path) -> bool:
        """Whether a file or folder is in one of the folders, once all links are followed."""
        return self._is_in(path, self.folders)

    def _is_in(self, path: Path, folders: Sequence[Path]) -> bool:
        real = _real(path)
        return real not in self.excluded and any(real.is_relative_to(root) for root in folders)

    def check(self, path: Path) -> Path:
        """The path itself. Raises DataError if it leads out of the folders."""
        if not self.has(path):
            raise DataError(
                f"{path} is a link that leads out of the store, expected one that stays in it, or "
                f"in a folder that the environment variable {VARIABLE} names; nothing was read"
            )
        return path

    def check_address(self, address: str, folder: str) -> None:
        """Raise SettingsError unless an address lies in one of the roots.

        `folder` is the address, or the last folder before its pattern: a path for a file system of
        this machine, else with the scheme of the bucket.
        """
        if folder.startswith(SCHEMES):
            is_inside = ".." not in folder.split("/") and f"{folder}/".startswith(
                tuple(self.buckets)
            )
        else:
            is_inside = self._is_in(Path(folder), self.named)
        if not is_inside:
            raise SettingsError(
                f"found source_files {address}, expected an address in one of the places that the "
                f"environment variable {VARIABLE} names (now: "
                f"{os.environ.get(VARIABLE, DEFAULT) or 'none'}); nothing was read"
            )


def _folder(root: str) -> Path:
    path = root.removeprefix("file://")
    if not path.startswith("/"):
        raise SettingsError(
            f"found {root!r} in {VARIABLE}, expected absolute paths of folders, "
            "s3://<bucket>/<folder> or gs://<bucket>/<folder>, separated by commas"
        )
    return Path(path)


def _real(path: Path) -> Path:
    # Not Path.resolve: it raises an error where links go round in a circle.
    return Path(os.path.realpath(path))
