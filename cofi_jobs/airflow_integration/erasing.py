"""The DAG that removes users from a store."""

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException

from cofi_jobs.airflow_integration import connections
from cofi_jobs.airflow_integration.child import call_in_child
from cofi_jobs.airflow_integration.child_log import ChildLog
from cofi_jobs.airflow_integration.dags import Context, Options, our_errors_are_final
from cofi_jobs.airflow_integration.making import STORE, form, make_dag, task_options
from cofi_jobs.core.ids import clean_id
from cofi_jobs.settings.form import check_names

ERASER = """Remove users from the store for good: their ratings, their factors, their lists.

*Trigger*, then name the users, one id a line. Then the log of the task says where it looked for
them and that it found nothing. Without `now` the published lists are cleaned by the next
publication of the recommender.

What can be read of a trigger form stays in Airflow: the ids are in the run's configuration. Delete
the run when it has ended well (*Delete* on its page).
"""
NOTE = """Remove the users and look whether they are gone.

**If it fails**, clear it: it can be run again wherever it stopped. It names files that it cannot
clean; remove those by hand."""
PARAMS = {
    "users": Param(
        "",
        type="string",
        format="multiline",
        minLength=1,
        description="Ids of the users, one a line.",
    ),
    "now": Param(
        False,
        type="boolean",
        description="Clean what readers see at once, not at the next publication.",
    ),
}


def erase_dag(
    dag_id: str,
    store: str = STORE,
    *,
    dag_options: Options | None = None,
    erase: Options | None = None,
) -> DAG:
    """The DAG whose form removes users from a store; arguments as of `recommender_dag`."""

    def execute(**context: Any) -> None:
        _erase(context)

    with make_dag(
        dag_id,
        schedule=None,
        timezone=None,
        params={**form(store), **PARAMS},
        execution_timeout=timedelta(hours=2),
        options=dag_options,
        doc_md=ERASER,
    ) as dag:
        options = {"task_id": "erase", "doc_md": NOTE, **task_options(dag_id, "erase", erase)}
        task(**options)(execute)()
    return dag


def _erase(context: Context) -> None:
    params = context["params"]
    users = [user for line in params["users"].splitlines() if (user := clean_id(line))]
    if not users:
        raise AirflowFailException("found no user id, expected one a line")
    with our_errors_are_final():
        check_names(context["dag_run"].conf or {}, context["dag"].params)
        store, options = connections.resolve(params["store"])
    # As a variable: the command line is shown to every user of the machine.
    variables = {"COFI_ERASE": json.dumps(users)}
    now = ["--now"] if params["now"] else []
    call_in_child(["erase", *now], store, variables, ChildLog(), options)
