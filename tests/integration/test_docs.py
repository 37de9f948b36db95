"""The documentation builds without a warning, and opens in a real browser without a broken link."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from aios_core.kinds import KINDS

ROOT = Path(__file__).parents[2]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


class Links(HTMLParser):
    """What a page leads to, and what in it can be led to."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in {"href", "src"} and value and tag != "link":
                self.targets.append(value)
            if name in {"id", "name"}:
                self.anchors.add(value)


def test_there_is_a_page_for_every_kind(site):
    for kind in KINDS.values():
        text = (site / "kinds" / f"{kind.name}.html").read_text()
        assert kind.hook in text
        assert kind.contract.partition(":")[2] in text
        assert "A whole plugin" in text


def test_no_link_is_broken(site):
    pages = {path: Links(path.read_text()) for path in site.rglob("*.html")}
    broken = []
    for page, links in pages.items():
        for target in links.targets:
            if re.match(r"(https?|mailto|data|javascript):", target) or page.name == "404.html":
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / unquote(path)).resolve() if path else page
            if not there.exists():
                broken.append(f"{page.relative_to(site)}: {target}")
            elif anchor and there in pages and unquote(anchor) not in pages[there].anchors:
                broken.append(f"{page.relative_to(site)}: {target}: no such place in the page")

    assert len(pages) > 30
    assert [] == broken


def test_pages_open_in_a_browser(site):
    """Without an error, and without a request to elsewhere."""
    if BROWSER is None:
        assert "CI" not in os.environ, "CI installs Chromium, so that this is never skipped there"
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    faults = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:", "blob:")) or faults.append(request.url)
            ),
        )
        for name in ("index", "start", "gallery", "kinds/noise", "tutorials/first_plugin"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.locator("h1").first.is_visible()
            pictures = page.locator("article img").all()
            shown = "image => image.complete && image.naturalWidth > 100"
            assert all(picture.evaluate(shown) for picture in pictures), name
        page.goto((site / "index.html").as_uri())
        page.get_by_role("link", name="sampler", exact=True).first.evaluate("link => link.click()")
        page.wait_for_load_state()
        assert "sampler" == page.locator("h1").first.inner_text().strip("¶ \n")
        browser.close()

    assert [] == faults
