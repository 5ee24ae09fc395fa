"""What each task reads and writes, for Airflow's listeners of lineage such as OpenLineage."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# Folders below the store. `*` stands for the run: in a catalogue a table keeps its name from night to night.
READS: dict[str, tuple[str, ...]] = {
    "ingest": ("landing",),
    "normalize": ("ratings", "catalogue"),
    "train": ("runs/*/normalized",),
    "similar_items": ("runs/*/model", "lists"),
    "recommend": ("runs/*/normalized", "runs/*/model", "lists"),
    "evaluate": ("runs/*/normalized", "runs/*/trial"),
    "report": (
        "rejected",
        "runs/*/normalized",
        "runs/*/training",
        "runs/*/model",
        "runs/*/similar_items",
        "runs/*/recommendations",
        "runs/*/evaluation",
    ),
    "publish": (
        "runs/*/model",
        "runs/*/similar_items",
        "runs/*/recommendations",
        "runs/*/popular_items",
        "runs/*/evaluation",
    ),
    "deliver": ("current/similar_items", "current/recommendations", "current/popular_items"),
}
WRITES: dict[str, tuple[str, ...]] = {
    "ingest": ("ratings", "rejected"),
    "normalize": ("runs/*/normalized",),
    "train": ("runs/*/trial", "runs/*/model", "runs/*/training"),
    "similar_items": ("runs/*/similar_items",),
    "recommend": ("runs/*/recommendations", "runs/*/popular_items"),
    "evaluate": ("runs/*/evaluation",),
    "report": ("runs/*/report",),
    "publish": (
        "current/model",
        "current/similar_items",
        "current/recommendations",
        "current/popular_items",
        "current/evaluation",
    ),
    "deliver": (),
}


def report(task: str, store: str, outcome: Mapping[str, Any]) -> None:
    """Report the tables of a task that has ended well, those of databases, which its outcome names, too.

    Does nothing where no listener of lineage is switched on.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.lineage import get_hook_lineage_collector

    collector, context = get_hook_lineage_collector(), BaseHook()
    for uri in [*(_uri(store, folder) for folder in READS[task]), *outcome.get("reads", ())]:
        collector.add_input_asset(context, uri=uri)
    for uri in [*(_uri(store, folder) for folder in WRITES[task]), *outcome.get("writes", ())]:
        collector.add_output_asset(context, uri=uri)


def _uri(store: str, folder: str) -> str:
    """As AIP-60 names a file or an object. Airflow takes nothing but ASCII where its database is MySQL."""
    scheme, _, place = store.rpartition("://")
    return f"{scheme or 'file'}://" + quote(f"{place.rstrip('/')}/{folder}", safe="/*")
