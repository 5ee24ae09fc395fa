"""The files of a run as programs read them: each is compared with its record.

A file that is read as a whole is compared as a whole. Of a file that is looked up in, the footer is
compared, and Arrow verifies the checksums of the pages that it reads. DuckDB writes `normalized`,
without such checksums: these files are compared as a whole, but in a bucket not for a look-up.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import pyarrow as pa

from cofi_jobs.core.errors import DamageError
from cofi_jobs.store import files, layout, parquet
from cofi_jobs.store.digests import MISSING, PUBLISH, RecordedFile, measure
from cofi_jobs.store.manifest_files import footer_sha256
from cofi_jobs.store.record_shapes import FileDigest
from cofi_jobs.store.run_shapes import PublishedFile
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset, Partitioning

Compared = Literal["sha256", "footer_sha256"]
DIGESTS: dict[Compared, Callable[[IO[bytes]], str]] = {
    "sha256": lambda content: measure(content)["sha256"],
    "footer_sha256": footer_sha256,
}


class RunFiles:
    """The files of a run, by their paths below its folder.

    All methods raise DamageError, which names the file, if it is not as it was written.
    """

    def __init__(self, store: Store, run_key: str, manifest: Mapping[str, Any]) -> None:
        self.store, self.run_key, self.manifest = store, run_key, manifest
        self.root, self.filesystem = store.location_for_readers(run_key, "")
        self._compared: set[tuple[str, int, int]] = set()  # as a whole, for look-ups: path and stat

    def read(self, path: str) -> pa.Table:
        """The whole table of a file."""
        with self.named(path), self._open(path, "sha256") as content:
            return parquet.read_table(content)

    def dataset(
        self, paths: Sequence[str], partitioning: "Partitioning | None" = None
    ) -> "Dataset":
        """Files to look up in. Reading them belongs into `named`."""
        import pyarrow.dataset as ds  # here: it imports pandas

        for path in paths:
            self._compare(path)
        return ds.dataset(
            [self._full(path) for path in paths],
            format=parquet.file_format(),
            filesystem=self.filesystem,
            partitioning=partitioning,
            partition_base_dir=self.root,
        )

    @contextmanager
    def named(self, *paths: str) -> Iterator[None]:
        """What Arrow says of pages that it cannot read, as an error that names the files.

        So is a file that is missing, unless the run or the file was removed: an OSError says that.
        """
        try:
            yield
        except FileNotFoundError:
            if missing := [path for path in paths if self._is_missing(path)]:
                raise self._damage(", ".join(missing), MISSING) from None
            raise
        except (pa.ArrowInvalid, OSError) as error:
            if parquet.is_of_system(error):
                raise
            reason = " ".join(str(error).split())  # Arrow takes several lines
            raise self._damage(", ".join(paths), f"cannot be read: {reason}") from None

    def _compare(self, path: str) -> None:
        if not layout.is_in(path, "normalized"):
            self._open(path, "footer_sha256").close()
        elif self.filesystem is None:
            stat = Path(self._full(path)).stat()
            seen = (path, stat.st_size, stat.st_mtime_ns)
            if seen not in self._compared:
                self._open(path, "sha256").close()
                self._compared.add(seen)

    def _open(self, path: str, compared: Compared) -> IO[bytes]:
        """A file that agrees with its record. Raises FileNotFoundError if it is gone.

        An erasure may replace the file at any time. It changes the record first, so a file is
        damaged if it does not agree with a record that is the same before and after.
        """
        record = self._record(path, self.manifest)
        while True:
            content = self._content(path, compared)
            if record is None or compared not in record:
                return content
            digest = DIGESTS[compared](content)
            if digest in (record[compared], record.get(f"{compared}_before")):
                content.seek(0)
                return content
            size = content.seek(0, os.SEEK_END)
            content.close()
            newer = self._record(path, self.store.manifest(self.run_key) or {})
            if newer is None:
                raise FileNotFoundError(errno.ENOENT, "was removed", self._full(path))
            if newer == record:
                flaw = f"its {compared} is {digest}, not {record[compared]}"
                if size != record["bytes"]:
                    flaw = f"it has {size} bytes, {record['bytes']} were written"
                raise self._damage(path, f"is damaged: {flaw}")
            record = newer

    def _content(self, path: str, compared: Compared) -> IO[bytes]:
        if self.filesystem is None:
            return files.open_file(self.store.root, layout.table(self.run_key, path))
        if compared == "sha256":
            return io.BytesIO(self.filesystem.cat_file(self._full(path)))
        return self.filesystem.open(self._full(path), "rb")

    def _is_missing(self, path: str) -> bool:
        """Whether a file is not there that still counts.

        The manifest of a run, or the file's line in it, is removed before the file is.
        """
        manifest = self.store.manifest(self.run_key)
        if manifest is None:
            return False
        counts = layout.is_in(path, "normalized") or self._record(path, manifest) is not None
        return counts and not self._is_there(self._full(path))

    def _is_there(self, full: str) -> bool:
        return Path(full).is_file() if self.filesystem is None else self.filesystem.isfile(full)

    def _record(self, path: str, manifest: Mapping[str, Any]) -> PublishedFile | None:
        """What the manifest has of a file, or the outcome of normalize; None if neither has it."""
        if layout.is_in(path, "normalized"):
            outcome = self.store.outcome(self.run_key, "normalize") or {}
            return outcome.get("digests", {}).get(layout.table(self.run_key, path))
        return next((file for file in manifest.get("files", ()) if file["path"] == path), None)

    def _full(self, path: str) -> str:
        """Where a file is now: an erasure may have been killed while it replaced its folder."""
        return str(self.store.location_for_readers(self.run_key, path)[0])

    def _damage(self, path: str, flaw: str) -> DamageError:
        name = layout.table(self.run_key, path)
        task = "normalize" if layout.is_in(path, "normalized") else PUBLISH
        is_final = self.store.manifest(self.run_key) is not None
        file = RecordedFile(name, FileDigest(bytes=0, sha256=""), self.run_key, task, is_final)
        return DamageError(f"{self.store.location}/{name} {flaw}; {file.advice}")
