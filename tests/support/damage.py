"""Files that lose bits."""

import os
from pathlib import Path

from cofi_jobs.core.errors import DamageError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.status import latest_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task


def flip(path: Path, place: float, bit: int) -> None:
    """Flip a bit of the byte at this share of the file; size and time stay, as on a bad disk."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[int(place * len(content))] ^= 1 << bit
    new = path.with_name(".flipped")  # another run may have a hard link to the file
    new.write_bytes(content)
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.replace(path)


def verified(store: Store) -> str:
    """What `verify` ends with: its summary, or its error."""
    try:
        summary: str = run_task("verify", store, load_settings(), latest_run(store))["summary"]
        return summary
    except DamageError as error:
        return str(error)
