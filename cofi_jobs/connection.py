"""The store through an Airflow connection. Only the DAG uses this: the rest of CoFi works without Airflow.

A connection is looked up by the task that needs it, in its own process, never while a DAG is parsed.
"""

from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from cofi_jobs.errors import SettingsError

PREFIX = "connection:"
FOLDER_TYPES = ("fs", "file", "generic")


def resolve(store: str) -> tuple[str, dict[str, Any]]:
    """Location of a store, and the options of its file system, from a folder or "connection:<id>".

    Raises SettingsError if there is no such connection or it names no store that CoFi can use; the message shows
    nothing that the connection holds but its type.
    """
    if not store.startswith(PREFIX):
        return store, {}
    name = store.removeprefix(PREFIX)
    try:
        connection = Connection.get(name)
    except AirflowNotFoundException:
        raise SettingsError(
            f"found no readable Airflow connection {name!r}, expected one that says where the store is "
            f"(in the UI under Admin, Connections, or in AIRFLOW_CONN_{name.upper()})"
        ) from None
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
