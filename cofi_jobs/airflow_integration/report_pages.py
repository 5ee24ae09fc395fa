"""The reports over HTTP, for Airflow's API server only: behind its login, and without scripts.

Where a report lies is what the task `report` of the DAG run has handed on, so a store that an
Airflow connection names needs no look-up here; from a path nothing but a report is ever sent.
"""

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from cofi_jobs.airflow_integration.xcoms import handed_on
from cofi_jobs.core.errors import CofiError
from cofi_jobs.report.overview import overview
from cofi_jobs.report.template import fill
from cofi_jobs.store.run_keys import check_run_key
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS

DAG_ID, TASK_ID = "cofi_nightly", "report"
MOST_RUNS = 200  # runs of the DAG whose stores are looked for
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Text = Annotated[str, Query(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f]+$")]


@functools.cache
def pages() -> FastAPI:
    """The app. Without login, or without the right to see plugins, it answers 401 or 403."""
    app = FastAPI(
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
        openapi_url=None,  # nor pages of documentation, which need it
    )
    app.get("/run")(of_dag_run)
    app.get("/report")(of_run_key)
    app.get("/runs")(all_runs)

    @app.middleware("http")
    async def guarded(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    return app


def of_dag_run(session: SessionDep, run_id: Text, dag_id: Text = DAG_ID) -> HTMLResponse:
    """The report of a DAG run."""
    if dag_id != DAG_ID:
        return message(f"{dag_id} has no CoFi report", f"Only the runs of {DAG_ID} have one.")
    reports = _handed_on(session, run_id)
    if not reports and (address := _address(session, run_id)):
        return message("The report is in a bucket", f"Read it there: {address}")
    if not reports:
        return message(
            "No report yet",
            f"The run {run_id} has not come to its task report. A run that fails before "
            "normalize has ended gets none: "
            "there is nothing to report but the error in its log.",
        )
    return _page(reports[0])


def of_run_key(session: SessionDep, store: Text, run_key: Text) -> HTMLResponse:
    """The report of a run by its key, in one of the stores that the DAG has used."""
    try:
        check_run_key(run_key)
    except CofiError as error:
        return message("No such run", str(error), 400)
    if store not in _stores(session):
        return message("No such store", f"No run of {DAG_ID} has a report in {store}.")
    return _page(Store(store).table(run_key, "report") / "report.html")


def all_runs(session: SessionDep) -> HTMLResponse:
    """All runs of every store that the DAG has used."""
    stores = [(store, overview(Store(store), list(TASKS))) for store in _stores(session)]
    return HTMLResponse(fill("runs.html", stores=stores))


def message(title: str, text: str, status: int = 404) -> HTMLResponse:
    """A page that says what is missing."""
    return HTMLResponse(fill("message.html", title=title, text=text), status)


def report_path(value: Any) -> Path | None:
    """The path in what the task `report` handed on, if it is that of a report and nothing else."""
    path = Path(str(value.get("path", ""))) if isinstance(value, dict) else Path()
    if not path.is_absolute() or ".." in path.parts or path.parts[-4:-3] != ("runs",):
        return None
    try:
        check_run_key(path.parts[-3])
    except CofiError:
        return None
    return path if path.parts[-2:] == ("report", "report.html") else None


def _page(path: Path) -> HTMLResponse:
    try:
        return HTMLResponse(path.read_text(encoding="utf-8"))
    except OSError:
        return message(
            "No report here", f"There is no {path}: the run has been removed, or has no report."
        )


def _handed_on(session: Session, run_id: str | None = None) -> list[Path]:
    """Paths of reports that runs of the DAG have handed on, the newest first."""
    return [
        path
        for value in handed_on(session, DAG_ID, TASK_ID, run_id, MOST_RUNS)
        if (path := report_path(value))
    ]


def _address(session: Session, run_id: str) -> str | None:
    """Where the report of a DAG run is, if it is in a bucket, which this process cannot read."""
    paths = [
        str(value.get("path", ""))
        for value in handed_on(session, DAG_ID, TASK_ID, run_id, MOST_RUNS)
        if isinstance(value, dict)
    ]
    return next((path for path in paths if "://" in path), None)


def _stores(session: Session) -> list[str]:
    return list(dict.fromkeys(str(path.parents[3]) for path in _handed_on(session)))
