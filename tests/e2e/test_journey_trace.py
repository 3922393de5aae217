"""Trace in the real app: from a click into a picture to people and versions, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dashboard.services.run_work import run_inline
from db.records import new_id
from tests.e2e.driver import App, free_port
from tests.e2e.journey import Scene
from tests.e2e.screen import drawn, serious
from tests.integration.services.world import judge, make_world, reviewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture
def scene(chrome: Browser, tmp_path: Path) -> Iterator[Scene]:
    """A project that Ada judged and that a run has learnt from."""
    world = make_world(tmp_path / "workspace")
    judge(world, reviewer(world), count=8)
    run = world.services.runs.start_reweight(
        id=new_id(), project_id=world.project_id, reviewer_id=reviewer(world), strategy="groups"
    )
    assert run_inline(world.services, run.id).state == "succeeded"
    app = App(replace(world.settings, port=free_port()), tmp_path / "app.log")
    opened = Scene(world, app, chrome)
    try:
        app.start_app()
        yield opened
    finally:
        for window in opened.windows:
            window.close()
        app.stop()


def cards(page: Page) -> Locator:
    return page.locator("[class*=st-key-trace-card]")


def judged_case(scene: Scene) -> str:
    world = scene.world
    with world.services.uow(read_only=True) as uow:
        ada = uow.reviewers.by_name("Ada")
        assert ada is not None
        given = uow.verdicts.by_reviewer(world.project_id, ada.id)
    return next(verdict.case_id for verdict in given if verdict.value == "spurious")


def test_from_a_patch_to_the_people_and_back(scene: Scene) -> None:
    page = scene.arrives("Ada").page
    page.goto(f"{scene.app.url}/trace?case={judged_case(scene)}")
    drawn(page)
    expect(page.get_by_role("heading", name="Trace")).to_be_visible()
    expect(page.get_by_text(re.compile("Row 3, column 3 of"))).to_be_visible()
    clicks_a_patch(page)
    follows_a_word_to_the_cases_it_changed(page)
    assert serious(page) == []
    reads_which_words_shaped_the_version(page)


def clicks_a_patch(page: Page) -> None:
    """The ruler lies in the last row: a click there, then the same by keyboard."""
    picture = page.get_by_test_id("stPlotlyChart").locator(".nsewdrag")
    expect(picture).to_be_visible()
    box = picture.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.125, box["y"] + box["height"] * 0.875)
    expect(page.get_by_text(re.compile("Row 4, column 1 of"))).to_be_visible()
    expect(page).to_have_url(re.compile("row=4.*column=1|column=1.*row=4"))
    row = page.get_by_role("spinbutton", name="Column")
    row.fill("2")
    row.press("Enter")
    expect(page.get_by_text(re.compile("Row 4, column 2 of"))).to_be_visible()
    drawn(page)
    expect(cards(page).filter(has_text="ruler").first).to_be_visible()
    assert serious(page) == []


def follows_a_word_to_the_cases_it_changed(page: Page) -> None:
    ruler = cards(page).filter(has_text=re.compile("Cue .: ruler")).first
    ruler.get_by_text(re.compile("below")).click()
    word = ruler.get_by_text("Ada: spurious")
    expect(word).to_be_visible()
    ruler.get_by_role("button", name="Trace").first.click()
    drawn(page)
    expect(page).to_have_url(re.compile("find="))
    expect(page.get_by_text(re.compile("Ada said spurious; 1 snapshot"))).to_be_visible()


def reads_which_words_shaped_the_version(page: Page) -> None:
    card = cards(page).filter(has_text=re.compile("^.*Snapshot")).first
    card.get_by_text(re.compile("below")).click()
    expect(card.get_by_text("what this word did alone is not known").first).to_be_visible()
    card.get_by_role("button", name="Trace").first.click()
    drawn(page)
    expect(page.get_by_text(re.compile("words; 1 version"))).to_be_visible()
    page.get_by_role("button", name="Back to the picture").click()
    drawn(page)
    expect(page.get_by_text(re.compile("Row 4, column 2 of"))).to_be_visible()
