"""The first day: nothing there yet, then a project, then somebody who was never here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.bootstrap import build
from dashboard.settings import Settings
from db.migrate import upgrade
from tests.e2e.driver import PATIENCE, App, free_port
from tests.e2e.journey import SPLITS
from tests.e2e.screen import drawn
from tests.integration.services.world import make_world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a workspace in which nothing was done yet."""
    folder = tmp_path_factory.mktemp("first")
    settings = Settings.load(folder / "workspace", environ={})
    upgrade(settings.database_url)
    app = App(replace(settings, port=free_port()), folder / "app.log")
    app.start_app()
    yield app
    app.stop()


@pytest.fixture
def page(chrome: Browser, bare: App) -> Iterator[Page]:
    """A browser that was never here."""
    window = chrome.new_context(viewport={"width": 1280, "height": 800})
    opened = window.new_page()
    opened.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    opened.goto(bare.url)
    opened.get_by_label("Your name").fill("Dr New")
    opened.get_by_role("button", name="Start reviewing").click()
    opened.wait_for_function("document.cookie.includes('insight_reviewer')")
    yield opened
    window.close()


def test_an_empty_workspace_says_what_to_do_at_every_step(
    page: Page, bare: App, tmp_path: Path
) -> None:
    expect(page.get_by_text("No project yet")).to_be_visible()
    expect(page.get_by_text("insight demo")).to_be_visible()
    services = build(bare.settings)
    with services.uow() as uow:
        uow.projects.add("moles", str(tmp_path), classes=("naevus", "melanoma"))
        uow.commit()
    page.reload()
    expect(page.get_by_text("No model version yet")).to_be_visible()
    expect(page.get_by_text('insight discover --project "moles"')).to_be_visible()
    for screen, says in (
        ("queue", "Nothing in the queue yet"),
        ("concepts", "No concepts yet"),
        ("agreement", "Nothing to agree on yet"),
        ("studies", "No collection yet"),
    ):
        page.goto(f"{bare.url}/{screen}")
        expect(page.get_by_text(says)).to_be_visible()


def test_three_cards_greet_once_and_the_help_lists_the_keys(page: Page, bare: App) -> None:
    make_world(bare.settings.workspace, splits=SPLITS)
    page.reload()
    picks_project(page, "tiny")
    tour = page.get_by_role("region", name="How to review, in three cards")
    expect(tour.get_by_role("listitem")).to_have_count(3)
    expect(tour.get_by_role("heading")).to_have_text(["1 Look", "2 Judge", "3 Correct"])
    tour.get_by_role("button", name="Start reviewing").click()
    expect(tour).to_be_hidden()
    page.reload()
    picks_project(page, "tiny")
    expect(page.get_by_role("grid", name="Cues")).to_be_visible()
    expect(tour).to_be_hidden()
    page.keyboard.press("h")
    keys = page.get_by_role("dialog", name="Keys and figures")
    for what in ("spurious in this case", "undo, to any depth", "keep in a case study"):
        expect(keys.get_by_text(what, exact=True)).to_be_visible()
    keys.get_by_role("button", name="Show the introduction").click()
    expect(tour).to_be_visible()
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()


def picks_project(page: Page, name: str) -> None:
    """Take a project from the list, where another one is open."""
    drawn(page)
    page.get_by_role("button", name="Project").click()
    found = page.get_by_role("button", name=f"{name} ")
    if found.is_disabled():
        page.keyboard.press("Escape")
    else:
        found.click()
    expect(page.get_by_role("grid", name="Cues")).to_be_visible()
