"""What the journeys share: one real project with its app per file, and people at own windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from re import Pattern
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from dashboard.components.remember import COOKIE
from db.records import new_id
from tests.e2e.driver import App, Person, free_port
from tests.e2e.screen import drawn
from tests.integration.services.world import World, make_world, reviewer

SPLITS = {"train": 60, "test": 20, "reversed": 40}


@dataclass
class Scene:
    """A project, its running app, and a browser that people open windows in."""

    world: World
    app: App
    chrome: Browser
    windows: list[BrowserContext] = field(default_factory=list)

    def arrives(self, name: str, address: str = "") -> Person:
        """Somebody whose browser knows their name; at the desk, or at another address."""
        person = self.unseated()
        person.page.context.add_cookies(
            [{"name": COOKIE, "value": quote(name, safe=""), "url": self.app.url}]
        )
        visit(person, address)
        if not address:
            person.wait_for_case()
        return person

    def unseated(self) -> Person:
        """A window in which nobody gave a name yet."""
        window = self.chrome.new_context(viewport={"width": 1280, "height": 800})
        self.windows.append(window)
        return Person(window.new_page(), self.app.url)


@contextmanager
def scene_in(folder: Path, chrome: Browser, **rules: object) -> Iterator[Scene]:
    """The small project of the service tests with some rules of review, and the app over it."""
    world = make_world(folder / "workspace", splits=SPLITS)
    if rules:
        world.services.settings_of.save(
            id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world, "Dr Lead"),
            changes=rules, based_on=0,
        )  # fmt: skip
    app = App(replace(world.settings, port=free_port()), folder / "app.log")
    scene = Scene(world, app, chrome)
    try:
        app.start_app()
        yield scene
    finally:
        for window in scene.windows:
            window.close()
        app.stop()


def visit(person: Person, address: str) -> Page:
    """Open a screen by its address, as a link from a colleague does."""
    person.page.goto(f"{person.url}/{address}")
    drawn(person.page)
    return person.page


def choose(page: Page, box: str, option: str) -> None:
    """Pick from a list by its label, on a screen that is not about to be drawn anew."""
    drawn(page)
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option).first.click()


def case_id(person: Person) -> str:
    """The case on the desk, out of the address."""
    return person.page.url.partition("case=")[2].partition("&")[0]


def next_case(person: Person) -> str:
    """Go on to the next case; returns its id."""
    person.next_case()
    person.wait_for_case()
    return case_id(person)


def question(person: Person, name: str | Pattern[str]) -> Locator:
    """The small box that a key opens beside the picture."""
    box = person.page.get_by_role("dialog", name=name)
    expect(box).to_be_visible()
    return box
