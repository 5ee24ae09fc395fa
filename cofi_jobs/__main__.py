"""`python -m cofi_jobs`: the command line as a process of its own."""

import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and end the process, with what is written written."""
    from cofi_jobs.cli.app import main

    code: object = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would first take everything apart that was imported: a second for TensorFlow.
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    run()
