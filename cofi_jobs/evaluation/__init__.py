"""How good a model is, and whether a run may be published.

It holds the split into train and test ratings, the metrics and their intervals, the baselines, and
the gate. The functions take and return arrays and records. This room uses `ranking`, `model`,
`settings` and `core`. It knows no store: a task reads the tables and writes the result.
"""
