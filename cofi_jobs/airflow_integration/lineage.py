"""What a task has read and written, for Airflow's listeners of lineage such as OpenLineage.

`*` in a name stands for the run: in a catalogue a table keeps its name from run to run.
"""

import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from cofi_jobs.tasks.declaration import Task


def report(task: Task, store: str, outcome: Mapping[str, Any]) -> None:
    """Report the tables of a task that has ended well.

    Does nothing if no listener of lineage is switched on.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.lineage import get_hook_lineage_collector

    collector, context = get_hook_lineage_collector(), BaseHook()
    for uri in inputs(task, store, outcome):
        collector.add_input_asset(context, uri=uri)
    for uri in outputs(task, store, outcome):
        collector.add_output_asset(context, uri=uri)


def inputs(task: Task, store: str, outcome: Mapping[str, Any]) -> list[str]:
    """What a task has read: folders of the store, and what else its outcome names."""
    return [*(_uri(store, folder) for folder in task.reads), *outcome.get("reads", ())]


def outputs(task: Task, store: str, outcome: Mapping[str, Any]) -> list[str]:
    """What a task has written, as in `inputs`."""
    return [*(_uri(store, folder) for folder in task.writes), *outcome.get("writes", ())]


def store_uri(store: str) -> str:
    """The name that AIP-60 gives a store, in ASCII, the same for all spellings of a folder."""
    scheme, separator, place = store.rpartition("://")
    if separator and scheme != "file":
        return f"{scheme}://{quote(place.rstrip('/'))}"
    folder = unquote(urlsplit(store).path) if separator else store
    return "file://" + quote(posixpath.normpath(folder))


def _uri(store: str, folder: str) -> str:
    """The name of a folder of the store, in ASCII, which MySQL asks for."""
    return f"{store_uri(store)}/{quote(folder, safe='/*')}"
