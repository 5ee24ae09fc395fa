"""The DAG files in docs/airflow.md, as Airflow makes tasks, commands and pods of them.

Airflow runs in a process of its own: this file as a script.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.tasks.registry import TASKS
from tests.support.airflow import in_airflow
from tests.support.repository import ROOT, blocks

DOCUMENT = "docs/airflow.md"
FILES = ("dags", "reader", "kubernetes", "docker")


def examine(home: Path) -> dict[str, Any]:
    """What is in the DAG files of the document, and which files a bundle of the root has."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.dag_processing.importers import get_importer_registry
    from airflow.sdk import timezone

    bag = DagBag(home / "dags")
    nightly: Any = bag.dags["books_nightly"]
    train: Any = bag.dags["films_nightly"].task_dict["train"]
    music: Any = bag.dags["music_nightly"].task_dict
    run = type("Run", (), {"run_after": timezone.datetime(2026, 1, 2, 3, 4, 5)})
    return {
        "errors": bag.import_errors,
        "dags": {dag_id: Path(dag.fileloc).stem for dag_id, dag in bag.dags.items()},
        "timezone": nightly.timezone.name,
        "pod": _pod(train.executor_config["pod_override"]),
        "executor": train.executor,
        "commands": {
            name: task.render_template(
                task.command, {"dag_run": run, **task.dag.user_defined_macros}
            )
            for name, task in music.items()
        },
        "upstream": {name: sorted(task.upstream_task_ids) for name, task in music.items()},
        "files": sorted(
            str(Path(file).relative_to(ROOT))
            for file in get_importer_registry().list_dag_files(str(ROOT), safe_mode=True)
        ),
    }


def _pod(override: Any) -> dict[str, Any]:
    """The pod that KubernetesExecutor starts for a task with this override."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from airflow.sdk import timezone
    from kubernetes.client import models as k8s

    container = k8s.V1Container(name="base", image="shop/cofi:latest")
    made = PodGenerator.construct_pod(
        dag_id="films_nightly",
        task_id="train",
        pod_id="films-train",
        try_number=1,
        kube_image="shop/cofi:latest",
        date=timezone.datetime(2026, 1, 1),
        args=["airflow"],
        pod_override_object=override,
        base_worker_pod=k8s.V1Pod(spec=k8s.V1PodSpec(containers=[container])),
        namespace="airflow",
        scheduler_job_id="1",
        run_id="manual",
    )
    [task] = made.spec.containers
    return {"image": task.image, "args": task.args, **task.resources.to_dict()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("documents")
    (home / "dags").mkdir()
    for name in FILES:
        [code] = blocks(DOCUMENT, f"python {name}")
        (home / "dags" / f"{name}.py").write_text(code)
    module = "tests.airflow_integration.test_airflow_docs"
    settings = {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,KubernetesExecutor",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # the client of Kubernetes is large
    }
    return in_airflow(home, "-m", module, str(home), **settings)


def test_the_dags_of_the_document(made: Any) -> None:
    assert made["errors"] == {}
    assert made["dags"] == {
        **dict.fromkeys(["books_nightly", "books_tune", "books_verify", "books_erase"], "dags"),
        **{"books_are_out": "reader", "films_nightly": "kubernetes", "music_nightly": "docker"},
    }
    assert made["timezone"] == "Europe/Berlin"


def test_train_gets_a_pod_with_resources(made: Any) -> None:
    assert made["executor"] == "KubernetesExecutor"
    assert made["pod"]["image"] == "shop/cofi:latest"
    assert made["pod"]["args"] == ["airflow"]
    assert made["pod"]["requests"] == {"memory": "16Gi", "cpu": "8"}
    assert made["pod"]["limits"] == {"memory": "16Gi"}


def test_containers_run_the_commands_in_order(made: Any) -> None:
    key = "2026-01-02T03-04-05.000000Z"
    assert made["commands"] == {
        task: ["cofi", task.replace("_", "-"), "--run-key", key] for task in TASKS
    }
    assert made["upstream"]["publish"] == ["evaluate", "report"]
    assert made["upstream"]["ingest"] == []


def test_a_bundle_of_the_root_has_the_dag_files_alone(made: Any) -> None:
    assert made["files"] == sorted(f"dags/{path.name}" for path in (ROOT / "dags").glob("*.py"))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.json").write_text(json.dumps(examine(where)))
