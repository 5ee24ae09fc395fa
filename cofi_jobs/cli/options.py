"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="COFI_STORE",
        help="Folder of the store, or s3://<bucket>/<folder>, gs://...",
    ),
]
KeyOption = Annotated[
    str, typer.Option("--run-key", help="Name of the run; the tasks of a run have the same.")
]
NewKeyOption = Annotated[
    str, typer.Option("--run-key", help="Name of the run; the time in UTC if left out.")
]
PublishedOption = Annotated[
    str, typer.Option("--run-key", help="A published run; the current one if left out.")
]
EvaluatedOption = Annotated[
    str, typer.Option("--run-key", help="A run to evaluate now; the newest table if left out.")
]
LatestOption = Annotated[
    str, typer.Option("--run-key", help="The run whose task this is; the current one if left out.")
]
NightOption = Annotated[
    str,
    typer.Option(
        "--run-key",
        help="The run whose task this is. What is delivered is what readers use, always.",
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; repeatable.")
]
RatingsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--ratings",
        help="File of ratings or folder of its parts, read beside the landing folder; repeatable.",
    ),
]
MoreRatings = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="More files of ratings.")
]
ItemsOption = Annotated[
    Path | None,
    typer.Option(
        "--items", help="Catalogue with titles and groups of the items, kept in the store."
    ),
]
