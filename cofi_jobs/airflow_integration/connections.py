"""The store, databases and a Ray cluster through Airflow connections.

The task that needs a connection looks it up in its own process, never while a DAG is parsed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from cofi_jobs.core.credentials import CONNECTION
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.store.open import scheme_of
from cofi_jobs.tasks.declaration import Credential, Task

RAY_PORT = 6379  # where `ray start --head` listens
FOLDER_TYPES = ("fs", "file", "generic")
# Extra fields of connections to buckets, each with the same option of s3fs or gcsfs, if any.
EXTRAS = {
    "aws": {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_session_token": "token",
        "endpoint_url": "endpoint_url",
        "profile_name": "profile",
        "config_kwargs": "config_kwargs",
        "region_name": "client_kwargs.region_name",
        "verify": "client_kwargs.verify",
        "path": "",
    },
    "google_cloud_platform": {
        "keyfile_dict": "token",
        "key_path": "token",
        "project": "project",
        "endpoint_url": "endpoint_url",
        "scope": "",
        "num_retries": "",
        "path": "",
    },
}
# What the path of a store starts with; else a folder.
PLACES = {
    "aws": ("s3://",),
    "google_cloud_platform": ("gs://",),
    "generic": ("/", "s3://", "gs://"),
}
LOGINS = {"aws": ("key", "secret")}
# Extra fields that are Airflow's own; the others are libpq's parameters, such as sslmode.
NOT_LIBPQ = (
    "cursor",
    "iam",
    "redshift",
    "aws_conn_id",
    "region_name",
    "sqlalchemy_scheme",
    "sqlalchemy_query",
)


def resolve(store: str) -> tuple[str, dict[str, Any]]:
    """Location of a store, and the options of its file system, from a folder or "connection:<id>".

    Raises SettingsError for a relative path, and if there is no such connection or it names no
    store that CoFi can use. The message shows nothing of the connection but its type.
    """
    check_store(store)
    if not store.startswith(CONNECTION):
        return store, {}
    name = store.removeprefix(CONNECTION)
    connection = _get(name, "the store")
    options = _options(connection, (*FOLDER_TYPES, *EXTRAS))
    # Of a URI such as file:///srv/cofi Airflow makes the schema srv/cofi.
    schema = f"/{connection.schema}" if connection.schema and not connection.host else ""
    path = connection.extra_dejson.get("path", "") or schema
    if not path.startswith(PLACES.get(connection.conn_type or "", ("/",))):
        raise SettingsError(
            f"connection {name!r} names no folder, expected an absolute path in its extra "
            "field 'path', or the URI file:///<path>; in a bucket s3://<bucket>/<folder> or "
            "gs://<bucket>/<folder>"
        )
    return path, options


def check_store(store: str) -> None:
    """Raises SettingsError for a relative path, and for an address that cannot be a store."""
    if store.startswith(CONNECTION):
        return
    if scheme_of(store) is None and not Path(store).is_absolute():
        raise SettingsError(
            f"found the store {store!r}, expected an absolute path, s3://<bucket>/<folder>, "
            f"gs://<bucket>/<folder> or {CONNECTION}<id>: each process of Airflow would take a "
            "relative path from a folder of its own"
        )


def variables(task: Task, params: Mapping[str, Any]) -> dict[str, str]:
    """What a task needs of connections: addresses and options, by the variable for its process.

    Raises SettingsError as `resolve` does.
    """
    return {
        credential.variable: _secret(credential, params[credential.setting])
        for credential in task.credentials
        if credential.names_connection(params.get(credential.setting))
    }


def _secret(credential: Credential, name: str) -> str:
    """What a connection holds, as the variable of a task has it."""
    if credential.kind == "database":
        return _address(name)
    if credential.kind == "cluster":
        return json.dumps(_cluster(name.removeprefix(CONNECTION)))
    connection = _get(name, "the source of files")
    return json.dumps(_options(connection, (*EXTRAS, "generic")))


def _options(connection: Connection, types: tuple[str, ...]) -> dict[str, Any]:
    """Options of fsspec's file system from a connection; `generic` has fsspec's own names."""
    name, kind, extra = connection.conn_id, connection.conn_type, dict(connection.extra_dejson)
    if kind not in types:
        raise SettingsError(
            f"connection {name!r} has the type {kind!r}, expected one of {', '.join(types)}"
        )
    login = dict(
        zip(
            LOGINS.get(kind, ("username", "password")),
            (connection.login, connection.password),
            strict=True,
        )
    )
    options: dict[str, Any] = {key: value for key, value in login.items() if value}
    for key, value in extra.items():
        key = key.removeprefix("extra__google_cloud_platform__")
        if kind in EXTRAS and key not in EXTRAS[kind]:
            raise SettingsError(
                f"connection {name!r} has the extra field {key!r}, expected some of "
                f"{', '.join(EXTRAS[kind])}"
            )
        option = EXTRAS[kind][key] if kind in EXTRAS else ("" if key == "path" else key)
        if option.startswith("client_kwargs."):
            options.setdefault("client_kwargs", {})[option.partition(".")[2]] = value
        elif option and value not in (None, ""):
            options[option] = (
                json.loads(value) if key == "keyfile_dict" and isinstance(value, str) else value
            )
    return options


def _address(name: str) -> str:
    """A PostgreSQL connection as libpq's URI."""
    connection = _get(name, "the database")
    if connection.conn_type != "postgres":
        raise SettingsError(
            f"connection {name!r} has the type {connection.conn_type!r}, expected postgres"
        )
    login = ":".join(
        quote(part or "", safe="") for part in (connection.login, connection.password)
    ).rstrip(":")
    host = quote(connection.host or "", safe="[:]") + (
        f":{connection.port}" if connection.port else ""
    )
    extra = {key: value for key, value in connection.extra_dejson.items() if key not in NOT_LIBPQ}
    database = quote(connection.schema or "", safe="")
    return (
        f"postgresql://{login}{'@' if login else ''}{host}/{database}"
        f"{'?' if extra else ''}{urlencode(extra, quote_via=quote)}"
    )


def _cluster(name: str) -> dict[str, str]:
    """Address of a Ray cluster and, as `token`, the connection's password."""
    connection = _get(name, "the Ray cluster")
    if not connection.host:
        raise SettingsError(f"connection {name!r} has no host, expected that of the Ray cluster")
    address = f"{connection.host}:{connection.port or RAY_PORT}"
    token = {"token": connection.password} if connection.password else {}
    return {"address": address, **token}


def _get(name: str, what: str) -> Connection:
    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        raise SettingsError(
            f"found no readable Airflow connection {name!r}, expected one that says where {what} "
            f"is (in the UI under Admin, Connections, or in AIRFLOW_CONN_{name.upper()})"
        ) from None
