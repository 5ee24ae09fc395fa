"""Alerts: a task has failed, or a run is late.

An alert is always written to the log. It also goes to Slack and by e-mail if Airflow has the
connection for it.
"""

import html
import logging
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowTaskTimeout
from asgiref.sync import sync_to_async

log = logging.getLogger(__name__)

SLACK = "cofi_slack"  # a connection of type "Slack Incoming Webhook"
MAIL = "cofi_mail"  # a connection of type "SMTP"; {"to": ...} in its extra


def task_failed(context: Any) -> None:
    """Send an alert that a task has failed for good: run, task, reason, and where its log is."""
    ti, reason = context["ti"], reason_of(context.get("exception"))
    _alert(f"{ti.dag_id}: {ti.task_id} failed in run {ti.run_id}", reason, ti.log_url)


def reason_of(error: BaseException | str | None) -> str:
    """Why a task has failed, in words."""
    if isinstance(error, AirflowTaskTimeout):
        return "it took longer than its execution_timeout"
    return str(error or "it ended without an error of its own, as when it is killed")


async def run_late(context: Any, minutes: float) -> None:
    """Send an alert that a run has not ended in time. The run goes on.

    A deadline also passes for runs that have failed, and for runs that wait for another one, of
    which its own alert tells. This runs in the triggerer: of the two places where Airflow 3.3 can
    run it, only the triggerer may read connections.
    """
    run = context["dag_run"]
    if run["state"] != "running":
        log.info("run %s is %s, so it is not late", run["dag_run_id"], run["state"])
        return
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    url = f"{base_url}/dags/{run['dag_id']}/runs/{quote(run['dag_run_id'])}"
    reason = f"it is running, expected its end within {minutes:g} minutes of {run['queued_at']}"
    await sync_to_async(_alert)(f"{run['dag_id']}: run {run['dag_run_id']} is late", reason, url)


def _alert(subject: str, reason: str, url: str) -> None:
    log.error("%s: %s; log: %s", subject, reason, url)
    for connection_id, send in ((SLACK, _slack), (MAIL, _mail)):
        try:
            connection = Connection.get(connection_id)
        except AirflowNotFoundException:
            continue
        try:
            send(connection, subject, reason, url)
        except Exception:  # the failure of the run is what matters
            log.exception("the alert could not be sent by the connection %s", connection_id)


def _slack(connection: Connection, subject: str, reason: str, url: str) -> None:
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    text = html.escape(f"{subject}\n{reason}", quote=False)  # Slack's own rule for &, < and >
    SlackWebhookHook(slack_webhook_conn_id=connection.conn_id).send_text(f"{text}\n<{url}|log>")


def _mail(connection: Connection, subject: str, reason: str, url: str) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    body = f'<p>{html.escape(reason)}</p><p><a href="{html.escape(url)}">{html.escape(url)}</a></p>'
    with SmtpHook(smtp_conn_id=connection.conn_id) as server:
        server.send_email_smtp(to=connection.extra_dejson["to"], subject=subject, html_content=body)
