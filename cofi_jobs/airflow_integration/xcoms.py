"""What tasks have handed on (XComs), as Airflow's API server can read it; DAGs with a tag.

This is the only module that uses classes of Airflow that are not public. Airflow 3.3 has no public
way: `airflow.sdk.XCom` works within a running task only, and the REST API asks for a token, which a
page inside the UI would have to take from its user. `XComModel`, `DagRun` and `DagTag` are what
Airflow's own pages use.
"""

from datetime import datetime
from typing import Any

from airflow.models.dag import DagTag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

RETURNED = "return_value"  # the key of what a task returns


def handed_on(
    session: Session, dag_id: str, task_id: str, run_id: str | None, most: int, key: str = RETURNED
) -> list[Any]:
    """What a task handed on in a run, or without `run_id` in all runs: the newest `most`."""
    query = select(XComModel.value).where(
        XComModel.dag_id == dag_id, XComModel.task_id == task_id, XComModel.key == key
    )
    if run_id is not None:
        query = query.where(XComModel.run_id == run_id)
    return _newest(session, query, most)


def handed_on_as(session: Session, key: str, dag_ids: list[str], most: int) -> list[Any]:
    """What any tasks of these DAGs have handed on as `key`, the newest first, `most` at most."""
    query = select(XComModel.value).where(XComModel.dag_id.in_(dag_ids), XComModel.key == key)
    return _newest(session, query, most)


def _newest(session: Session, query: Select[Any], most: int) -> list[Any]:
    return list(session.scalars(query.order_by(XComModel.timestamp.desc()).limit(most)))


def tagged(session: Session, tag: str) -> list[str]:
    """Ids of the DAGs that have a tag."""
    query = select(DagTag.dag_id).where(DagTag.name == tag).order_by(DagTag.dag_id)
    return list(session.scalars(query))


def dag_runs(session: Session, dag_id: str, most: int) -> list[tuple[str, datetime]]:
    """Ids of the newest runs of a DAG, and the time after which each may run."""
    query = select(DagRun.run_id, DagRun.run_after).where(DagRun.dag_id == dag_id)
    rows = session.execute(query.order_by(DagRun.run_after.desc()).limit(most))
    return [(run_id, run_after) for run_id, run_after in rows]
