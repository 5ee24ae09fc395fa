"""Keys of runs."""

import pandas as pd
import pytest

from cofi_jobs import read
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.store.run_keys import check_run_key, run_key_at
from cofi_jobs.store.store import Store
from tests.support.command_line import cofi
from tests.support.published import publish

BAD_KEYS = ["", ".", "..", "../x", "./a", "a/b", "a b", "a\0", "a\n", "-a", "ä", "a" * 101]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_cannot_name_a_folder_are_refused(store: Store, key: str):
    publish(store, "a")
    for use in (
        check_run_key,
        store.set_current,
        lambda key: store.table(key, "model"),
        store.manifest,
        store.ratings,
        store.rejected,
        lambda key: store.outcome(key, "train"),
        lambda key: read.current_run(store, key),
    ):
        with pytest.raises(SettingsError, match="found the run key"):
            use(key)
    assert store.current() == "a"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["rollback", "../CURRENT"],
        ["rollback", "./a"],
        *(
            [name, "--run-key", "../a"]
            for name in ("ingest", "train", "tune", "evaluate", "summary")
        ),
        ["explain", "1", "2", "--run-key", "./a"],
        ["run", "--items", "items.csv", "--run-key", "a/../b"],
    ],
)
def test_commands_refuse_such_a_key(store: Store, command: list[str]):
    publish(store, "a")
    before = sorted(store.root.rglob("*"))
    ended = cofi(*command, "--store", store.root)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: found the run key ")
    assert "Traceback" not in ended.stderr
    changed = {*store.root.rglob("*")} ^ {*before}
    assert all(path.name.startswith(".lock-") for path in changed)
    assert (store.root / "current").resolve().name == store.current() == "a"


def test_keys_of_times_sort_by_time():
    times = pd.date_range("2025-12-31 22:00", periods=50, freq="37min", tz="Europe/Berlin")
    keys = [run_key_at(time.to_pydatetime()) for time in times]
    assert keys == sorted(set(keys))
    assert [check_run_key(key) for key in keys] == keys
