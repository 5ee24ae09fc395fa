"""Better settings for the store `COFI_STORE`, once a week. docs/airflow.md: DAGs of your own."""

from cofi_jobs.airflow_integration import tune_dag

tune_dag("cofi_tune")
