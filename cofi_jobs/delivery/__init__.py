"""The lists of a published run as tables in PostgreSQL.

`tables.py` says which tables there are and reads their rows from a run; `target.py` holds the SQL
that loads them and swaps them in. This room uses `store` and `core`. The task `deliver` decides
which run is delivered; nothing here reads settings or the environment.
"""
