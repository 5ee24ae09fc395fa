"""Options that several benchmarks have."""

from pathlib import Path
from typing import Annotated

import typer

SharedOption = Annotated[Path, typer.Option(help="Folder of the sets that no package has.")]
FolderOption = Annotated[
    Path, typer.Option(help="Where data and figures go.", envvar="BENCHMARK_FOLDER")
]
