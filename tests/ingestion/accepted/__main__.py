"""Writes the table of the document."""

from tests.ingestion.accepted.table import write

write()
