"""The desk for everybody: the first visit, the help, no barrier, and room on every screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from dashboard.components.viewer import Study
from tests import fakes
from tests.e2e.desk_page import DeskPage
from tests.e2e.screen import WCAG, serious

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


class TestFirstVisitAndHelp:
    def test_three_cards_at_the_first_visit_only(self, chrome: Browser) -> None:
        desk = DeskPage(chrome, fakes.services(), tour=True)
        desk.show(desk.case())
        expect(desk.page.locator(".card")).to_have_count(3)
        desk.press("y")  # any key of the desk closes them and does what it does
        expect(desk.page.locator(".tour")).to_be_hidden()
        assert len(desk.sent()) == 1
        desk.open()
        desk.show(desk.case())
        expect(desk.page.locator(".tour")).to_be_hidden()
        desk.press("h")
        desk.page.get_by_role("button", name="Show the introduction").click()
        expect(desk.page.locator(".card").first).to_be_visible()
        desk.page.close()

    def test_help_lists_every_key_that_does_something(self, desk: DeskPage) -> None:
        desk.show(desk.case())
        desk.press("h")
        listed = " ".join(desk.page.locator(".help-columns dt").all_inner_texts())
        for key in "YXCEURZGDLMNPJFQKBSVAOITW":
            assert key in listed
        desk.press("Escape")
        expect(desk.page.locator(".help")).to_be_hidden()


class TestForEverybody:
    @pytest.mark.parametrize(
        "keys", [(), ("w",), ("t", "t"), ("r",), ("m",), ("k",), ("h",), ("x", "y", "1")]
    )
    def test_no_serious_finding_in_any_state(self, desk: DeskPage, keys: tuple[str, ...]) -> None:
        desk.show(desk.case(), studies=[Study(fakes.uid("study"), "Rulers")])
        desk.press(*keys)
        assert serious(desk.page, WCAG) == []

    def test_no_serious_finding_in_the_cards_the_icicle_and_a_blind_case(
        self, blind: DeskPage
    ) -> None:
        blind.page.evaluate("localStorage.clear()")
        blind.show(blind.case())
        expect(blind.page.locator(".card").first).to_be_visible()
        assert serious(blind.page, WCAG) == []


LONG = "seborrhoeic keratosis"
CLIPPED = """() => [...document.querySelectorAll(
  ".head .fact, .head button, .head .where b, .case-panel, .cue .figure, .cue .verdict, .tab")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth)
  .map((e) => e.className + ": " + e.textContent)"""


class TestRoom:
    @pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (3840, 2160)])
    @pytest.mark.parametrize("prediction", ["naevus", LONG])
    def test_picture_cues_and_case_fit_and_nothing_is_cut(
        self, desk: DeskPage, size: tuple[int, int], prediction: str
    ) -> None:
        case: Any = replace(desk.case(1), prediction=prediction, label=LONG, confidence=0.999)
        desk.page.set_viewport_size({"width": size[0], "height": size[1]})
        desk.show(case)
        assert desk.page.evaluate(CLIPPED) == []
        assert desk.page.evaluate("document.documentElement.scrollHeight") <= size[1]
        for part in (".stage", ".cues", ".case-panel", ".story"):
            box = desk.page.locator(part).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= size[1]
            assert box["height"] > 20
