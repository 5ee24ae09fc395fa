"""A new user's first hour: `make run`, `make ui`, a run by its form, its report, Ctrl-C."""

import os
import re
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import expect

from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from tests.support.browser import chromium
from tests.support.checkout import Api, new_checkout
from tests.support.live import PATIENCE
from tests.support.ports import free_port
from tests.support.repository import ROOT

PICTURES = ROOT / "screenshots"


def test_from_make_run_and_make_ui_to_a_green_run_and_its_report(tmp_path: Path) -> None:
    """On the sample of ratings that comes with it."""
    checkout, port = new_checkout(tmp_path / "checkout"), free_port()
    ended = checkout.make("run")
    assert ended.returncode == 0, ended.stdout
    PICTURES.mkdir(exist_ok=True)
    with checkout.making("ui", f"PORT={port}") as process, chromium() as browser:
        try:
            assert process.stdout is not None
            address = f"http://localhost:{port}"
            said = [next(process.stdout) for _ in range(2)]
            assert said[-1] == f"Airflow: {address} (Ctrl-C ends it)\n", said
            api = Api(address)
            earlier = api.runs("cofi_nightly", "manual")  # that of make run
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(1000 * PATIENCE)
            expect.set_options(timeout=1000 * PATIENCE)

            page.goto(address)
            expect(page.get_by_role("link", name="Dags", exact=True)).to_be_visible()
            page.goto(f"{address}/dags")  # the first page has the DAG's name at its events too
            page.get_by_role("link", name="cofi_nightly", exact=True).first.click()
            expect(page.get_by_role("button", name="Dag Docs")).to_be_visible()  # the DAG's page
            page.get_by_test_id("trigger-dag-button").click()
            form = page.get_by_role("dialog")
            form.get_by_role("button", name="Trigger", exact=True).click()
            expect(form).to_be_hidden()

            [run] = {*api.runs("cofi_nightly", "manual")} - {*earlier}
            tasks = api.tasks("cofi_nightly", run)
            states = {task: state for task, (state, _) in tasks.items()}
            assert states == {**dict.fromkeys(TASKS, "success"), "deliver": "skipped"}
            page.goto(f"{address}/dags/cofi_nightly/runs/{run}")
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

            look_at_what_starts_by_itself(api, Store(checkout.root / ".cofi" / "demo-store"))
            assert checkout.processes()
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to make as well
            assert "ending Airflow\n" in [*process.stdout]
            process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    assert checkout.processes() == []


def look_at_what_starts_by_itself(api: Api, store: Store) -> None:
    """Unpaused DAGs do no work of a time that has passed: a newer run is published.

    The form has unpaused cofi_nightly.
    """
    published = store.published()
    assert len(published) == 2, "of make run, and of the form"
    # Of the weekly ones that whose day it is not: it may be its very hour.
    weekly = "cofi_verify" if datetime.now(UTC).strftime("%a") == "Sun" else "cofi_tune"
    api.unpause(weekly)
    tasks = api.tasks("cofi_nightly", api.scheduled("cofi_nightly"))
    assert {state for state, _ in tasks.values()} == {"skipped"}
    conf = {"top_N": 50, "requested_by": "ops"}
    manual = {"logical_date": None, "conf": conf}
    run = api.call("POST", "/api/v2/dags/cofi_nightly/dagRuns", manual)
    tasks = api.tasks("cofi_nightly", run["dag_run_id"])
    assert tasks["ingest"] == ("failed", 1), "no second try blocks the night"
    assert api.runs(weekly, "scheduled") == []
    assert store.published() == published
