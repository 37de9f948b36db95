"""The report in a real browser: it works, asks nobody for anything, and runs no sample's script."""

import json
import os
import shutil

import pytest

from aios_core.experiment import read
from aios_plugins.reports.html import Html

HOSTILE = "</script><script>window.owned = true</script><img src=x onerror='window.owned = true'>"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """A report whose first trial sampled something nasty."""
    plan, *_ = finished
    folder = tmp_path_factory.mktemp("hostile") / "out"
    shutil.copytree(plan.folder, folder)
    path = folder / "trials" / plan.trials[0].key / "result.json"
    result = json.loads(path.read_text())
    result["texts"][0] = ["fine, then ", HOSTILE, {"special": HOSTILE}]
    result["film"]["tokens"][0] = HOSTILE
    result["film"]["frames"][-1].append([0, HOSTILE, 0.5])
    path.write_text(json.dumps(result))
    about = folder / "ablation.json"
    about.write_text(
        about.read_text().replace('"source": "', '"source": "# <script>owned</script>')
    )
    return Html().write(read(folder))


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        assert "CI" not in os.environ, "CI installs Chromium, so that this is never skipped there"
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, report):
    """The report, opened; fails the test on any console message, error or request."""
    faults = []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("console", lambda message: faults.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("request", lambda request: faults.append(f"request: {request.url}"))
    page.goto(report.as_uri())
    yield page
    page.close()
    assert [f"request: {report.as_uri()}"] == faults


def column(page, number):
    """Texts of a column of the table of arms, from the top."""
    return page.locator(f"#arms tbody tr > :nth-child({number})").all_inner_texts()


def test_table_sorts_both_ways(page):
    heads = page.locator("#arms thead th")
    before = column(page, 1)

    heads.nth(2).locator("button").click()
    assert sorted(map(float, column(page, 3))) == list(map(float, column(page, 3)))
    assert "ascending" == heads.nth(2).get_attribute("aria-sort")

    heads.nth(2).locator("button").click()
    assert sorted(map(float, column(page, 3)), reverse=True) == list(map(float, column(page, 3)))

    heads.nth(0).locator("button").click()
    assert before == column(page, 1)
    assert heads.nth(2).get_attribute("aria-sort") is None


def test_baseline_is_marked(page):
    assert ["baseline"] == page.locator("#arms tr.baseline .tag").all_inner_texts()
    assert page.locator("#arms tfoot").inner_text().startswith("held-out text")


def test_film_follows_the_clock(page):
    clock, lane = page.locator("#clock"), page.locator(".lane").first

    clock.fill("0")
    assert 0 == lane.locator(".film .q0, .film .q1, .film .q2, .film .q3, .film .q4").count()
    masked = lane.locator(".film .masked").count()
    clock.fill(clock.get_attribute("max"))

    assert 15 == masked, "the begin token is no part of it"
    assert 0 == lane.locator(".film .masked").count()
    assert "15 of 15 tokens" in lane.locator(".state").inner_text()


def test_film_plays(page):
    page.locator("#clock").fill("0")

    page.locator("#play").click()
    page.wait_for_function("Number(document.getElementById('clock').value) > 0")

    page.locator(".lane select").first.select_option("1")  # another arm, while it runs


def test_tabs_change_the_metric(page):
    tabs = page.get_by_role("tab")

    tabs.nth(1).click()

    assert page.locator("#cost-panel-1").is_hidden()
    assert page.locator("#cost-panel-2").is_visible()
    tabs.nth(1).press("ArrowLeft")
    assert page.locator("#cost-panel-1").is_visible()


def test_texts_are_inert(page):
    page.locator("#clock").fill(page.locator("#clock").get_attribute("max"))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")

    assert page.evaluate("window.owned") is None
    assert HOSTILE in page.locator("blockquote").first.inner_text()
    assert HOSTILE in page.locator(".film").first.inner_text()
    assert "<script>owned</script>" in page.locator("#how pre").inner_text()
    assert 0 == page.locator("img").count()


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_its_window(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})

    assert width == page.evaluate("document.documentElement.scrollWidth")
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
    assert ink != paper


def test_pictures_are_described(page):
    for figure in page.locator("svg.figure").all():
        assert len(figure.get_attribute("aria-label")) > 20
    assert page.locator("svg.figure").count() >= 6
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
