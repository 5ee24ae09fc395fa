"""What a tuning found."""

from typing import Any

import pandas as pd

from cofi_jobs.cli.show.tables import draw, interval, new_console, number, signed
from cofi_jobs.store.store import Store


def tuning(outcome: dict[str, Any], store: Store) -> None:
    """Settings and measures before and after a tuning, and whether later runs use the settings."""
    console = new_console()
    trials = " and ".join(
        f"{n} trials of the {model} model" for model, n in outcome["trials"].items()
    )
    settings = pd.DataFrame(
        [
            (name, f"{outcome['before'][name]:.4g}", f"{value:.4g}")
            for name, value in outcome["found"].items()
        ],
        columns=["setting", "before", "after"],
    )
    console.print(draw(settings, f"run {outcome['run_key']}, {trials}", ("setting",)))
    measures = pd.DataFrame(
        [
            (
                f"{name} ({m['better']} is better)",
                *(number(m["before"]), number(m["after"]), signed(m["difference"])),
                interval(m["low"], m["high"], "+"),
            )
            for name, m in outcome["measures"].items()
        ],
        columns=["measure", "before", "after", "difference", "of difference"],
    )
    title = (
        f"{outcome['held_out_ratings']:,} ratings that tuning never saw, "
        "with 95 % intervals over users"
    )
    console.print(draw(measures, title, ("measure",)))
    if outcome["written"]:
        console.print(f"the next runs use {store.shown(store.tuned_file)}", soft_wrap=True)
    else:
        console.print("no better settings: the next runs use what they used", soft_wrap=True)
