"""From factors to lists.

It holds the exact top-k, the filters that say which items may be shown, re-ranking for diversity
and groups, and explanations. The functions take and return arrays. This room uses `model` (the
solution of a user's row), `settings` and `core`. It knows no store: a task reads the factors and
writes the lists.
"""
