"""What a child process writes, as records of this process's log, which Airflow keeps."""

import logging
import re

log = logging.getLogger(__name__)

RECORD = re.compile(
    r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ([\w.]+): (.*)"
)  # as cli/app.py writes it
ERROR = "error: "  # how the command line begins the line that says why it failed


class ChildLog:
    """Takes the lines of one child; each record keeps the level and the logger that it had there.

    A line that is no record goes on with an error, as a traceback does. Else it is information,
    such as a table that a command prints.
    """

    def __init__(self) -> None:
        self._logger, self._level = log, logging.INFO

    def __call__(self, line: str) -> None:
        """Log a line."""
        if record := RECORD.fullmatch(line):
            level, name, line = record.groups()
            self._logger = logging.getLogger(name)
            self._level = logging.getLevelNamesMapping()[level]
        elif line.startswith((ERROR, "Traceback ")):
            self._logger, self._level = log, logging.ERROR
            line = line.removeprefix(ERROR)
        elif self._level < logging.ERROR:
            self._logger, self._level = log, logging.INFO
        self._logger.log(self._level, "%s", line)
