"""Example of a downstream DAG: it runs when cofi_nightly has published, and reads that very run.

It never goes back: if readers are on another run by then, whose own event has started a run of this
DAG, it is skipped.
"""

import logging
from typing import Any

from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowSkipException

log = logging.getLogger(__name__)

RECOMMENDATIONS = Asset("cofi_recommendations")


@dag(schedule=[RECOMMENDATIONS], catchup=False, tags=["cofi", "example"], doc_md=__doc__)
def cofi_reader_example() -> None:
    """Replace the task by what your system does with the lists."""

    @task
    def read(**context: Any) -> dict[str, Any]:
        """Count the users of the newest publication among those that started this run."""
        import duckdb

        from cofi_jobs.read import current_run

        event = context["triggering_asset_events"][RECOMMENDATIONS][-1]
        path, run_key = event.extra["path"], event.extra["run_key"]
        current = current_run(event.extra["store"]).key
        if current != run_key:
            raise AirflowSkipException(f"readers are on run {current}, not on {run_key}")
        query = """
            SELECT count(DISTINCT user_id), count(*)
            FROM read_parquet($files, hive_partitioning = false)"""
        users, rows = duckdb.execute(query, {"files": f"{path}/**/*.parquet"}).fetchall()[0]
        log.info("run %s recommends %d items to %d users", run_key, rows, users)
        return {"run_key": run_key, "users": users, "rows": rows}

    read()


cofi_reader_example()
