"""The report as people open it: in a browser, on a screen, on paper, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dashboard.services import report_example as example
from dashboard.services import report_html
from dashboard.services.report_html import Front, Printed
from dashboard.services.report_template import Look, standard_sha256, template_of
from tests.e2e.screen import serious

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with one of everything."""
    text = "<b>Ruler</b> of Dr Ünlü"
    look = Look(None, standard_sha256(), example.PIXEL, "ab" * 32)
    front = Front(example.content(text), look, {example.CUE: example.picture()})
    cases = [
        Printed(example.case(text), example.picture()),
        Printed(example.bare_case(), report_html.Picture("", "", 0, 0, "It is lost.")),
    ]
    target = tmp_path_factory.mktemp("report") / "report.html"
    report_html.write(template_of(None), front.context("html", cases), target)
    return target


@pytest.mark.parametrize("width", [1280, 420])
def test_no_serious_finding_nothing_asked_for_nothing_wide(
    chrome: Browser, file: Path, width: int
) -> None:
    page = chrome.new_page(viewport={"width": width, "height": 800})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())

    assert serious(page) == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_it_prints(chrome: Browser, file: Path) -> None:
    page = chrome.new_page()
    page.goto(file.as_uri())

    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
