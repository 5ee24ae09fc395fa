"""Looks for damaged files in the store `COFI_STORE`, once a week. docs/airflow.md says more."""

from cofi_jobs.airflow_integration import verify_dag

verify_dag("cofi_verify")
