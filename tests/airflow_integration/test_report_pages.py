"""The reports in Airflow: light to load, and links that lead to pages behind the login."""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.report.overview import Line, colour_of
from cofi_jobs.store.store import Store
from tests.support.repository import ROOT


def last_words(script: str, **variables: str) -> list[str]:
    """The last line that a script prints in a fresh process with its own Airflow home."""
    root = ROOT
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONPATH": str(root), **variables}
        shown = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=root,
        )
    return shown.stdout.splitlines()[-1].split()


def newly_imported(module: str, before: str = "sys") -> set[str]:
    """Packages that the import of a module brings into a fresh process."""
    script = f"import sys, {before}; before = set(sys.modules); import {module}; "
    return set(
        last_words(
            script + "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
        )
    )


@pytest.mark.slow
def test_the_plugin_is_light():
    """Every process of Airflow loads it."""
    assert newly_imported(
        "cofi_jobs.airflow_integration.plugin", before="airflow.plugins_manager"
    ) == {"cofi_jobs"}


@pytest.mark.slow
def test_pages_need_nothing_that_draws_or_computes():
    imported = newly_imported("cofi_jobs.airflow_integration.report_pages")
    assert {"airflow", "jinja2"} <= imported
    assert not imported & {"tensorflow", "duckdb", "pandas", "pyarrow", "matplotlib", "numpy"}


LINKS = """
import re
from urllib.parse import urljoin
from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient
from cofi_jobs.airflow_integration.plugin import CofiReport

def client_of(path=""):
    return TestClient(create_app(apps="core"), base_url="http://host", root_path=path)

def answers(client, path=""):
    base = re.search('<base href="(.*?)"', client.get(path + "/").text)[1]
    links = [urljoin(base, view["href"]) for view in CofiReport.external_views]
    return [len(links), *(client.get(link).status_code for link in links)]
"""
BEHIND_THE_LOGIN = ["2", "401", "401"]  # two links; who is not logged in gets 401


@pytest.mark.slow
def test_links_lead_to_the_pages_where_airflow_is_served_below_a_path():
    """Airflow's UI resolves them against its own base."""
    statuses = last_words(
        LINKS + 'print(*answers(client_of("/airflow"), "/airflow"))',
        AIRFLOW__API__BASE_URL="http://host/airflow",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    assert statuses == BEHIND_THE_LOGIN


def ended_run(store: str, minute: int, state: str, reason: str = "") -> dict[str, Any]:
    """What a task hands on of a run that has ended, as Airflow keeps it."""
    key = f"2026-03-01T02-{minute:02}-00.000000Z"
    row = Line(
        key,
        key,
        state,
        colour_of(state),
        reason,
        None,
        None,
        None,
        None,
        2.0,
        "2 s",
        has_report=False,
    )
    return {"store": store, **asdict(row)}


@pytest.mark.slow
def test_the_page_of_all_runs_has_every_store_that_a_run_has_named(tmp_path: Path):
    """Also one whose first night failed, one that is damaged, and one in a bucket."""
    stores = {name: Store(tmp_path / name).create() for name in ("failed", "damaged", "foreign")}
    failure = {"error": "no such column", "permanent": True}
    stores["failed"].records.write_failure("2026-03-01T02-00-00.000000Z", "ingest", failure)
    (stores["damaged"].root / "order.json").write_text("{")
    bucket = "s3://bucket/books"
    runs = [
        *((str(stores[name].root), None) for name in ("failed", "damaged")),
        (bucket, ended_run(bucket, 2, "current")),
        (bucket, ended_run(bucket, 3, "current (forced)")),
        (bucket, ended_run(bucket, 4, "failed in train", "J is not finite")),
        (bucket, ended_run("s3://bucket/films", 5, "failed in evaluate")),
    ]
    script = """if True:
        import json
        from datetime import UTC, datetime
        from airflow import settings
        from airflow.models import import_all_models
        from airflow.models.base import Base
        from airflow.models.dagrun import DagRun
        from airflow.models.xcom import XComModel
        from sqlalchemy import text
        from cofi_jobs.airflow_integration import RUN_KEY, STORE_KEY
        from cofi_jobs.airflow_integration.report_pages import all_runs
        import_all_models()
        Base.metadata.create_all(settings.engine)
        time = datetime(2026, 3, 1, 2, tzinfo=UTC)
        with settings.Session() as session:  # nothing is committed: the runs have no DAG, no task
            session.execute(text("PRAGMA defer_foreign_keys = ON"))
            for n, (store, ended) in enumerate(STORES):
                session.add(DagRun(dag_id="books", run_id=f"r{n}", run_type="manual",
                                   run_after=time.replace(minute=n), state="failed"))
                session.flush()
                for key, value in ((STORE_KEY, store), (RUN_KEY, ended)):
                    XComModel.set(key, value, dag_id="books", task_id="ingest", run_id=f"r{n}",
                                  serialize=False, session=session)
            print(json.dumps(all_runs(session, ["books"]).body.decode()))
        """
    page = json.loads(" ".join(last_words(script.replace("STORES", repr(runs)))))
    for store, _ in runs:
        assert f"Store {store}</h2>" in page
    assert str(stores["foreign"].root) not in page
    assert "failed in ingest" in page
    assert "no such column" in page
    assert '<a data-outer href="../dags/books/runs/r0">' in page
    assert "The store cannot be read: " in page
    in_bucket = page.partition("Store s3://bucket/books")[2].partition("</section>")[0]
    assert "cofi runs --store &#39;s3://bucket/books&#39;" in in_bucket
    states = re.findall(r'<span class="badge (\w+)">(.*?)</span>', in_bucket)
    assert states == [
        ("refused", "failed in train"),
        ("forced", "current (forced)"),
        ("passed", "published"),
    ]
    assert "J is not finite" in in_bucket
    assert "<form" not in in_bucket
    assert '<a data-outer href="../dags/books/runs/r4">' in in_bucket


@pytest.mark.slow
def test_reports_are_for_those_who_may_read_the_runs_of_the_dag():
    """Who may see plugins and another DAG gets none of them; each user those of their own DAGs.

    The links lead to the pages here too, where Airflow is served without a path.
    """
    script = """if True:
        from airflow import settings
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from airflow.models.base import Base
        from airflow.models.dag import DagModel, DagTag
        from airflow.models.dagbundle import DagBundleModel
        from airflow.utils.session import create_session
        client = client_of()
        Base.metadata.create_all(settings.engine)
        with create_session() as session:
            session.add(DagBundleModel(name="b"))
            session.flush()
            for dag_id, tag in (("cofi_nightly", "cofi"), ("books", "cofi"), ("other", "mine")):
                session.add(DagModel(dag_id=dag_id, bundle_name="b"))
                session.flush()
                session.add(DagTag(name=tag, dag_id=dag_id))
        pages = ["run?run_id=x", "run?run_id=x&dag_id=other", "run?run_id=x&dag_id=books", "runs",
                 "report?store=/x&run_key=k", "look-up?store=/x&id=1"]
        words = answers(client)
        for name in ("other", "cofi_nightly", "books", "other-and-cofi_nightly"):
            user = SimpleAuthManagerUser(username=name, role="viewer")
            headers = {"Authorization": "Bearer " + get_auth_manager().generate_jwt(user)}
            plugins = client.get("/api/v2/plugins", headers=headers).status_code
            codes = [client.get("/cofi/" + page, headers=headers).status_code for page in pages]
            words += [name, plugins, *codes]
        print(*words)
        """
    statuses = last_words(
        LINKS + script,
        AIRFLOW__API__BASE_URL="http://host",
        AIRFLOW__API_AUTH__JWT_SECRET="for this test only, and long enough",
        AIRFLOW__CORE__AUTH_MANAGER="tests.support.auth_manager.ByDag",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    assert statuses == [
        *BEHIND_THE_LOGIN,
        *("other", "200", "403", "403", "403", "403", "403", "403"),
        *("cofi_nightly", "200", "404", "403", "403", "200", "404", "404"),
        *("books", "200", "403", "403", "404", "200", "404", "404"),
        *("other-and-cofi_nightly", "200", "404", "404", "403", "200", "404", "404"),
    ]
