"""Everything that imports Airflow.

It makes the DAGs (`recommender_dag`, `tune_dag`, `verify_dag`, `erase_dag`), and holds what they
need: the child process in which a task runs, connections, alerts, lineage, and the pages that show
reports. A child process starts the command line; else this room may use every other room but `cli`.
No other room imports Airflow. What a task does belongs in `tasks`, so that every task also runs
without Airflow.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cofi_jobs.airflow_integration.factory import (
        erase_dag,
        recommender_dag,
        tune_dag,
        verify_dag,
    )

TAG = "cofi"  # of every DAG that is made here: the report pages know them by it
STORE_KEY = "cofi_store"  # of the XCom in which the first task of a run says where its store is
RUN_KEY = "cofi_run"  # of the XCom in which the task that ended a run says how it ended

__all__ = ["erase_dag", "recommender_dag", "tune_dag", "verify_dag"]


def __getattr__(name: str) -> Any:
    """A factory of DAGs, imported once a DAG file asks for it.

    Every process of Airflow imports this package for the plugin, and every child process for the
    command line: neither needs the factories, nor the time that Airflow takes.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cofi_jobs.airflow_integration import factory

    return getattr(factory, name)
