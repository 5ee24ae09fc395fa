"""Everything that imports Airflow.

It holds what the DAGs share, the child process in which a task runs, connections, alerts, lineage,
and the pages that show reports. A child process starts the command line; else this room may use
every other room but `cli`. No other room imports Airflow. What a task does belongs in `tasks`, so
that every task also runs without Airflow.
"""
