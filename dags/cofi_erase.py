"""The form that erases users from the store `COFI_STORE`. docs/airflow.md: DAGs of your own."""

from cofi_jobs.airflow_integration import erase_dag

erase_dag("cofi_erase")
