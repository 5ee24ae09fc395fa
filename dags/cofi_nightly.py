"""The recommender of the store `COFI_STORE`, each night. docs/airflow.md: DAGs of your own."""

from airflow.sdk import Asset

from cofi_jobs.airflow_integration import recommender_dag

recommender_dag("cofi_nightly", assets=[Asset("cofi_recommendations")])
