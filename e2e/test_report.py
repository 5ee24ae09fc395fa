"""Reports in a real browser, as people look at them: five stores, three widths, light and dark.

Each page leaves a picture in screenshots/.
"""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cofi_jobs.report.template import content_security_policy
from tests.support.browser import chromium
from tests.support.report_stores import ShownRun, build
from tests.support.repository import ROOT

PICTURES = ROOT / "screenshots"
NAMES = ("first", "tenth", "refused", "events", "three-users")
ADDRESS = "http://airflow.test"  # no such host: the test itself answers
# What Chromium says of the frame in which Airflow shows the pages of plugins.
AIRFLOWS_FRAME = "An iframe which has both allow-scripts and allow-same-origin"
SMALLEST = 11  # pixels of a letter


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ShownRun]:
    PICTURES.mkdir(exist_ok=True)
    return {run.name: run for run in build(tmp_path_factory.mktemp("stores"))}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    # A busy machine takes long to draw a page.
    page.set_default_timeout(120_000)
    expect.set_options(timeout=60_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    assert [text for text in said if not text.startswith(AIRFLOWS_FRAME)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 900, 390])
@pytest.mark.parametrize("name", NAMES)
def test_every_page_fits_and_can_be_read(
    runs: dict[str, ShownRun], page: Page, name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"file://{runs[name].page}")
    expect(page.locator(".headline")).to_be_in_viewport()
    if (name, width) != ("refused", 390):  # there a phone is full of the reasons, and what to do
        expect(page.locator(".tile").first).to_be_in_viewport()
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    if width == 390:
        assert page.evaluate(
            """[...document.querySelectorAll(".wide")].every(
            (table) => table.scrollWidth <= table.clientWidth)"""
        ), "a table is cut off"
    smallest = page.evaluate(
        """Math.min(...[...document.querySelectorAll("body *")]
        .filter((one) => one.checkVisibility() && one.childNodes[0]?.nodeType === 3
          && one.childNodes[0].textContent.trim())
        .map((one) => parseFloat(getComputedStyle(one).fontSize)))"""
    )
    assert smallest >= SMALLEST
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert dark == (scheme == "dark")
    page.screenshot(path=PICTURES / f"report-{name}-{width}-{scheme}.png", full_page=True)


def test_users_and_items_are_looked_up(runs: dict[str, ShownRun], page: Page) -> None:
    page.goto(f"file://{runs['tenth'].page}")
    cards = page.locator("#users-cards .card:visible")
    expect(cards).to_have_count(10)
    hidden = page.locator("#users-cards .card[hidden]").first.get_attribute("data-id")
    field = page.get_by_label("users by id")
    field.fill(str(hidden))
    expect(cards).to_have_count(1)
    expect(cards.first).to_contain_text(f"User {hidden},")
    field.fill("nobody")
    expect(cards).to_have_count(0)
    field.fill("")
    expect(cards).to_have_count(10)

    page.get_by_label("Find an item").fill("star wars")
    chosen = page.locator("#map-points circle.chosen")
    assert chosen.count() >= 3
    page.get_by_label("Find an item").fill("")
    page.locator("#map-points circle").last.hover()
    expect(page.locator(".hovered")).to_contain_text("ratings")


def test_the_page_has_the_colours_of_the_airflow_around_it(
    runs: dict[str, ShownRun], page: Page
) -> None:
    """Airflow's own switch counts, not that of the system, and a later turn of it too."""
    html = runs["first"].page.read_text(encoding="utf-8")
    sandbox = "allow-scripts allow-same-origin allow-forms"
    outer = f'<html class="dark"><iframe src="/cofi/run" sandbox="{sandbox}"></iframe></html>'
    policy = {"Content-Security-Policy": f"{content_security_policy()}; frame-ancestors 'self'"}

    def answer(route: Route) -> None:
        inner = route.request.url.endswith("/cofi/run")
        route.fulfill(
            body=html if inner else outer,
            content_type="text/html; charset=utf-8",
            headers=policy if inner else {},
        )

    page.route(f"{ADDRESS}/**", answer)
    page.emulate_media(color_scheme="light")
    page.goto(ADDRESS)
    body = page.frame_locator("iframe").locator("body")
    expect(body).to_have_css("background-color", "rgb(13, 17, 23)")
    page.evaluate("document.documentElement.className = 'light'")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.emulate_media(color_scheme="dark")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")


def test_without_scripts_the_page_is_whole_but_for_the_look_ups(
    runs: dict[str, ShownRun], browser: Browser
) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"file://{runs['tenth'].page}")
    expect(page.locator("#users-cards .card:visible")).to_have_count(10)
    expect(page.get_by_label("users by id")).to_be_hidden()
    page.close()
