"""The runs' reports inside Airflow's UI: a tab of each DAG run, and a menu page of all runs.

Every process of Airflow loads plugins, so only the names are made here. The app is made at its
first request.
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "cofi"  # without a slash in the links, which are relative to where Airflow's UI is served


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI app of report_pages.py, imported when it is first needed."""
    from cofi_jobs.airflow_integration.report_pages import pages

    await pages()(scope, receive, send)


class CofiReport(AirflowPlugin):
    """What Airflow looks for."""

    name = "cofi_report"
    fastapi_apps = [{"app": app, "url_prefix": f"/{PREFIX}", "name": "CoFi reports"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "CoFi report",
            "href": f"{PREFIX}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "cofi-report",
        },
        {
            "name": "CoFi",
            "href": f"{PREFIX}/runs",
            "destination": "nav",
            "url_route": "cofi-reports",
        },
    ]
