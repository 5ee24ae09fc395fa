"""Remove users from the store for good: their ratings, their factors, their lists.

*Trigger*, then name the users, one id a line. Then the log of the task says where it looked for
them and that it found nothing. Without `now` the published lists are cleaned by the next
publication of `cofi_nightly`.

What can be read of a trigger form stays in Airflow: the ids are in the run's configuration. Delete
the run when it has ended well (*Delete* on its page).
"""

import json
import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from cofi_jobs.airflow_integration import connections
from cofi_jobs.airflow_integration.alerts import task_failed
from cofi_jobs.airflow_integration.child import call_in_child
from cofi_jobs.airflow_integration.dags import form, our_errors_are_final
from cofi_jobs.core.ids import clean_id

log = logging.getLogger(__name__)

NOTE = """Remove the users and look whether they are gone.

**If it fails**, clear it: it can be run again wherever it stopped. It names files that it cannot
clean; remove those by hand."""


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params={
        **form(),
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
    },
    default_args={
        "retries": 2,
        "retry_exponential_backoff": 2.0,
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": task_failed,
    },
    tags=["cofi"],
    doc_md=__doc__,
)
def cofi_erase() -> None:
    """One task."""

    @task(doc_md=NOTE)
    def erase(**context: Any) -> None:
        params = context["params"]
        users = [user for line in params["users"].splitlines() if (user := clean_id(line))]
        if not users:
            raise AirflowFailException("found no user id, expected one a line")
        with our_errors_are_final():
            store, options = connections.resolve(params["store"])
        # In the environment: the command line is shown to every user of the machine.
        variables = {"COFI_ERASE": json.dumps(users)}
        code = call_in_child(
            ["erase", *(["--now"] if params["now"] else [])], store, variables, log.info, options
        )
        if code:
            raise RuntimeError(f"erase ended with exit code {code}, see the lines above")

    erase()


cofi_erase()
