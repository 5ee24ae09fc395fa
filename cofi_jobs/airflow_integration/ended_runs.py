"""How runs ended, handed on for the page of all runs, which cannot read every store.

Only the workers have the credentials of a bucket, and maybe the folder of a store. What is handed
on outlives the run's tables, and does not follow a rollback.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import redact
from pydantic import TypeAdapter, ValidationError

from cofi_jobs.airflow_integration import RUN_KEY
from cofi_jobs.report.nights import night
from cofi_jobs.report.overview import Line, line
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import FINAL_TASK, Task
from cofi_jobs.tasks.registry import TASKS

CURRENT, PUBLISHED = "current", "published"


@contextmanager
def handed_on_when_ended(
    context: Mapping[str, Any], store: Store, run_key: str, task: Task
) -> Iterator[None]:
    """Within this a task of a run works; if the run ends with it, hand on how.

    A run ends when it is published, or when a task has failed. Secrets in the reason are masked.
    """
    has_ended = task.of_every_night
    try:
        yield
        has_ended = task.name == FINAL_TASK
    except AirflowSkipException:
        has_ended = False
        raise
    finally:
        if has_ended:
            with suppress(Exception):  # the store may be what failed
                is_published = store.manifest(run_key) is not None
                row = line(store, night(store, run_key, TASKS, is_published), TASKS)
                row = replace(row, reason=str(redact(row.reason)))
                context["ti"].xcom_push(RUN_KEY, {"store": store.location, **asdict(row)})


def rows_handed_on(values: Iterable[Any], store: str) -> list[Line]:
    """The runs of a store, in the order of `values`, which were handed on the newest first.

    Of a run the newest value counts. Readers use one run alone, the newest that became current.
    What another version has handed on in another shape is left out.
    """
    shape, rows = TypeAdapter(Line), dict[str, Line]()
    for value in values:
        if isinstance(value, dict) and value.get("store") == store:
            with suppress(ValidationError):
                row = shape.validate_python(value)
                rows.setdefault(row.key, row)
    became_current = [row for row in rows.values() if row.state.startswith(CURRENT)]
    for row in became_current[1:]:
        rows[row.key] = replace(row, state=row.state.replace(CURRENT, PUBLISHED, 1))
    return [*rows.values()]
