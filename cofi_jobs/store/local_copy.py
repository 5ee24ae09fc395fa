"""The local folder of a remote store: its files, and which of them are as the bucket has them."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cofi_jobs.store import layout
from cofi_jobs.store.plan import Stamp, Synced

# The version in the bucket; of the local file its size, nanoseconds since 1970, and inode.
ENTRIES = TypeAdapter(dict[str, tuple[str, int, int, int]])


class Index:
    """The file that remembers, from task to task, which local files are as the bucket has them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Synced]:
        """Files by name; none if the last task was killed, or if the file has something else.

        Then all is fetched again.
        """
        try:
            entries = ENTRIES.validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}
        return {name: Synced(version, Stamp(*of)) for name, (version, *of) in entries.items()}

    def write(self, synced: Mapping[str, Synced]) -> None:
        """Replace the file."""
        entries = {
            name: [of.version, of.stamp.size, of.stamp.modified, of.stamp.inode]
            for name, of in synced.items()
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(entries))
        new.replace(self.path)

    def remove(self) -> None:
        """Forget all files."""
        self.path.unlink(missing_ok=True)


def stamps(root: Path) -> dict[str, Stamp]:
    """Files of a folder that belong into the bucket: no links, nothing hidden."""
    paths = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    named = ((str(path.relative_to(root)), path) for path in paths)
    return {
        name: stamp(path)
        for name, path in named
        if not layout.is_hidden(name) and not layout.is_in(name, layout.CURRENT_LINK)
    }


def stamp(path: Path) -> Stamp:
    """What tells whether a file has changed."""
    stat = path.stat()
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def remove_all_but(root: Path, names: Collection[str]) -> None:
    """Remove all other files below a folder, links too, and folders that are empty then."""
    for path in sorted(root.rglob("*"), reverse=True):  # what is in a folder comes before it
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif str(path.relative_to(root)) not in names:
            path.unlink()
