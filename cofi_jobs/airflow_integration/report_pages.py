"""The reports over HTTP, for Airflow's API server only: behind its login.

Where a report lies is what the task `report` of the DAG run has handed on, so a store that an
Airflow connection names needs no look-up here. Only reports are sent, whatever the path. Only
DAGs that the factory has made count, which their tag tells, and only those that the user may read.
"""

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import (
    GetUserDep,
    requires_access_dag,
    requires_access_view,
)
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from cofi_jobs.airflow_integration import RUN_KEY, STORE_KEY, TAG
from cofi_jobs.airflow_integration.ended_runs import rows_handed_on
from cofi_jobs.airflow_integration.xcoms import dag_runs, handed_on, handed_on_as, tagged
from cofi_jobs.core.errors import CofiError
from cofi_jobs.report.overview import Line, RunsOfStore, colour_of, overview, trends
from cofi_jobs.report.template import SERVED, content_security_policy, fill
from cofi_jobs.store.run_keys import check_run_key, run_key_at
from cofi_jobs.store.status import state_of
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import DECLARED, TASKS

DAG_ID, TASK_ID = "cofi_nightly", "report"  # where an address names no DAG
FIRST_TASK = next(task.name for task in DECLARED.values() if task.begins_run)
MOST_RUNS = 200  # runs of a DAG whose stores are looked for
HEADERS = {
    "Content-Security-Policy": f"{content_security_policy()}; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Text = Annotated[str, Query(min_length=1, max_length=250, pattern=r"^[^\x00-\x1f\x7f]+$")]


@functools.cache
def pages() -> FastAPI:
    """The app. Without login it answers 401, without the rights 403.

    The rights are to see plugins, and to read the runs of the DAGs whose reports these are.
    """
    app = FastAPI(
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
        openapi_url=None,  # nor pages of documentation, which need it
    )
    app.get("/run")(of_dag_run)
    app.get("/report")(of_run_key)
    app.get("/runs")(all_runs)
    app.get("/look-up")(look_up)

    @app.middleware("http")
    async def guarded(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    return app


def readable(request: Request, session: SessionDep, user: GetUserDep) -> list[str]:
    """The DAGs with reports whose runs the user may read. Refuses who may read none of them."""
    dags = tagged(session, TAG)
    allowed = [dag_id for dag_id in dags if _may_read(dag_id, request, user)]
    if dags and not allowed:
        raise HTTPException(403, "Forbidden")
    return allowed


Readable = Annotated[list[str], Depends(readable)]


def of_dag_run(
    request: Request,
    session: SessionDep,
    user: GetUserDep,
    dags: Readable,
    run_id: Text,
    dag_id: Text = DAG_ID,
) -> HTMLResponse:
    """The report of a DAG run."""
    if not _may_read(dag_id, request, user):
        raise HTTPException(403, "Forbidden")
    if dag_id not in dags:
        return message(f"{dag_id} has no CoFi report", "Only the runs of CoFi's DAGs have one.")
    reports = _handed_on(session, dag_id, run_id)
    if not reports and (address := _address(session, dag_id, run_id)):
        return message("The report is in a bucket", f"Read it there: {address}")
    if not reports:
        return message(
            "No report yet",
            f"The run {run_id} has not come to its task report. A run that fails before "
            "normalize has ended gets none: "
            "there is nothing to report but the error in its log.",
        )
    return _page(reports[0])


def of_run_key(session: SessionDep, dags: Readable, store: Text, run_key: Text) -> HTMLResponse:
    """The report of a run by its key, in one of the stores that the user's DAGs have used."""
    try:
        check_run_key(run_key)
    except CofiError as error:
        return message("No such run", str(error), 400)
    if not _is_here(store) or store not in _stores(session, dags):
        return message("No such store", f"No run that you may read has used {store}.")
    return _page(Store(store).table(run_key, "report") / "report.html")


def all_runs(session: SessionDep, dags: Readable) -> HTMLResponse:
    """All runs of every store that the user's DAGs have used."""
    stores = []
    for location, dag_ids in _stores(session, dags).items():
        lines, problem = _lines(location)
        note = ""
        if problem:
            ended = handed_on_as(session, RUN_KEY, dag_ids, MOST_RUNS)
            lines = rows_handed_on(ended, location)
            source = "The rows are what each run said when it ended. " if lines else ""
            note = f"{problem}. {source}On a worker: cofi runs --store '{location}'."
        links = {
            run_key_at(run_after): dag_run_link(dag_id, run_id)
            for dag_id in dag_ids
            for run_id, run_after in dag_runs(session, dag_id, MOST_RUNS)
        }
        stores.append(RunsOfStore(location, dag_ids, lines, trends(lines), links, note))
    return HTMLResponse(fill("runs.html", stores=stores))


def _lines(location: str) -> tuple[list[Line], str]:
    """The runs of a store, or why this process does not see them."""
    if not _is_here(location):
        return [], "The store is in a bucket, which this page does not read"
    try:
        lines = overview(Store(location), list(TASKS))
    except (CofiError, OSError) as error:
        return [], f"The store cannot be read: {error}"
    return lines, "" if lines else "This server sees no run in this folder"


def look_up(
    session: SessionDep, dags: Readable, store: Text, name: Annotated[Text, Query(alias="id")]
) -> HTMLResponse:
    """A user, or items by id or title, in the run that readers of a store use now."""
    if not _is_here(store) or store not in _stores(session, dags):
        return message("No such store", f"No run that you may read has used {store}.")
    from cofi_jobs.report.look_up import cards_of  # here: it imports what reads tables

    try:
        cards = cards_of(Store(store), name)
    except CofiError as error:
        return message("Not readable", str(error), 500)
    return HTMLResponse(fill("look_up.html", store=store, name=name, cards=cards))


def dag_run_link(dag_id: str, run_id: str) -> str:
    """The address of a run in Airflow's UI, as a link of these pages, which are one level below."""
    return f"../dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


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
    """A report, with whether readers use its run now, and links to look-ups."""
    try:
        html = path.read_text(encoding="utf-8")
    except OSError:
        return message(
            "No report here", f"There is no {path}: the run has been removed, or has no report."
        )
    store = Store(path.parents[3])
    state, _ = state_of(store, path.parts[-3], list(TASKS))
    served = fill("served.html", state=state, colour=colour_of(state), store=store.location)
    return HTMLResponse(html.replace(SERVED, served, 1))


def _may_read(dag_id: str, request: Request, user: GetUserDep) -> bool:
    try:
        requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=dag_id)(request, user)
    except HTTPException:
        return False
    return True


def _handed_on(session: Session, dag_id: str, run_id: str | None = None) -> list[Path]:
    """Paths of reports that runs of a DAG have handed on, the newest first."""
    return [
        path
        for value in handed_on(session, dag_id, TASK_ID, run_id, MOST_RUNS)
        if (path := report_path(value))
    ]


def _address(session: Session, dag_id: str, run_id: str) -> str | None:
    """Where the report of a DAG run is, if it is in a bucket, which this process cannot read."""
    paths = [
        str(value.get("path", ""))
        for value in handed_on(session, dag_id, TASK_ID, run_id, MOST_RUNS)
        if isinstance(value, dict)
    ]
    return next((path for path in paths if "://" in path), None)


def _is_here(store: str) -> bool:
    """Whether this process can read a store: the credentials of buckets are with the workers."""
    return Path(store).is_absolute()


def _stores(session: Session, dags: list[str]) -> dict[str, list[str]]:
    """The stores of the runs of these DAGs, each with the DAGs that have used it.

    Also those in buckets, by their addresses. Runs of older versions tell by their reports alone.
    """
    stores: dict[str, list[str]] = {}
    for dag_id in dags:
        named = map(str, handed_on(session, dag_id, FIRST_TASK, None, MOST_RUNS, STORE_KEY))
        reported = [str(path.parents[3]) for path in _handed_on(session, dag_id)]
        for store in dict.fromkeys([*named, *reported]):
            stores.setdefault(store, []).append(dag_id)
    return stores
