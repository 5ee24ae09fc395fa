"""Keys of runs."""

import pandas as pd
import pytest

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.store.run_keys import check_run_key, run_key_at


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/b", "a b", "a\0", "-a", "ä", "a" * 101])
def test_keys_that_cannot_name_a_folder_are_refused(key: str):
    with pytest.raises(SettingsError, match="found the run key"):
        check_run_key(key)


def test_keys_of_times_sort_by_time():
    times = pd.date_range("2025-12-31 22:00", periods=50, freq="37min", tz="Europe/Berlin")
    keys = [run_key_at(time.to_pydatetime()) for time in times]
    assert keys == sorted(set(keys))
    assert [check_run_key(key) for key in keys] == keys
