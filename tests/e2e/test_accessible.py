"""WCAG 2.2 AA on every screen, in both themes, by axe-core in the real browser (over the fakes)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from dashboard.app import SCREENS
from tests.e2e.driver import App, Person
from tests.e2e.screen import serious, settled

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

THEMES = ("light", "dark")


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
