"""The making of a DAG: what all have in common, and the checks of what a DAG's file gives."""

import inspect
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow import settings as airflow_settings
from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, Param

from cofi_jobs.airflow_integration import TAG, connections
from cofi_jobs.airflow_integration.alerts import task_failed
from cofi_jobs.airflow_integration.dags import FIELDS, Options
from cofi_jobs.core.credentials import CONNECTION
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.resolve import named, validated

STORE = os.environ.get("COFI_STORE") or str(
    Path(os.environ.get("AIRFLOW_HOME") or "~/airflow", "cofi-store").expanduser().absolute()
)
STORE_IS = (
    f"Folder of the store, s3://<bucket>/<folder>, gs://..., or {CONNECTION}<id> for the "
    "Airflow connection that says where the store is."
)
# Options of a task that follow from its declaration.
OURS = {
    *("self", "kwargs", "task_id", "dag", "task_group", "inlets", "outlets", "trigger_rule"),
    *("default_args", "params", "do_xcom_push", "multiple_outputs", "allow_nested_operators"),
}
# A DAG without a start begins with the next time of its schedule, or with one that is only this far
# past: the scheduler may be busy at that time.
JUST_PAST = timedelta(minutes=5)
NO_CRON = {"@once", "@continuous"}
TASK_OPTIONS = inspect.signature(BaseOperator.__init__).parameters.keys() - OURS


class _Dag(DAG):
    """A DAG that can be tried although it has a deadline."""

    def test(self, *arguments: Any, **options: Any) -> Any:
        """As in Airflow, without the deadline: Airflow 3.3 fails at it as such a run ends."""
        self.deadline = None
        return super().test(*arguments, **options)


def make_dag(
    dag_id: str,
    *,
    schedule: Any,
    timezone: str | None,
    makes_up: bool = False,
    params: Mapping[str, Param],
    execution_timeout: timedelta,
    options: Options | None,
    **others: Any,
) -> DAG:
    """A DAG with what all of them have in common.

    `makes_up` says whether a DAG that is unpaused runs at once for the last time that has passed.
    `options` are those of airflow.sdk.DAG; they override ours, but tags, params and default
    arguments are added to ours. Raises SettingsError for an unknown time zone.
    """
    dag_options = dict(options or {})
    default_args = {
        "retries": 2,  # the first after Airflow's setting core.default_task_retry_delay
        "retry_exponential_backoff": 2.0,
        "execution_timeout": execution_timeout,
        "on_failure_callback": task_failed,
    }
    merged = {
        "default_args": default_args | dag_options.get("default_args", {}),
        "params": {**params, **dag_options.get("params", {})},
        "tags": {TAG, *dag_options.get("tags", ())},
    }
    zone = _zone(timezone)
    defaults = {
        "catchup": False,
        "max_active_runs": 1,
        **_start(schedule, zone, makes_up),
        **others,
    }
    dag = _Dag(dag_id, **{**defaults, **dag_options, **merged})
    if dag.start_date is None:  # else Airflow takes the zone from it
        dag.timezone = zone
    return dag


def _start(
    schedule: Any, zone: pendulum.Timezone | pendulum.FixedTimezone, makes_up: bool
) -> Options:
    """When a DAG runs, and from when on.

    With a start in the past Airflow makes up for the last missed time, also without catchup.
    Schedules other than cron texts need a start.
    """
    if makes_up or not isinstance(schedule, str) or schedule in NO_CRON:
        return {"schedule": schedule, "start_date": datetime(2026, 1, 1, tzinfo=zone)}
    return {"schedule": CronTriggerTimetable(schedule, timezone=zone, run_immediately=JUST_PAST)}


def _zone(name: str | None) -> pendulum.Timezone | pendulum.FixedTimezone:
    """A time zone; None is that of Airflow's setting core.default_timezone."""
    if name is None:
        return airflow_settings.TIMEZONE
    try:
        return pendulum.timezone(name)
    except (ValueError, TypeError):
        raise SettingsError(
            f"found the time zone {name!r}, expected a name such as Europe/Berlin"
        ) from None


def form(
    store: str, sections: tuple[str, ...] = (), settings: Mapping[str, Any] | None = None
) -> dict[str, Param]:
    """The store and the settings of these sections, as a DAG's params.

    `settings` are the DAG's own defaults. Raises SettingsError for a relative store.
    """
    connections.check_store(store)
    fields = {name: field for name, field in FIELDS.items() if field["section"] in sections}
    defaults = settings or {}
    return {
        "store": Param(store, type="string", minLength=1, section="store", description=STORE_IS),
        **{
            name: Param(**{**field, "default": defaults.get(name, field["default"])})
            for name, field in fields.items()
        },
    }


def checked(
    settings: Mapping[str, Any] | None, sections: tuple[str, ...], dag_id: str
) -> dict[str, Any]:
    """The settings of a DAG that its file gives. Raises SettingsError for what is not allowed."""
    explicit = named(settings or {}, f"DAG {dag_id}")
    for name in explicit:
        if FIELDS[name]["section"] not in sections:
            raise SettingsError(
                f"DAG {dag_id}: found the setting {name}, which no task of this DAG uses; expected "
                f"settings of {', '.join(sections)}"
            )
    values = validated(explicit).model_dump()
    return {name: values[name] for name in explicit}


def task_options(dag_id: str, name: str, options: Options | None) -> dict[str, Any]:
    """Options of a task that a DAG's file gives. Raises SettingsError for one that is not ours."""
    if unknown := (options or {}).keys() - TASK_OPTIONS:
        raise SettingsError(
            f"DAG {dag_id}: found the options {', '.join(sorted(unknown))} of the task {name}, "
            f"expected some of {', '.join(sorted(TASK_OPTIONS))}"
        )
    return dict(options or {})
