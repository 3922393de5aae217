"""What every browser test of a screen needs: that it is drawn, and that all can use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
BEST = (*WCAG, "best-practice")
# Streamlit's own frame, which we cannot change: best practice -> what it is about.
NOT_OURS = {
    "region": "Streamlit's header and toasts lie outside landmarks",
    "landmark-one-main": "Streamlit's main block is a section",
    "page-has-heading-one": "the desk has no room for a heading of its own",
}
SERIOUS = {"serious", "critical"}


def drawn(page: Page) -> None:
    """Wait until Streamlit has drawn the screen."""
    expect(page.get_by_test_id("stMainBlockContainer")).to_be_visible()
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
    expect(page.get_by_test_id("stSpinner")).to_have_count(0)


def settled(page: Page) -> None:
    """As `drawn`, to its last element, which is drawn after the script ended."""
    expect(page.get_by_test_id("stMainBlockContainer")).to_be_visible()
    expect(page.get_by_test_id("stSpinner")).to_have_count(0)
    page.wait_for_selector('[data-testid=stApp][data-test-script-state="notRunning"]')
    page.wait_for_timeout(700)


def serious(page: Page, rules: tuple[str, ...] = BEST) -> list[str]:
    """Serious and critical findings, one line each."""
    options = {"runOnly": list(rules)}
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node['html'][:160]}"
        for each in found
        if each["impact"] in SERIOUS and each["id"] not in NOT_OURS
        for node in each["nodes"]
    ]


def agree_to_each(page: Page, question: Locator, ready: Callable[[Page], None]) -> None:
    """Answer question after question with `y`, until none is left; at least one is asked."""
    expect(question).to_be_visible()  # it is drawn after what stands above it
    while question.count():
        asked = question.inner_text()
        page.keyboard.press("y")
        expect(page.get_by_text(asked, exact=True)).to_have_count(0)
        ready(page)
