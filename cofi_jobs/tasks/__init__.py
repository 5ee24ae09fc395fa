"""The tasks of a run, one module each.

A task reads tables, calls the functions of other rooms, and writes tables. `registry.py` declares
every task once; `declaration.py` says what follows from the declarations. `runner.py` is what each
task is wrapped in: locks, log lines, the outcome. This room may use every room but `cli` and
`airflow_integration`. No formula, no row rule and no path belongs here.
"""
