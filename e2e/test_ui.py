"""The nightly DAG in Airflow's UI, as a person uses it in a browser, from login to the next run.

The tests share one Airflow, one page with a login, and one run. Each leaves a picture in
screenshots/.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import pytest
from playwright.sync_api import (
    ConsoleMessage,
    Frame,
    Locator,
    Page,
    ViewportSize,
    expect,
)

from cofi_jobs.settings.form import form_fields
from cofi_jobs.settings.resolve import to_environment
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from deploy.trigger import DAG, Airflow
from tests.support.browser import chromium
from tests.support.data import QUICK_VALUES, random_ratings, write_ratings
from tests.support.live import PASSWORD, ROOT, live_airflow

PICTURES = ROOT / "screenshots"
DESKTOP = ViewportSize(width=1400, height=900)


@dataclass
class Ui:
    """A page of the running Airflow."""

    page: Page
    airflow: Airflow
    store: Store

    def open(self, path: str) -> None:
        self.page.goto(self.airflow.url + path)

    def picture(self, name: str) -> None:
        self.page.wait_for_timeout(700)  # until what slides or fades has come to rest
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def form(self) -> Locator:
        """The trigger form, freshly opened."""
        self.open("/dags/cofi_nightly")
        self.page.get_by_test_id("trigger-dag-button").click()
        return self.page.get_by_role("dialog")

    def runs(self) -> list[str]:
        return [
            run["dag_run_id"]
            for run in self.airflow.call("GET", f"{DAG}/dagRuns?run_type=manual")["dag_runs"]
        ]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui")
    store = Store(home / "store").create()
    write_ratings(store.landing / "ratings.csv", random_ratings())
    PICTURES.mkdir(exist_ok=True)
    with (
        live_airflow(home, **to_environment(QUICK_VALUES)) as airflow,
        chromium() as browser,
    ):
        page = browser.new_page(viewport=DESKTOP)
        page.set_default_timeout(180_000)
        expect.set_options(timeout=180_000)
        ui = Ui(page, airflow, store)
        log_in(ui)
        yield ui


def log_in(ui: Ui) -> None:
    ui.open("/dags/cofi_nightly")
    ui.page.get_by_label("Username").fill("admin")
    ui.page.get_by_label("Password").fill(PASSWORD)
    ui.page.get_by_role("button", name="Sign in").click()
    expect(ui.page.get_by_role("button", name="Dag Docs")).to_be_visible()
    ui.picture("1-dag")


@pytest.fixture(scope="module")
def run_id(ui: Ui) -> str:
    """A successful run with one param changed in the form; its event starts the reader's DAG."""
    ui.page.set_viewport_size(DESKTOP)
    ui.open("/dags/cofi_reader_example")
    ui.page.get_by_role("checkbox").locator("..").click()  # unpauses it
    expect(ui.page.get_by_role("checkbox")).to_be_checked()

    form = ui.form()
    form.get_by_role("button", name="recommend", exact=True).click()
    form.locator("[name=element_top_n]").fill("7")
    form.get_by_role("button", name="Trigger", exact=True).click()
    expect(form).to_be_hidden()
    [run_id] = ui.runs()
    ui.open(f"/dags/cofi_nightly/runs/{run_id}")
    expect(ui.page.get_by_text("Success").nth(len(TASKS))).to_be_visible(
        timeout=300_000
    )  # the run's and its tasks'
    ui.picture("6-run")
    return run_id


def test_login(ui: Ui) -> None:
    ui.open("/dags/cofi_nightly")
    expect(ui.page.get_by_role("button", name="Dag Docs")).to_be_visible()


def test_documentation_of_the_dag(ui: Ui) -> None:
    ui.open("/dags/cofi_nightly")
    ui.page.get_by_role("button", name="Dag Docs").click()
    text = ui.page.get_by_role("dialog")
    expect(text).to_contain_text("New ratings in, recommendations out")
    expect(text).to_contain_text("readers keep the lists of the last good run")
    ui.picture("2-documentation")


@pytest.mark.parametrize("task", [*TASKS, "deliver"])
def test_each_task_has_a_note(ui: Ui, task: str) -> None:
    ui.open(f"/dags/cofi_nightly/tasks/{task}")
    ui.page.get_by_role("button", name="Documentation").click()
    note = ui.page.get_by_role("dialog")
    for part in ("Reads", "Writes", "If it fails"):
        expect(note.locator("strong", has_text=re.compile(f"^{part}$"))).to_be_visible()
    ui.picture(f"3-note-{task}")


def test_form_shows_every_param(ui: Ui) -> None:
    fields = {
        name: field for name, field in form_fields().items() if field["section"] != "tune"
    }  # cofi_tune's
    form = ui.form()
    form.get_by_role("button", name="store", exact=True).click()
    expect(form.get_by_text("Folder of the store")).to_be_visible()
    for section in dict.fromkeys(field["section"] for field in fields.values()):
        form.get_by_role("button", name=section, exact=True).click()
        for name, field in fields.items():
            if field["section"] != section:
                continue
            expect(
                form.get_by_text(re.compile(rf"^{name} ?\*?$"))
            ).to_be_visible()  # a star: needs a value
            expect(form.get_by_text(field["description"], exact=True)).to_be_visible()
            for bound, attribute in (("minimum", "aria-valuemin"), ("maximum", "aria-valuemax")):
                if bound in field:
                    expect(form.locator(f"[name=element_{name}]")).to_have_attribute(
                        attribute, f"{field[bound]:.15g}"
                    )
        ui.picture(f"4-form-{section}")


def test_value_out_of_range_is_refused(ui: Ui) -> None:
    """The field stops at an inclusive bound; an exclusive one is refused with a reason."""
    before = ui.runs()
    form = ui.form()
    form.get_by_role("button", name="recommend", exact=True).click()
    form.locator("[name=element_top_n]").fill("5000")
    form.locator("[name=element_top_n]").press("Tab")
    expect(form.locator("[name=element_top_n]")).to_have_value("1000")

    form.get_by_role("button", name="train", exact=True).click()
    form.locator("[name=element_test_share]").fill("0")
    form.locator("[name=element_test_share]").press("Tab")
    form.get_by_role("button", name="Trigger", exact=True).click()
    reason = form.get_by_text(
        "Invalid input for param test_share: 0 is less than or equal to the minimum of 0"
    )
    reason.scroll_into_view_if_needed()
    expect(reason).to_be_visible()
    ui.picture("5-refused")
    assert ui.runs() == before


@pytest.mark.usefixtures("run_id")
def test_run_with_a_changed_param_succeeds(ui: Ui) -> None:
    manifest = ui.store.manifest(str(ui.store.current())) or {}
    assert manifest["settings"]["top_n"] == 7
    assert manifest["counts"]["recommend"]["users"] == random_ratings()["userId"].nunique()


def no_wider_than_the_window(frame: Frame) -> bool:
    return bool(
        frame.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_a_tab_of_the_run_and_in_the_menu(
    ui: Ui, run_id: str, width: int, height: int, scheme: Literal["light", "dark"]
) -> None:
    """At the width of a desktop and of a phone, in both colours, with a clean console."""
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "/cofi/" in (message.location or {}).get("url", ""):
            said.append(message.text)

    ui.page.on("console", listen)
    ui.page.set_viewport_size({"width": width, "height": height})
    ui.page.emulate_media(color_scheme=scheme)
    ui.open(f"/dags/cofi_nightly/runs/{run_id}")
    ui.page.get_by_role("link", name="CoFi report", exact=True).click()
    frame = ui.page.frame_locator("iframe[title='CoFi report']")
    expect(
        frame.get_by_role("heading", name="How good it is on ratings that it had not seen")
    ).to_be_visible()
    [report] = [frame for frame in ui.page.frames if frame.parent_frame]
    assert no_wider_than_the_window(report)
    ui.picture(f"9-report-{width}-{scheme}")
    frame.get_by_role("link", name="Map").click()  # stays in the page
    expect(frame.get_by_role("heading", name="A map of the items")).to_be_in_viewport()
    ui.picture(f"9-report-map-{width}-{scheme}")

    ui.open("/plugin/cofi-reports")
    frame = ui.page.frame_locator("iframe[title='CoFi']")
    expect(frame.get_by_role("heading", name="All runs of CoFi")).to_be_visible()
    [runs] = [frame for frame in ui.page.frames if frame.parent_frame]
    assert no_wider_than_the_window(runs)
    ui.picture(f"9-reports-{width}-{scheme}")
    frame.get_by_role("link").first.click()
    expect(
        frame.get_by_role("heading", name="How good it is on ratings that it had not seen")
    ).to_be_visible()
    assert no_wider_than_the_window(runs)
    ui.picture(f"9-report-of-list-{width}-{scheme}")
    assert said == []
    ui.page.remove_listener("console", listen)
    ui.page.set_viewport_size(DESKTOP)


@pytest.mark.usefixtures("run_id")
def test_reports_are_in_the_menu(ui: Ui) -> None:
    ui.open("/")
    ui.page.get_by_role("link", name="CoFi", exact=True).click()
    expect(
        ui.page.frame_locator("iframe[title='CoFi']").get_by_role(
            "heading", name="All runs of CoFi"
        )
    ).to_be_visible()


def test_look_ups_and_links_from_the_list_of_runs(ui: Ui, run_id: str) -> None:
    user = int(random_ratings()["userId"].iloc[0])
    ui.open("/plugin/cofi-reports")
    frame = ui.page.frame_locator("iframe[title='CoFi']")
    frame.get_by_label("user id, item id or title").fill(str(user))
    frame.get_by_role("button", name="Look up").click()
    expect(frame.get_by_role("heading", name=f"User {user},")).to_be_visible()
    ui.picture("9-look-up")
    frame.get_by_role("link", name="All runs").click()
    frame.get_by_role("link", name="DAG run").first.click()  # leaves the frame
    page = f"/dags/cofi_nightly/runs/{run_id}"
    ui.page.wait_for_url(lambda url: unquote(url).endswith(page))  # quoted, or not any more


@pytest.mark.usefixtures("run_id")
def test_asset_and_the_run_that_it_started(ui: Ui) -> None:
    ui.open("/assets")
    ui.page.get_by_role("link", name="cofi_recommendations").click()
    expect(ui.page.get_by_text("Source:").first).to_be_visible()
    ui.page.wait_for_timeout(3000)  # the scheduler starts the reader
    ui.page.reload()
    expect(ui.page.locator("a[href*='/dags/cofi_reader_example/runs/']").first).to_be_visible()
    ui.picture("7-asset")
    ui.page.locator("a[href*='/dags/cofi_reader_example/runs/']").first.click()
    expect(ui.page.get_by_text("Success").nth(1)).to_be_visible()  # the run's and its task's
    expect(ui.page.get_by_text("Asset Triggered").first).to_be_visible()
    ui.picture("8-reader")
