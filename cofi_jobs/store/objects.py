"""Files below an address, s3://, gs:// or file://, through fsspec: in a bucket or a folder."""

import glob
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cofi_jobs.core.credentials import hide
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.store import conditional
from cofi_jobs.store.links import followed

log = logging.getLogger(__name__)

# Each scheme, with the package that speaks it and what its users must be allowed to do.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "file": "fsspec"}
INSTALLED_BY = {"s3": "cofi[s3]", "gs": "cofi[gcs]", "file": "cofi"}
RIGHTS = {
    "s3": "s3:ListBucket and s3:GetObject",
    "gs": "storage.objects.list and storage.objects.get",
    "file": "to list and read",
}
NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "ProfileNotFound",
)
FOLDERS_SHOWN = 5  # names in a message
PATTERN = re.compile(r"[*?\[]")
ADDRESS = "s3://<bucket>/<folder>, gs://<bucket>/<folder> or file:///<folder>"


class ConflictError(RuntimeError):
    """A file was not as a conditional write expected it."""


@dataclass(frozen=True)
class Object:
    """A file as a listing shows it.

    `path` is as fsspec writes it, `size` in bytes, `modified` in seconds since 1970. `version`
    changes with the content: an ETag, a generation, or size and time.
    """

    path: str
    size: int
    modified: float
    version: str

    @property
    def name(self) -> str:
        """Its name in its folder."""
        return self.path.rpartition("/")[2]


class Objects:
    """What lies below an address, with the options of its file system as fsspec takes them.

    Raises SettingsError if the address has another scheme or the package for it is missing. All
    methods raise DataError for a bucket, folder or object that is not there or not allowed,
    SettingsError without credentials, and ConnectionError where trying again may help.
    """

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self.scheme, separator, rest = address.partition("://")
        if "@" in rest.partition("/")[0]:  # what stands before it may be a password
            raise SettingsError(
                f"found a login in an address of {self.scheme}://, which is not shown, "
                f"expected {ADDRESS}"
            )
        if not separator or self.scheme not in PACKAGES:
            raise SettingsError(f"found the address {address!r}, expected {ADDRESS}")
        if "::" in rest:  # fsspec would take it for a chain of file systems
            raise SettingsError(f"found '::' in the address {address!r}, expected {ADDRESS}")
        self.address, self.options = address, options
        self.filesystem, root = _open(self.scheme, address, options)
        self.root = root.rstrip("/")

    def files(self) -> list[Object]:
        """Files in the folder of the address, not below it; or those that its pattern matches."""
        if PATTERN.search(self.root):
            listing = self.call(self.filesystem.glob, self.root, detail=True).values()
            if not listing:  # nothing, or is there no bucket?
                self._list(self.folder)
        else:
            listing = self._list(self.root)
            self._say_folders(listing)
        return sorted(
            (
                _object(info)
                for info in map(followed, listing)
                if info["type"] == "file" and not info["name"].endswith("/")
            ),
            key=lambda object: object.path,
        )

    def _say_folders(self, listing: Sequence[Mapping[str, Any]]) -> None:
        folders = sorted(
            PurePosixPath(info["name"]).name for info in listing if info["type"] == "directory"
        )
        if folders:
            log.warning(
                "%s has folders, whose files are not read: %s; the address %s/** reads them too",
                *(self.address, ", ".join(folders[:FOLDERS_SHOWN]), self.address.rstrip("/")),
            )

    def below(self, object: Object) -> PurePosixPath:
        """A file's path below the folder of the address, the last folder before a pattern."""
        return PurePosixPath(object.path.removeprefix(f"{self.folder}/"))

    @property
    def folder(self) -> str:
        """The folder of the address as fsspec writes it, the last one before a pattern."""
        start, *pattern = PATTERN.split(self.root, maxsplit=1)
        return start.rpartition("/")[0] if pattern else self.root

    def get(self, object: Object, target: Path) -> None:
        """Download a file as it was listed. Raises RuntimeError if it was changed since.

        A retry of the task lists the files again.
        """
        self.call(self.filesystem.get_file, object.path, str(target))
        if _object(self.call(self.filesystem.info, object.path)).version != object.version:
            raise RuntimeError(f"{self.uri(object.path)} was changed while it was read")

    # ---- a whole tree, by names below the address

    def tree(self) -> dict[str, Object]:
        """All files below the address; none with a hidden name, nor in a hidden folder."""
        listing = self.call(self._infos).values()
        objects = {
            self._name(info["name"]): info
            for info in listing
            if info["type"] == "file" and info["name"][-1:] != "/"
        }
        return {name: _object(info) for name, info in objects.items() if "/." not in f"/{name}"}

    def names(self, pattern: str) -> list[str]:
        """Names that match a pattern, folders among them."""
        below = f"{glob.escape(self.root)}/{pattern}"
        return sorted(self._name(path) for path in self.call(self.filesystem.glob, below))

    def info(self, name: str) -> Object:
        """A file as a listing shows it."""
        return _object(self.call(self.filesystem.info, f"{self.root}/{name}"))

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Content of a small file, and its version then or just before; None without a file."""
        try:
            version = _object(self.filesystem.info(f"{self.root}/{name}")).version
            return self.filesystem.cat_file(f"{self.root}/{name}"), version
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._explained(error) from None

    def open(self, name: str) -> IO[bytes]:
        """A file to read in blocks. Raises FileNotFoundError if there is none."""
        try:
            return self.filesystem.open(f"{self.root}/{name}", "rb")
        except FileNotFoundError:
            raise
        except Exception as error:
            raise self._explained(error) from None

    def download(self, files: Mapping[str, Path]) -> None:
        """Get files by name, many at a time."""
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if files:
            self.call(
                self.filesystem.get,
                [f"{self.root}/{name}" for name in files],
                [*map(str, files.values())],
            )

    def upload(self, files: Mapping[str, Path]) -> None:
        """Put files by name, many at a time, each whole or not at all."""
        if files:
            self.call(
                self.filesystem.put,
                [*map(str, files.values())],
                [f"{self.root}/{name}" for name in files],
            )

    def remove(self, names: Sequence[str]) -> None:
        """Remove files by name."""
        for name in names:
            try:
                self.filesystem.rm_file(f"{self.root}/{name}")
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self._explained(error) from None

    def write(self, name: str, content: bytes, expected: str | None) -> str:
        """Write a small file if it has the version `expected`; None: if there is none.

        Returns the new version. Raises ConflictError if the file is not as expected.
        """
        try:
            return conditional.write(self.filesystem, f"{self.root}/{name}", content, expected)
        except conditional.NotAsExpectedError:
            pass
        except Exception as error:
            raise self._explained(error) from None
        now = self.read(name)
        if now and now[0] == content:  # ours: an answer was lost, and the client tried again
            return now[1]
        raise ConflictError(f"{self.address}/{name} was written by somebody else meanwhile")

    def _infos(self) -> dict[str, dict[str, Any]]:
        try:
            return self.filesystem.find(self.root, detail=True)
        except FileNotFoundError:
            return {}

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self.root}/").rstrip("/")

    def uri(self, path: str) -> str:
        """The address of a path as fsspec writes it."""
        return f"{self.scheme}://{path}"

    def _list(self, folder: str) -> list[dict[str, Any]]:
        def listing() -> list[dict[str, Any]]:
            try:
                return self.filesystem.ls(folder, detail=True)
            except FileNotFoundError as error:
                # In a bucket an empty folder is none; but a bucket that is missing is an error.
                if self.scheme == "file" or error.__cause__ is not None:
                    raise
                if self.scheme == "gs":
                    self.filesystem.ls(folder.partition("/")[0])
                return []

        return self.call(listing)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The function's result, its errors as ours."""
        try:
            return function(*arguments, **named)
        except Exception as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> Exception:
        kind, text = type(error).__name__, hide(str(error), self.options)
        if isinstance(error, FileNotFoundError) or kind == "NotFound":
            return DataError(
                f"found no such bucket or folder: {self.address} ({text}); expected one that exists"
            )
        if isinstance(error, PermissionError) or "Forbidden" in (kind, text[:9]):
            return DataError(
                f"access to {self.address} was refused ({text}), "
                f"expected the right {RIGHTS[self.scheme]}"
            )
        if kind in NO_CREDENTIALS:
            return SettingsError(
                f"found no credentials for {self.address} ({text}), "
                "expected a connection or the environment's own"
            )
        return ConnectionError(f"{self.address}: {kind}: {text}")


def _open(scheme: str, address: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The file system of an address, and the address's path there."""
    # The JSON API alone: gcsfs otherwise asks each bucket for its kind first, by another protocol.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # Listings must be of now, and no session be used again that may have other credentials.
    fresh: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "s3":  # readers of Parquet know by themselves what they read next
        fresh["default_cache_type"] = "none"
    package = PACKAGES[scheme]
    try:
        from fsspec.core import url_to_fs  # here: a run without buckets needs none of it

        return url_to_fs(address, **(fresh | options))
    except ImportError:
        raise SettingsError(
            f"found no package {package}, expected it for {address}: "
            f"pip install '{INSTALLED_BY[scheme]}'"
        ) from None
    except Exception as error:
        text = hide(str(error), options)
        raise SettingsError(
            f"found options that {package} does not take for {address}: {text}"
        ) from None


def _object(info: Mapping[str, Any]) -> Object:
    changed = info.get("LastModified") or info["mtime"]
    modified = changed if isinstance(changed, float) else changed.timestamp()
    version = info.get("generation") or info.get("ETag") or f"{info['size']}-{modified}"
    return Object(info["name"], info["size"], modified, str(version))
