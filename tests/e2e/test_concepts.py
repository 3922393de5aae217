"""A person among the concepts: finds one, walks the tree, proposes, decides, locks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from db.records import RelationRecord
from tests.e2e.driver import App, Person
from tests.integration.services.world import RULER, World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BORDER, STREAKS, HAIR = 0, 1, 3


@pytest.fixture
def page(chrome: Browser, world: World, app: App) -> Page:
    """The Concepts screen of a project with two relations."""
    with world.services.uow() as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        relations = (
            RelationRecord(HAIR, BORDER, "part-of", 0.9, 30),
            RelationRecord(STREAKS, BORDER, "is-a", 0.7, 20),
            RelationRecord(RULER, STREAKS, "is-a", 0.6, 20),
        )
        uow.relations.add_many(world.project_id, version.dictionary_hash, relations)
        uow.commit()
    opened = chrome.new_page(viewport={"width": 1280, "height": 800})
    person = Person(opened, app.url)
    person.sign_in()
    person.go("Concepts")
    expect(opened.get_by_text("Under each image")).to_be_visible()
    return opened


def test_from_the_list_to_an_accepted_merge(page: Page, world: World) -> None:
    finds_and_locks(page)
    walks_the_tree(page)
    proposes_a_merge(page)
    accepts_it(page)
    tree = world.services.hierarchy.tree(world.project_id)
    assert (tree.merged, tree.revision) == (1, 1)


def finds_and_locks(page: Page) -> None:
    page.get_by_role("searchbox", name="Find a concept").fill("hair")
    expect(page.get_by_text("1 to 1 of 1 concepts")).to_be_visible()
    table = page.locator(".stDataFrameGlideDataEditor").first
    table.click(position={"x": 12, "y": 48})  # the box at the row's start
    expect(page.get_by_role("heading", name="hair no. 3")).to_be_visible()
    page.get_by_role("button", name="Lock the name").click()
    page.get_by_role("textbox", name="Why (optional)").last.fill("agreed")
    page.get_by_role("button", name="Lock the name now").click()
    expect(page.get_by_text("The name is locked.")).to_be_visible()
    expect(page.get_by_role("button", name="Rename")).to_be_disabled()
    page.get_by_role("tab", name="Where it fires").click()
    expect(page.get_by_role("heading", name="By place in the image")).to_be_visible()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("cell", name="agreed")).to_be_visible()


def walks_the_tree(page: Page) -> None:
    """Only the keyboard: to the ruler, three levels down."""
    page.get_by_role("radio", name="Hierarchy").click()
    tree = page.get_by_role("tree")
    expect(tree).to_be_visible()
    tree.get_by_role("treeitem").first.focus()
    for key in ("Home", "s", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    focused = page.locator("[role=treeitem]:focus")
    expect(focused).to_contain_text("ruler")
    assert focused.get_attribute("aria-level") == "3"
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[role=treeitem]:focus")).to_contain_text("streaks")
    page.keyboard.press("h")
    expect(page.locator("[role=treeitem]:focus")).to_contain_text("hair")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="hair", exact=True)).to_be_visible()


def proposes_a_merge(page: Page) -> None:
    page.get_by_role("radio", name="Merge it into another").click()
    expect(page.get_by_role("radio", name="it is a kind of that")).to_have_count(0)
    page.get_by_role("searchbox", name="Find the other concept").fill("ruler")
    page.get_by_role("combobox", name="The other concept").click()
    page.get_by_role("option", name="ruler (no. 2)").click()
    page.get_by_role("textbox", name="Why", exact=True).fill("the same thing")
    page.keyboard.press("Tab")
    propose = page.get_by_role("button", name="Propose it")
    expect(propose).to_have_count(1)  # while the page changes, the former one is still there
    expect(propose).to_be_enabled()
    propose.click()
    expect(page.get_by_text("It waits under Proposals")).to_be_visible()


def accepts_it(page: Page) -> None:
    page.get_by_role("radio", name="Proposals (1 open)").click()
    expect(page.get_by_text("Merge “hair” into “ruler”")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("Accepted: it holds everywhere now.")).to_be_visible()
    page.get_by_role("radio", name="Hierarchy").click()
    ruler = page.get_by_role("treeitem", name="ruler")
    page.get_by_role("button", name="Open all").click()
    expect(ruler).to_contain_text("+1")
    expect(page.get_by_role("treeitem", name="hair")).to_have_count(0)
