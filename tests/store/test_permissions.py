"""Who may read a store that the job has made."""

import os
import stat
from pathlib import Path

import pytest

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.permissions import limited
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from tests.support.data import random_ratings, write_ratings
from tests.support.nights import run_night


def rights(root: Path) -> dict[str, set[str]]:
    """Rights of folders and of files below a folder, of landed files none: upstream's."""
    paths = [root, *(path for path in root.rglob("*") if path.parent.name != "landing")]
    paths = [path for path in paths if not path.is_symlink()]
    kinds = {"folders": Path.is_dir, "files": Path.is_file}
    return {
        kind: {oct(stat.S_IMODE(path.lstat().st_mode)) for path in paths if is_kind(path)}
        for kind, is_kind in kinds.items()
    }


@pytest.mark.parametrize(
    ("mask", "folders", "files"),
    [(None, "0o750", "0o640"), ("022", "0o755", "0o644"), ("0077", "0o700", "0o600")],
)
def test_what_the_job_makes_is_closed_to_others(
    tmp_path: Path,
    quick: Settings,
    mask: str | None,
    folders: str,
    files: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if mask:
        monkeypatch.setenv("COFI_UMASK", mask)
    store = Store(tmp_path / "new" / "store").create()
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, quick, "n", report=True)
    erase(store, quick, ["10"])
    assert rights(store.root) == {"folders": {folders}, "files": {files, "0o600"}}
    assert stat.S_IMODE((store.root / "erased.key").stat().st_mode) == 0o600


def test_a_folder_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o755)  # whatever mask an earlier test left in this process
    store = Store(tmp_path / "store").create()
    assert rights(store.root)["folders"] == {"0o755", "0o750"}


def test_threads_that_change_stores_leave_the_mask_of_the_process(tmp_path: Path) -> None:
    def mask() -> int:
        current = os.umask(0)
        os.umask(current)
        return current

    before = mask()
    first, second = limited(), limited()  # as two threads come and go, one after the other
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert mask() == 0o027
    second.__exit__(None, None, None)
    assert mask() == before


@pytest.mark.parametrize("mask", ["0750", "u=rwx", "27o", "888", "0b1", "7", "0700"])
def test_a_mask_that_is_none_is_an_error(
    tmp_path: Path, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFI_UMASK", mask)
    with pytest.raises(SettingsError, match=f"found '{mask}' in COFI_UMASK, expected"):
        Store(tmp_path / "store").create()
    assert not (tmp_path / "store").exists()
