"""How the newest row of each pair is found; tests/tasks/test_normalize.py has what it means."""

import duckdb
import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import rating_parts
from cofi_jobs.store.current_ratings import _repeated, load_newest
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, write_ratings


def test_pairs_of_one_hash_stay_apart(store: Store) -> None:
    for seed in (1, 2):
        write_ratings(store.landing / f"{seed}.csv", random_ratings(seed=seed))
    run_task("ingest", store, load_settings(["rating_low=1", "rating_high=5"]), "night-0")
    found = []
    for hashed in ("", "CREATE TEMP MACRO hash(user, item) AS 1::UBIGINT"):
        with sql.connect(load_settings(), store.root) as connection:
            connection.execute(hashed)
            counts = load_newest(connection, rating_parts(store, "night-0"), memory_mb=256)
            assert counts.n_superseded > 0
            found.append(
                connection.execute("SELECT arrival, rating FROM newest ORDER BY ALL").fetchall()
            )
    assert found[0] == found[1]


@pytest.mark.parametrize("memory", [8, 20, 1_000_000])
def test_hashes_of_several_rows_are_found_in_whatever_memory(memory: int) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TEMP VIEW taken AS SELECT unnest([3, 5, 3, 7, 0, 0, 5, 3, 9])::UBIGINT AS pair"
        )
        assert sorted(_repeated(connection, 9, memory)) == [0, 3, 3, 5]
        connection.execute("CREATE OR REPLACE TEMP VIEW taken AS SELECT 1::UBIGINT AS pair")
        assert len(_repeated(connection, 1, memory)) == 0
