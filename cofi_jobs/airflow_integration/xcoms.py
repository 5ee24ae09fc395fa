"""What tasks have handed on (XComs), as Airflow's API server can read it.

This is the only module that uses a class of Airflow that is not public. Airflow 3.3 has no public
way: `airflow.sdk.XCom` works within a running task only, and the REST API asks for a token, which a
page inside the UI would have to take from its user. `XComModel` is what Airflow's own pages use.
"""

from typing import Any

from airflow.models.xcom import XComModel
from sqlalchemy import select
from sqlalchemy.orm import Session


def handed_on(
    session: Session, dag_id: str, task_id: str, run_id: str | None, most: int
) -> list[Any]:
    """What a task returned in a run, or without `run_id` in all runs: the newest `most`."""
    query = select(XComModel.value).where(
        XComModel.dag_id == dag_id, XComModel.task_id == task_id, XComModel.key == "return_value"
    )
    if run_id is not None:
        query = query.where(XComModel.run_id == run_id)
    return list(session.scalars(query.order_by(XComModel.timestamp.desc()).limit(most)))
