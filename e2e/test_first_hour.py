"""A new user's first hour: `make ui`, a run by its form, the run's report, Ctrl-C."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import expect

from cofi_jobs.tasks.registry import TASKS
from tests.support.browser import chromium
from tests.support.checkout import Api, new_checkout
from tests.support.live import PATIENCE
from tests.support.ports import free_port
from tests.support.repository import ROOT

PICTURES = ROOT / "screenshots"
RUNS = "/api/v2/dags/cofi_nightly/dagRuns?run_type=manual"


def test_from_make_ui_to_a_green_run_and_its_report(tmp_path: Path) -> None:
    """On the sample of ratings that comes with it; the store has no run before."""
    checkout, port = new_checkout(tmp_path / "checkout"), free_port()
    PICTURES.mkdir(exist_ok=True)
    with checkout.making("ui", f"PORT={port}") as process, chromium() as browser:
        try:
            assert process.stdout is not None
            address = f"http://localhost:{port}"
            assert f"Airflow: {address} (Ctrl-C ends it)\n" in iter(process.stdout)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(1000 * PATIENCE)
            expect.set_options(timeout=1000 * PATIENCE)

            page.goto(address)
            page.get_by_role("link", name="Dags", exact=True).click()
            page.get_by_role("link", name="cofi_nightly", exact=True).first.click()
            expect(page.get_by_role("button", name="Dag Docs")).to_be_visible()  # the DAG's page
            page.get_by_test_id("trigger-dag-button").click()
            form = page.get_by_role("dialog")
            form.get_by_role("button", name="Trigger", exact=True).click()
            expect(form).to_be_hidden()

            api = Api(address)
            [run] = api.call("GET", RUNS)["dag_runs"]
            tasks = api.tasks("cofi_nightly", run["dag_run_id"])
            states = {task: state for task, (state, _) in tasks.items()}
            assert states == {**dict.fromkeys(TASKS, "success"), "deliver": "skipped"}
            page.goto(f"{address}/dags/cofi_nightly/runs/{run['dag_run_id']}")
            expect(page.get_by_text("Success").nth(len(TASKS))).to_be_visible()  # the run's as well
            page.wait_for_timeout(700)  # until what slides or fades has come to rest
            page.screenshot(path=PICTURES / "0-run.png")
            page.get_by_role("link", name="CoFi report", exact=True).click()
            report = page.frame_locator("iframe[title='CoFi report']")
            # By force: few steps of training are enough here.
            verdict = re.compile("^(Good to use|Published by force): ")
            expect(report.locator(".headline")).to_have_text(verdict)
            page.wait_for_timeout(700)
            page.screenshot(path=PICTURES / "0-report.png")

            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            process.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    assert checkout.processes() == []
