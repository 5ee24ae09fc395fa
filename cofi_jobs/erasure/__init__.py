"""Removing users from a store, for good.

It holds the tombstones that keep erased users out, the removal of their rows from every table and
record, and the search that proves that nothing is left. This room uses `store`, `settings` and
`core`. It is the only room that changes a published run. Whoever adds a table that shows users
names the table here.
"""
