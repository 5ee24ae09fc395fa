"""The reports in Airflow: light to load, and links that lead to pages behind the login."""

import os
import subprocess
import sys
import tempfile

import pytest

from tests.support.repository import ROOT


def last_words(script: str, **variables: str) -> list[str]:
    """The last line that a script prints in a fresh process with its own Airflow home."""
    root = ROOT
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONPATH": str(root), **variables}
        shown = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
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


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "/airflow"])
def test_links_lead_to_the_pages_wherever_airflow_is_served(path: str):
    """Airflow's UI resolves them against its own base; not logged in, the pages answer 401."""
    script = """if True:
        import re
        from urllib.parse import urljoin
        from airflow.api_fastapi.app import create_app
        from starlette.testclient import TestClient
        from cofi_jobs.airflow_integration.plugin import CofiReport
        client = TestClient(create_app(apps="all"), base_url="http://host", root_path="PATH")
        base = re.search('<base href="(.*?)"', client.get("PATH/").text)[1]
        links = [urljoin(base, view["href"]) for view in CofiReport.external_views]
        print(len(links), *(client.get(link).status_code for link in links))
        """
    statuses = last_words(
        script.replace("PATH", path),
        AIRFLOW__API__BASE_URL=f"http://host{path}",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    assert statuses == ["2", "401", "401"]
