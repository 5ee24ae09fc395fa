"""Removing users from a store, for good.

It holds the tombstones that keep erased users out, the removal of their rows from every table and
record, and the search that proves that nothing is left. This room uses `ingestion` (the readers of
rating files), `store`, `settings` and `core`. It is the only room that changes a published run. How
a table is made belongs elsewhere; a table that shows users must be cleaned here.
"""
