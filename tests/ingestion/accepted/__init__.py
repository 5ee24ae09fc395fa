"""What ingest accepts: cases by kind, each of them a test and a line in docs/operating.md.

After a change, `python -m tests.ingestion.accepted` writes the table of the document anew.
"""
