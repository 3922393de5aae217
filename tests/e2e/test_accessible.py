"""WCAG 2.2 AA on every screen, in both themes, by axe-core in the real browser (over the fakes)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashboard.app import SCREENS
from tests.e2e.driver import App, Person

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
THEMES = ("light", "dark")
# Streamlit's own frame, which we cannot change: rule -> what it is about.
NOT_OURS = {
    "region": "Streamlit's header and toasts lie outside landmarks",
    "landmark-one-main": "Streamlit's main block is a section",
    "page-has-heading-one": "the desk has no room for a heading of its own",
}
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module", params=THEMES)
def seated(request: pytest.FixtureRequest, chrome: Browser, fakes_app: App) -> Iterator[Person]:
    """Somebody who signed in, in one theme."""
    page = chrome.new_page(color_scheme=request.param, viewport={"width": 1280, "height": 800})
    person = Person(page, fakes_app.url)
    page.goto(fakes_app.url)
    expect(page.get_by_label("Your name")).to_be_visible()
    assert serious(page) == []
    person.sign_in(f"Dr {request.param}")
    yield person
    page.close()


def serious(page: Page) -> list[str]:
    """Serious and critical findings, one line each."""
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node['html'][:160]}"
        for each in found
        if each["impact"] in SERIOUS and each["id"] not in NOT_OURS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("path", [path for _, path, _, _ in SCREENS])
def test_no_serious_finding_on_any_screen(seated: Person, path: str) -> None:
    page = seated.page
    page.goto(f"{seated.url}/{'' if path == 'review' else path}")
    settled(page)
    assert serious(page) == []


@pytest.mark.parametrize("mode", ["diagnose", "validate", "discover"])
def test_no_serious_finding_in_any_mode(seated: Person, mode: str) -> None:
    page = seated.page
    page.goto(f"{seated.url}/?mode={mode}")
    settled(page)
    assert serious(page) == []


def test_no_serious_finding_with_the_help_open(seated: Person) -> None:
    page = seated.page
    page.goto(seated.url)
    seated.wait_for_case()
    seated.press("h")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert serious(page) == []


def settled(page: Page) -> None:
    """Wait until Streamlit has drawn the screen."""
    expect(page.get_by_test_id("stMainBlockContainer")).to_be_visible()
    expect(page.get_by_test_id("stSpinner")).to_have_count(0)
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
    page.wait_for_timeout(700)  # the last element is drawn after the script ended
