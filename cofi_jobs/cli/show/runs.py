"""The runs of a store."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cofi_jobs.cli.show.tables import draw, new_console, number
from cofi_jobs.core.errors import cut
from cofi_jobs.store.status import measure_names, rmse_of, runs_begun, state_of
from cofi_jobs.store.store import Store

COLUMNS = ["run", "state", "ratings", "RMSE", "NDCG"]
LONGEST_REASON = 500  # characters


def runs(store: Store, tasks: Sequence[str]) -> None:
    """All runs of a store: how far they came and why, how good they are, which one readers use.

    `tasks` are the tasks of a run in their order.
    """
    rows, notes = [], []
    for key in runs_begun(store):
        state, reason = state_of(store, key, tasks)
        rows.append((key, state, *_numbers(store.manifest(key))))
        if reason:
            notes.append(f"{key} {state}: {cut(reason.splitlines()[0], LONGEST_REASON)}")
    console, frame = new_console(), pd.DataFrame(rows, columns=COLUMNS)
    if store.records.feedback() == "events":
        frame = frame.drop(columns="RMSE").rename(columns={"ratings": "pairs"})
    console.print(draw(frame, store.location, ("run", "state")))
    for note in notes:
        console.print(note, soft_wrap=True)


def _numbers(manifest: dict[str, Any] | None) -> tuple[str, str, str]:
    """How many ratings, RMSE and NDCG of a published run."""
    if manifest is None:
        return "", "", ""
    metrics = manifest["metrics"]
    ndcg = metrics["ranking"][measure_names(metrics)["ndcg"]]
    rmse = rmse_of(metrics)
    n_ratings = manifest["counts"]["normalize"]["n_ratings"]
    return f"{n_ratings:,}", "" if rmse is None else number(rmse), number(ndcg)
