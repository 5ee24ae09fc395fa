"""Files below an address, in a bucket or a folder: s3://, gs:// and file:// through fsspec, with the same code."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cofi_jobs.core.credentials import hide
from cofi_jobs.core.errors import DataError, SettingsError

# Each scheme, with the package that speaks it and what its users must be allowed to do.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "file": "fsspec"}
INSTALLED_BY = {"s3": "cofi[s3]", "gs": "cofi[gcs]", "file": "cofi"}
RIGHTS = {
    "s3": "s3:ListBucket and s3:GetObject",
    "gs": "storage.objects.list and storage.objects.get",
    "file": "to list and read",
}
# Codes of S3 for an object that is not as a conditional write expects it.
NOT_AS_EXPECTED = ("PreconditionFailed", "ConditionalRequestConflictError", "NoSuchKey")
GOOGLE_UPLOAD = (  # an object's name, and its content
    b"--=cofi=\r\nContent-Type: application/json\r\n\r\n%b\r\n"
    b"--=cofi=\r\nContent-Type: application/octet-stream\r\n\r\n%b\r\n--=cofi=--"
)
NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "ProfileNotFound",
)
PATTERN = re.compile(r"[*?\[]")
ADDRESS = "s3://<bucket>/<folder>, gs://<bucket>/<folder> or file:///<folder>"


class ConflictError(RuntimeError):
    """A file was not as a conditional write expected it."""


@dataclass(frozen=True)
class Object:
    """A file as a listing shows it: path as fsspec writes it, bytes, time of the last change in seconds since 1970.

    `version` changes with the content: an ETag, a generation, or size and time.
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

    Raises SettingsError if the address has another scheme or the package for it is missing. All methods raise
    DataError for a bucket, folder or object that is not there or not allowed, SettingsError without credentials, and
    ConnectionError where trying again may help.
    """

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self.scheme, separator, _ = address.partition("://")
        if (
            "@" in address.partition("://")[2].partition("/")[0]
        ):  # what stands before it may be a password
            raise SettingsError(
                f"found a login in an address of {self.scheme}://, which is not shown, expected {ADDRESS}"
            )
        if not separator or self.scheme not in PACKAGES:
            raise SettingsError(f"found the address {address!r}, expected {ADDRESS}")
        self.address, self.options = address, options
        # The JSON API alone: what else gcsfs speaks asks each bucket for its kind first, by another protocol.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        try:
            import fsspec  # here: a night without buckets needs none of it

            # Listings must be of now, and nobody else's session, which may have other credentials, be used again.
            fresh: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
            if self.scheme == "s3":  # readers of Parquet know by themselves what they read next
                fresh["default_cache_type"] = "none"
            self.filesystem = fsspec.filesystem(self.scheme, **(fresh | options))
        except ImportError:
            package = PACKAGES[self.scheme]
            raise SettingsError(
                f"found no package {package}, expected it for {address}: "
                f"pip install '{INSTALLED_BY[self.scheme]}'"
            ) from None
        except Exception as error:
            text = hide(str(error), options)
            raise SettingsError(
                f"found options that {PACKAGES[self.scheme]} does not take for {address}: {text}"
            ) from None
        self.root = self.filesystem._strip_protocol(address).rstrip("/")

    def files(self) -> list[Object]:
        """The files in the folder of the address, not below it; or those that it matches, where it is a pattern."""
        if PATTERN.search(self.root):
            found = self.call(self.filesystem.glob, self.root, detail=True).values()
            if not found:  # nothing, or is there no bucket?
                self._list(PATTERN.split(self.root)[0].rpartition("/")[0])
        else:
            found = self._list(self.root)
        return sorted(
            (
                _object(info)
                for info in found
                if info["type"] == "file" and not info["name"].endswith("/")
            ),
            key=lambda object: object.path,
        )

    def get(self, object: Object, target: Path) -> None:
        """Download a file as it was listed. Raises RuntimeError if it was changed since: a retry lists it anew."""
        self.call(self.filesystem.get_file, object.path, str(target))
        if _object(self.call(self.filesystem.info, object.path)).version != object.version:
            raise RuntimeError(f"{self.uri(object.path)} was changed while it was read")

    # ---- a whole tree, by names below the address

    def tree(self) -> dict[str, Object]:
        """All files below the address; none with a hidden name, nor in a hidden folder."""
        found = self.call(self._found).values()
        objects = {
            self._name(info["name"]): info
            for info in found
            if info["type"] == "file" and info["name"][-1:] != "/"
        }
        return {name: _object(info) for name, info in objects.items() if "/." not in f"/{name}"}

    def names(self, pattern: str) -> list[str]:
        """Names that match a pattern, folders among them."""
        return sorted(
            self._name(path) for path in self.call(self.filesystem.glob, f"{self.root}/{pattern}")
        )

    def read(self, name: str) -> tuple[bytes, str] | None:
        """A small file's content, and a version that it has or had just before; None if there is none."""
        try:
            version = _object(self.filesystem.info(f"{self.root}/{name}")).version
            return self.filesystem.cat_file(f"{self.root}/{name}"), version
        except FileNotFoundError:
            return None
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
        """Write a small file if it has the version expected, None: if there is none; returns its new version.

        Raises ConflictError if it is not as expected. S3 compares ETags (If-Match, If-None-Match), Google generations.
        """
        bucket, _, key = f"{self.root}/{name}".partition("/")
        try:
            if self.scheme == "s3":
                condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
                return self.filesystem.call_s3(
                    "put_object", Bucket=bucket, Key=key, Body=content, **condition
                )["ETag"]
            found = self.filesystem.call(
                "POST",
                f"{self.filesystem._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o",
                uploadType="multipart",
                ifGenerationMatch=expected or "0",
                headers={"Content-Type": 'multipart/related; boundary="=cofi="'},
                data=GOOGLE_UPLOAD % (json.dumps({"name": key}).encode(), content),
                json_out=True,
            )
            return str(found["generation"])
        except Exception as error:
            code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", "")
            if not isinstance(error, FileExistsError) and code not in NOT_AS_EXPECTED:
                raise self._explained(error) from None
        now = self.read(name)
        if now and now[0] == content:  # it was ours: an answer was lost, and the client tried again
            return now[1]
        raise ConflictError(f"{self.address}/{name} was written by somebody else meanwhile")

    def _found(self) -> dict[str, dict[str, Any]]:
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
        if isinstance(error, FileNotFoundError):
            return DataError(
                f"found no such bucket or folder: {self.address} ({text}); expected one that exists"
            )
        if isinstance(error, PermissionError) or text.startswith("Forbidden"):
            return DataError(
                f"access to {self.address} was refused ({text}), expected the right {RIGHTS[self.scheme]}"
            )
        if kind in NO_CREDENTIALS:
            return SettingsError(f"found no credentials for {self.address} ({text}), expected a connection or the "
                                 "environment's own")  # fmt: skip
        return ConnectionError(f"{self.address}: {kind}: {text}")


def _object(info: Mapping[str, Any]) -> Object:
    changed = info.get("LastModified") or info["mtime"]
    modified = changed if isinstance(changed, float) else changed.timestamp()
    version = info.get("generation") or info.get("ETag") or f"{info['size']}-{modified}"
    return Object(info["name"], info["size"], modified, str(version))
