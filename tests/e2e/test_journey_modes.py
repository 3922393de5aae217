"""The other questions of the desk: why it failed, whether it is right for the right reason, what
nobody has a word for, and what if."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.journey import Scene, scene_in, visit
from tests.e2e.screen import drawn

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scene(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene_in(tmp_path_factory.mktemp("modes"), chrome) as opened:
        yield opened


def metric(page: Page, label: str) -> Locator:
    """A figure with its label."""
    return page.get_by_test_id("stMetric").filter(has_text=label)


def test_diagnose_walks_errors_and_shows_what_went_right(scene: Scene) -> None:
    ada = scene.arrives("Ada")
    page, place = ada.page, ada.page.locator(".where b")
    page.get_by_role("button", name="Diagnose", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("^Errors and near misses"))).to_be_visible()
    visit(ada, "?mode=diagnose")  # from the surest error on
    expect(place).to_contain_text("Case 1 of")
    expect(page.get_by_text(re.compile("^Wrong: labelled"))).to_be_visible()
    ada.press("n")
    expect(place).to_contain_text("Case 2 of")
    expect(page.locator(".truth.wrong")).to_be_visible()
    ada.press("p")
    expect(place).to_contain_text("Case 1 of")
    expect(page.get_by_role("heading", name="What pulled")).to_be_visible()
    expect(page.get_by_role("heading", name="Similar cases that went right")).to_be_visible()
    alike = page.get_by_text("% alike").first
    alike.scroll_into_view_if_needed()
    expect(alike).to_be_visible()
    page.get_by_role("button", name="Open", exact=True).first.click()
    expect(page.get_by_text(re.compile("^(Right|Nearly wrong):"))).to_be_visible()
    expect(page.locator(".truth")).to_have_text("✓ agrees")


def test_validate_moves_the_coverage(scene: Scene) -> None:
    page = scene.arrives("Ben", "?mode=validate&class=melanoma").page
    covered = metric(page, "Reasons judged")
    expect(covered).to_contain_text("0 %")
    says(page, "ruler", "Spurious")
    expect(page.get_by_text("ruler: spurious for melanoma.")).to_be_visible()
    expect(covered).to_contain_text(re.compile("[1-9][0-9] %"))
    before = covered.inner_text()
    drawn(page)
    says(page, "streaks", "Right")
    expect(page.get_by_text("streaks: right reason for melanoma.")).to_be_visible()
    expect(covered).not_to_have_text(before)
    expect(page.get_by_text(re.compile("right decisions stay the same"))).to_be_visible()
    page.reload()
    drawn(page)
    expect(covered).not_to_contain_text(re.compile(r"\b0 %"))


def says(page: Page, concept: str, word: str) -> None:
    """A word on a concept as a reason for melanoma."""
    row = page.get_by_role("radiogroup", name=f"{concept} as a reason for melanoma")
    row.get_by_role("radio", name=word).click()


def test_discover_a_hypothesis_and_its_cases(scene: Scene) -> None:
    cleo = scene.arrives("Cleo", "?mode=discover")
    page = cleo.page
    name = page.get_by_role("heading", level=2).first.inner_text()
    page.get_by_label("Your hypothesis").fill("a scale bar at the lower edge")
    page.get_by_role("button", name="Keep the hypothesis").click()
    expect(page.get_by_text("Your hypothesis is kept.")).to_be_visible()
    expect(page.get_by_text("a scale bar at the lower edge")).to_be_visible()
    for number in range(2):
        page.get_by_text("Collect", exact=True).nth(number).click()
        expect(page.get_by_role("checkbox", name="Collect").nth(number)).to_be_checked()
    page.get_by_role("button", name="Collect 2 cases").click()
    expect(page.get_by_text(f"2 cases collected in “Hypothesis: {name}”.")).to_be_visible()
    visit(cleo, "studies")
    expect(page.get_by_role("heading", name=f"Hypothesis: {name}")).to_be_visible()
    expect(page.get_by_text(re.compile("Hypothesis · 2 cases · by Cleo"))).to_be_visible()
    page.get_by_role("button", name="Open", exact=True).first.click()
    expect(page.get_by_role("button", name=re.compile("^Open case [12]$"))).to_have_count(2)


def test_what_if_by_keyboard_is_reckoned_here_and_kept(scene: Scene) -> None:
    sent: list[object] = []
    dana = scene.unseated()
    page = dana.page
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    dana.sign_in("Dana")
    dana.press("w")
    result = page.locator(".what-if .odds b")
    expect(result).to_contain_text("Move a concept: the model says")
    was = result.inner_text().rpartition(" ")[2]
    dana.settled()
    drawn(page)
    sent.clear()
    turns_it(page, result)
    now = result.inner_text()
    assert sent == []  # reckoned in the browser
    assert now.endswith(f"was {was}")
    page.get_by_role("button", name="Save as note").click()
    dana.settled()
    assert sent
    dana.reload()
    page.get_by_role("tab", name="Notes (1)").click()
    note = page.get_by_role("list", name="Notes and drawings").get_by_role("listitem")
    expect(note).to_contain_text("What if ")
    expect(note).to_contain_text("Dana")
    note.get_by_role("button", name="Show").click()
    expect(result).to_have_text(now)


def turns_it(page: Page, result: Locator) -> None:
    """Push sliders to an end, by keyboard, until the model decides otherwise."""
    slider = page.locator(".lever input").first
    odds = page.locator(".odds")
    before = odds.text_content() or ""
    slider.focus()
    page.keyboard.press("PageUp")
    expect(odds).not_to_have_text(before)
    page.get_by_role("button", name="Reset").click()
    expect(odds).to_have_text(before)
    for key in ("End", "Home"):
        slider.focus()
        page.keyboard.press(key)
        if result.inner_text().startswith("Now "):
            return
    page.get_by_role("button", name="Smallest flip").click()
    expect(result).to_contain_text("Now ")
