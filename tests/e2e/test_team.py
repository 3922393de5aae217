"""Agreement, adjudication, case studies and training, as a person does them (over the fakes)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import App, Person
from tests.e2e.screen import agree_to_each, serious, settled

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CASES = 3  # pinned in the fakes' collection


@pytest.fixture(scope="module")
def ada(chrome: Browser, fakes_app: App) -> Iterator[Person]:
    """Somebody who signed in."""
    page = chrome.new_page(viewport={"width": 1280, "height": 800})
    person = Person(page, fakes_app.url)
    person.sign_in("Ada")
    yield person
    page.close()


def opened(person: Person, address: str, text: str) -> Page:
    """A screen by its address, once a text stands on it."""
    person.page.goto(f"{person.url}/{address}")
    expect(person.page.get_by_text(text).first).to_be_visible()
    settled(person.page)
    return person.page


def test_figures_with_intervals(ada: Person) -> None:
    page = opened(ada, "agreement", "Pair by pair")
    expect(page.get_by_text("95 % interval").first).to_be_visible()
    expect(page.locator(".stPlotlyChart .main-svg").first).to_be_visible()
    page.get_by_text("Cases", exact=True).first.click()
    expect(page.get_by_text("Class by class")).to_be_visible()


def test_a_disagreement_is_decided_with_one_key(ada: Person) -> None:
    page = opened(ada, "agreement?show=disagreements", "What was said")
    heading = page.get_by_role("heading", name="disagreements")
    before = int(heading.inner_text().split()[0])
    assert serious(page) == []
    settled(page)
    page.keyboard.press("x")
    expect(page.get_by_text("Decided:")).to_be_visible()
    expect(page.get_by_role("heading", name=f"{before - 1} disagreements")).to_be_visible()


def test_a_newcomer_trains_and_is_scored(ada: Person) -> None:
    page = opened(ada, "studies", "New collection")
    page.get_by_role("button", name="Open", exact=True).first.click()
    page.get_by_role("button", name="Train with these cases").click()
    for number in range(1, CASES + 1):
        expect(page.get_by_text(f"Case {number} of {CASES}")).to_be_visible()
        question = page.get_by_text("a right reason?")
        expect(question).to_be_visible()
        settled(page)
        agree_to_each(page, question, settled)
        page.keyboard.press("2")
        settled(page)
        page.keyboard.press("Enter")
        expect(page.get_by_text("What reviewers said").first).to_be_visible()
        settled(page)
        assert serious(page) == []
        page.keyboard.press("n")
    expect(page.get_by_text("Attempt 1 is done")).to_be_visible()
    expect(page.get_by_text("Kappa with the reference")).to_be_visible()
    assert serious(page) == []


def test_a_pinned_case_shows_what_was_said_when_asked(ada: Person) -> None:
    page = opened(ada, "studies", "New collection")
    page.get_by_role("button", name="Open", exact=True).first.click()
    page.get_by_role("button", name="Open case 1").click()
    expect(page.get_by_text("Look at").first).to_be_visible()
    expect(page.get_by_text("Dr Berg")).to_have_count(0)
    page.get_by_text("Show notes and answers").first.click()
    expect(page.get_by_text("Dr Berg").first).to_be_visible()
    settled(page)
    assert serious(page) == []
