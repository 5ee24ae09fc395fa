"""What every room may use.

It holds errors that a person can act on, ids, the rating scale, the types that travel between rooms
(`Ratings`, `Factors`), arrays, threads, progress, credentials, and a session with PostgreSQL. This
room imports no other room. Nothing that knows a task, a setting or a path of the store belongs
here.
"""
