"""The assets of stores: what starts downstream DAGs, and what keeps two DAGs off one store."""

import gc
import os
from urllib.parse import quote, unquote
from weakref import WeakValueDictionary

from airflow.sdk import DAG, Asset

from cofi_jobs.airflow_integration.lineage import store_uri
from cofi_jobs.core.credentials import CONNECTION
from cofi_jobs.core.errors import SettingsError

# The DAG of each store, of those that this process has made and somebody still holds.
_dag_of: WeakValueDictionary[str, DAG] = WeakValueDictionary()


def store_asset(location: str) -> Asset:
    """The asset that each publication in a store updates: `Asset("file:///srv/books")`."""
    return Asset(store_uri(location))


def same_store(one: str, other: str) -> bool:
    """Whether two ways to name a store name one; a connection is the same as itself alone."""
    return _identity(one) == _identity(other)


def claim(dag: DAG, store: str) -> Asset:
    """The asset by which a DAG has a store to itself, for the inlets of its first task.

    In one process, such as the one that parses a file, a second DAG on the store is refused at
    once. Of DAGs in two files Airflow sees two names for one URI: it warns of the second DAG, and
    its first task does not start. Raises SettingsError.
    """
    uri = _identity(store)
    other = _dag_of.get(uri)
    if other is not None and other.dag_id != dag.dag_id:
        del other
        gc.collect()  # it may be the former DAG of a file that is parsed again
        other = _dag_of.get(uri)
    if other is not None and other.dag_id != dag.dag_id:
        raise SettingsError(
            f"found the DAGs {other.dag_id} and {dag.dag_id} on one store, {store}; expected a "
            "store for each"
        )
    _dag_of[uri] = dag
    return Asset(name=f"store of {dag.dag_id}", uri=f"x-cofi-store:{uri}")


def _identity(store: str) -> str:
    """A URI for a store, the same for each link to a folder.

    Tasks alone resolve connections: there the name stands.
    """
    if store.startswith(CONNECTION):
        return f"connection:{quote(store.removeprefix(CONNECTION), safe='')}"
    uri = store_uri(store)
    scheme, _, place = uri.partition("://")
    return store_uri(os.path.realpath(unquote(place))) if scheme == "file" else uri
