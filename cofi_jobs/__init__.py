"""CoFi: a nightly collaborative-filtering recommender.

Start with `README.md`. `docs/architecture.md` is the map of the rooms below this package. The
contracts of import-linter in `pyproject.toml` check which room may import which.
"""
