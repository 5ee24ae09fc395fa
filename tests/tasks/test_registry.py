"""A task is declared once: what follows from that, and a task added by the recipe."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cofi_jobs.tasks
from cofi_jobs.airflow_integration import lineage
from cofi_jobs.cli.app import command_line
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.schema import section
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import (
    Task,
    before,
    in_order,
    invalidated_by,
    nightly,
    required,
    runs_when_published,
    table,
)
from cofi_jobs.tasks.registry import DECLARED, TASKS
from cofi_jobs.tasks.runner import run_all, run_task
from tests.support import buckets
from tests.support.data import random_ratings, write_ratings
from tests.support.remote import put_store

# The module that the recipe in docs/architecture.md asks for.
MODULE = """
import pyarrow.parquet as pq

def run(store, settings, run_key):
    files = store.root.glob("ratings/batch=*/*.parquet")
    return {"rows": sum(pq.read_metadata(path).num_rows for path in files)}
"""


@pytest.fixture(params=["ingest", "publish"])
def audit(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Task]:
    """A task that counts accepted ratings, after ingest or publish: a module, a declaration."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "audit.py").write_text(MODULE)
    monkeypatch.setattr(cofi_jobs.tasks, "__path__", [*cofi_jobs.tasks.__path__, str(folder)])
    task = Task("audit", "Count the ratings.", reads=("ratings",), needs=(request.param,))
    monkeypatch.setitem(DECLARED, "audit", task)
    yield task
    sys.modules.pop("cofi_jobs.tasks.audit", None)
    vars(cofi_jobs.tasks).pop("audit", None)


def test_a_new_task_has_its_place_in_the_order_the_dag_and_the_table(audit: Task) -> None:
    [needed] = audit.needs
    order = [task.name for task in in_order(DECLARED)]
    assert order.index(needed) < order.index("audit")
    assert (order.index("audit") < order.index("publish")) == (needed == "ingest")
    assert ("audit" in before(DECLARED, "publish")) == (needed == "ingest")
    assert audit in nightly(DECLARED)
    assert "audit" in invalidated_by(DECLARED, "ingest")
    assert required(DECLARED, "audit")[-1] == needed
    assert "| `audit` | Count the ratings. | `ratings/` | nothing | " in table(DECLARED)


def test_a_new_task_has_its_lineage(audit: Task) -> None:
    assert lineage.inputs(audit, "s3://bucket/store", {}) == ["s3://bucket/store/ratings"]
    assert lineage.outputs(audit, "/srv/store", {"writes": ["postgres://host/a/b/c"]}) == [
        "postgres://host/a/b/c"
    ]


@pytest.mark.slow
def test_a_new_task_has_a_command_and_runs_with_the_others_in_a_folder(
    audit: Task, store: Store, quick: Settings
) -> None:
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_all(store, quick, "n1")
    assert store.required_outcome("n1", "audit")["rows"] == len(random_ratings())
    write_ratings(store.landing / "more.csv", random_ratings(seed=1))
    run_task("ingest", store, quick, "n2")
    for task in required(DECLARED, "audit")[1:]:
        run_task(task, store, quick, "n2")
    done = CliRunner().invoke(
        command_line(), ["audit", "--store", str(store.root), "--run-key", "n2"]
    )
    assert done.exit_code == 0, done.output
    both = len(random_ratings()) + len(random_ratings(seed=1))
    assert store.required_outcome("n2", "audit")["rows"] == both


@pytest.mark.slow
def test_a_new_task_sees_what_it_reads_in_a_bucket_when_the_cache_is_empty(
    audit: Task, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with buckets.s3() as options:
        place = buckets.place("s3", options, tmp_path / "audited")
        made = Store(tmp_path / "made").create()  # in a folder: in a bucket it would take longer
        write_ratings(made.landing / "ratings.csv", random_ratings())
        for task in required(DECLARED, "audit"):
            run_task(task, made, quick, "n1")
        put_store(place, made)
        monkeypatch.setenv("COFI_CACHE", str(tmp_path / "elsewhere"))
        elsewhere = open_store(place.address, options)
        outcome = run_task("audit", elsewhere, quick, "n1")
        assert outcome["rows"] == len(random_ratings())
        downloaded = {path.parent.name for path in (tmp_path / "elsewhere").rglob("*.parquet")}
        assert downloaded == {"batch=n1"}, "what it reads, and nothing else"


def test_what_comes_after_publish_runs_when_the_run_is_published(audit: Task) -> None:
    assert runs_when_published(DECLARED, "audit") == (audit.needs == ("publish",))


# ---- what follows from the declarations of today


def test_each_task_that_publish_requires_is_invalidated_by_the_tasks_before_it() -> None:
    for name in TASKS:
        later = {task for task in TASKS if name in required(DECLARED, task)}
        assert later <= invalidated_by(DECLARED, name)
        assert name not in invalidated_by(DECLARED, name)


def test_a_task_that_reads_what_another_writes_comes_after_it() -> None:
    for task in DECLARED.values():
        for other in DECLARED.values():
            if task is not other and {*task.reads} & {*other.writes} and task.every_run:
                assert TASKS.index(other.name) < TASKS.index(task.name)


def test_tasks_that_wait_for_each_other_are_refused() -> None:
    one, two = Task("one", "One.", needs=("two",)), Task("two", "Two.", needs=("one",))
    with pytest.raises(ValueError, match="one, two wait for each other"):
        in_order({"one": one, "two": two})


def test_each_setting_belongs_to_a_task_or_to_all() -> None:
    assert {section(name) for name in Settings.model_fields} <= {*DECLARED, "machine"}


def test_each_credential_is_a_setting_of_its_task() -> None:
    for task in DECLARED.values():
        named = [*(credential.setting for credential in task.credentials), task.only_with]
        assert {section(name) for name in named if name} <= {*task.sections}
