"""The command line: `cofi` or `python -m cofi_jobs`.

It runs tasks without Airflow and shows what is in a store. This room may use every other room but
`airflow_integration`. It draws what other rooms compute and computes nothing itself.
"""
