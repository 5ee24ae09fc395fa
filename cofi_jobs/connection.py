"""The store and databases through Airflow connections. Only DAGs use this: the rest of CoFi works without Airflow.

A connection is looked up by the task that needs it, in its own process, never while a DAG is parsed.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from cofi_jobs.credentials import DATABASE, SOURCE_DATABASE
from cofi_jobs.errors import SettingsError

PREFIX = "connection:"
FOLDER_TYPES = ("fs", "file", "generic")
# Setting of each task that names the connection of a database, and the variable that the task takes its address from.
DATABASES = {"ingest": ("source_connection", SOURCE_DATABASE), "deliver": ("deliver_to", DATABASE)}
# Extra fields of a connection that are Airflow's own; the others are libpq's parameters, such as sslmode.
NOT_LIBPQ = ("cursor", "iam", "redshift", "aws_conn_id", "region_name", "sqlalchemy_scheme", "sqlalchemy_query")


def resolve(store: str) -> tuple[str, dict[str, Any]]:
    """Location of a store, and the options of its file system, from a folder or "connection:<id>".

    Raises SettingsError if there is no such connection or it names no store that CoFi can use; the message shows
    nothing that the connection holds but its type.
    """
    if not store.startswith(PREFIX):
        return store, {}
    name = store.removeprefix(PREFIX)
    connection = _get(name, "the store")
    if connection.conn_type not in FOLDER_TYPES:
        raise SettingsError(
            f"connection {name!r} has the type {connection.conn_type!r}, expected one of {', '.join(FOLDER_TYPES)}"
        )
    options = dict(connection.extra_dejson)
    # Of a URI such as file:///srv/cofi Airflow makes the schema srv/cofi.
    folder = options.pop("path", "") or (f"/{connection.schema}" if connection.schema and not connection.host else "")
    if not folder.startswith("/"):
        raise SettingsError(
            f"connection {name!r} names no folder, expected an absolute path in its extra field 'path', "
            "or the URI file:///<path>"
        )
    login = {"username": connection.login, "password": connection.password}
    return folder, options | {name: value for name, value in login.items() if value}


def databases(task: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The addresses of databases that a task needs, by the variable that its process takes them from.

    Raises SettingsError as `resolve` does.
    """
    setting, variable = DATABASES.get(task, ("", ""))
    return {variable: _address(params[setting])} if params.get(setting) else {}


def _address(name: str) -> str:
    """A PostgreSQL connection as libpq's URI."""
    connection = _get(name, "the database")
    if connection.conn_type != "postgres":
        raise SettingsError(f"connection {name!r} has the type {connection.conn_type!r}, expected postgres")
    login = ":".join(quote(part or "", safe="") for part in (connection.login, connection.password)).rstrip(":")
    host = quote(connection.host or "", safe="[:]") + (f":{connection.port}" if connection.port else "")
    extra = {key: value for key, value in connection.extra_dejson.items() if key not in NOT_LIBPQ}
    return (
        f"postgresql://{login}{'@' if login else ''}{host}/{quote(connection.schema or '', safe='')}"
        f"{'?' if extra else ''}{urlencode(extra, quote_via=quote)}"
    )


def _get(name: str, what: str) -> Connection:
    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        raise SettingsError(
            f"found no readable Airflow connection {name!r}, expected one that says where {what} is "
            f"(in the UI under Admin, Connections, or in AIRFLOW_CONN_{name.upper()})"
        ) from None
