"""Where data lies, and how it gets there whole.

It holds the layout of a store, the records in it, atomic writes, locks, the batches of ratings and
their compaction, the schemas of the tables, DuckDB connections, and the reader of published runs. A
store in a bucket works through this room too: its objects, its lease, and the remote store that
keeps a local copy. This room uses `settings` and `core`. No other room builds a path below a store.
What a table means, and how its rows are computed, belongs elsewhere.
"""
