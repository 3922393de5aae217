"""The picture in a browser, pointed at: hover, layers, drawings, controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stage_page import (
    LAYERS,
    PICTURES,
    case,
    frame,
    look,
    opened,
    pixel,
    place,
    ramp,
    show,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Box = dict[str, float]


def drawing(id: str, kind: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    rest = {"shape": "box", "note": "", "cue_id": None, "letter": "", "reviewer": "Dr A"}
    return {"id": id, "kind": kind, "points": points, **rest, "at": "10:00", **more}


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Drag from place to place of the picture."""
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def told(page: Page) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = page.evaluate("desk.told")
    return found


class TestHover:
    def test_concept_activation_and_contribution_at_that_place(self, page: Page) -> None:
        cues = case(1)
        cues.maps[0] = [128] * (24 * 24)
        cues.model["cues"][0]["name"] = "<b>hair</b>"
        show(page, cues)
        page.mouse.move(*place(page, 0.5, 0.5))
        tip = page.locator(".tip")
        expect(tip).to_contain_text("<b>hair</b>")
        expect(tip).to_contain_text("1.00")  # half of an activation of 2
        expect(tip).to_contain_text("+0.75 logit")  # half of a contribution of 1.5
        expect(tip).to_contain_text("x 200, y 150 pixels")

    def test_the_tip_stays_within_the_picture(self, chrome: Browser) -> None:
        page = opened(chrome, PICTURES, 420, 700)
        cues = case(4)
        cues.maps = [[200] * (24 * 24)] * 4
        for cue in cues.model["cues"]:
            cue["name"] = "a rather long name of a sign " * 3
        show(page, cues)
        stage = page.locator(".stage").bounding_box()
        assert stage is not None
        for fx, fy in ((0.02, 0.02), (0.5, 0.5), (0.52, 0.48), (0.98, 0.98)):
            page.mouse.move(*place(page, fx, fy))
            tip = page.locator(".tip").bounding_box()
            assert tip is not None
            assert tip["x"] >= stage["x"]
            assert tip["x"] + tip["width"] <= stage["x"] + stage["width"]
            assert tip["y"] >= stage["y"]
        page.close()

    def test_nothing_that_tells_the_prediction_while_it_is_hidden(self, page: Page) -> None:
        show(page, case(1, prediction=""))
        x, y = page.evaluate("desk.stage.cues[0].top")
        page.mouse.move(*place(page, x, y))
        expect(page.locator(".tip")).to_contain_text("sign 0")
        expect(page.locator(".tip")).not_to_contain_text("logit")

    def test_a_click_selects_the_strongest_cue_there(self, page: Page) -> None:
        show(page, case(3))
        x, y = page.evaluate("desk.stage.cues[2].top")
        strongest = page.evaluate("(at) => desk.stage.at(at).cues[0].layer.cue.id", [x, y])
        page.mouse.click(*place(page, x, y))
        assert told(page)["picked"] == [strongest]

    def test_the_same_by_keys(self, page: Page) -> None:
        cues = case(1)
        cues.maps[0] = [255] * (24 * 24)
        show(page, cues)
        page.locator("canvas").focus()
        page.keyboard.press("Enter")
        expect(page.locator("[aria-live]").last).to_contain_text("A, sign 0: activation 2.00")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        expect(page.locator("[aria-live]").last).to_contain_text("x 240, y 150 pixels")
        page.keyboard.press("Enter")
        assert told(page)["picked"] == ["cue0"]
        page.keyboard.press("Escape")
        expect(page.locator(".tip")).to_be_hidden()

    def test_keys_that_are_not_the_pictures_go_on_to_the_desk(self, page: Page) -> None:
        show(page, case(1))
        page.evaluate(
            """() => {
              window.heard = []
              document.addEventListener("keydown", (event) => window.heard.push(event.key))
            }"""
        )
        page.locator("canvas").focus()
        for key in ("x", "ArrowDown", "Escape", "Shift+ArrowLeft", "Enter", "ArrowUp"):
            page.keyboard.press(key)
        assert page.evaluate("window.heard") == ["x", "ArrowDown", "Escape", "Shift"]


class TestLayers:
    def test_the_ground_truth_is_outlined(self, page: Page) -> None:
        show(page, case(1, layers=LAYERS), on=0)
        page.get_by_label("Further layer").select_option("mask")
        expect(page.locator(".stage-legend")).to_contain_text("Ground truth")
        page.wait_for_function("desk.stage.layers.get('mask').state === 'ready'")
        frame(page)
        page.mouse.move(*place(page, 0.5, 0.5))
        expect(page.locator(".tip")).to_contain_text("Ground truthinside")
        page.mouse.move(*place(page, 0.05, 0.05))
        expect(page.locator(".tip")).to_contain_text("Ground truthoutside")
        expect(page.get_by_role("img")).to_have_accessible_description(
            "Shown: no cue; fill. Layer: Ground truth."
        )

    def test_another_method_in_the_scale_of_the_legend(self, page: Page) -> None:
        show(page, case(1, layers=LAYERS), on=0)
        look(page, "desk.view.layerOpacity = 1; desk.controls.chooseLayer('ramp')")
        page.wait_for_function("desk.stage.layers.get('ramp').state === 'ready'")
        frame(page)
        strongest = page.evaluate("parts.heat(1)")
        assert pixel(page, 0.97, 0.4) == pytest.approx(strongest, abs=6)
        page.mouse.move(*place(page, 0.97, 0.4))
        expect(page.locator(".tip")).to_contain_text("100\u202f% of its peak")

    def test_one_that_cannot_be_had_says_why_and_can_be_asked_again(self, page: Page) -> None:
        show(page, case(1, layers=LAYERS))
        page.get_by_label("Further layer").select_option("gone")
        legend = page.locator(".stage-legend")
        expect(legend).to_contain_text("the file does not exist")
        page.route(
            "**/gone.png", lambda route: route.fulfill(body=ramp(), content_type="image/png")
        )
        legend.get_by_role("button", name="Try again").click()
        expect(legend).to_contain_text("none to strongest")

    def test_a_case_without_layers_offers_none(self, page: Page) -> None:
        show(page, case(1, layers=LAYERS))
        look(page, "desk.controls.chooseLayer('mask')")
        show(page, case(1, id="case"))
        expect(page.get_by_label("Further layer")).to_be_hidden()
        assert page.evaluate("desk.view.layer") is None


class TestDrawing:
    @pytest.fixture(autouse=True)
    def shown(self, page: Page) -> None:
        show(page, case(2))

    def test_a_box_by_dragging(self, page: Page) -> None:
        page.get_by_role("button", name="Box").click()
        drag(page, (0.6, 0.7), (0.2, 0.3))
        (shape,) = told(page)["drawn"]
        assert (shape["shape"], shape["cueId"]) == ("box", "cue0")
        assert np.array(shape["points"]) == pytest.approx(
            np.array([[0.2, 0.3], [0.6, 0.7]]), abs=0.01
        )
        assert page.evaluate("desk.stage.pending.shape") == "box"
        page.evaluate("desk.stage.settleDrawing()")
        assert page.evaluate("desk.stage.pending") is None

    def test_a_box_by_two_clicks(self, page: Page) -> None:
        """Nobody needs to drag (WCAG 2.5.7)."""
        page.get_by_role("button", name="Box").click()
        page.mouse.click(*place(page, 0.2, 0.2))
        assert told(page)["drawn"] == []
        page.mouse.click(*place(page, 0.5, 0.6))
        (shape,) = told(page)["drawn"]
        assert np.array(shape["points"]) == pytest.approx(
            np.array([[0.2, 0.2], [0.5, 0.6]]), abs=0.01
        )

    def test_a_box_by_keys(self, page: Page) -> None:
        page.get_by_role("button", name="Box").click()
        page.locator("canvas").focus()
        for key in ("ArrowLeft", "Enter", *["ArrowRight"] * 10, *["ArrowDown"] * 5, "Enter"):
            page.keyboard.press(key)
        (shape,) = told(page)["drawn"]
        assert shape["points"] == [[0.5, 0.5], [0.7, 0.6]]

    def test_a_lasso_by_hand(self, page: Page) -> None:
        page.get_by_role("button", name="Lasso").click()
        turn = np.linspace(0, 2 * np.pi, 30)
        circle = [(0.5 + 0.2 * np.cos(t), 0.5 + 0.2 * np.sin(t)) for t in turn]
        drag(page, *circle)
        (shape,) = told(page)["drawn"]
        assert shape["shape"] == "lasso"
        assert 8 <= len(shape["points"]) <= 200
        found = page.evaluate("(points) => parts.area(points)", shape["points"])
        assert abs(found) == pytest.approx(np.pi * 0.2**2, rel=0.05)

    def test_a_lasso_from_click_to_click(self, page: Page) -> None:
        page.get_by_role("button", name="Lasso").click()
        for at in ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.205, 0.2)):
            page.mouse.click(*place(page, *at))
        (shape,) = told(page)["drawn"]
        assert len(shape["points"]) == 3

    def test_escape_gives_it_up(self, page: Page) -> None:
        page.get_by_role("button", name="Lasso").click()
        page.mouse.click(*place(page, 0.2, 0.2))
        page.locator("canvas").focus()
        page.keyboard.press("Escape")
        page.mouse.click(*place(page, 0.7, 0.7))
        assert page.evaluate("desk.stage.pointing.pen.points.length") == 1
        assert told(page)["drawn"] == []

    def test_a_speck_is_refused_in_words(self, page: Page) -> None:
        page.get_by_role("button", name="Box").click()
        page.mouse.click(*place(page, 0.5, 0.5))
        page.mouse.click(*place(page, 0.501, 0.5))
        assert told(page)["drawn"] == []
        assert "Too small" in told(page)["said"][0]

    def test_outside_is_cut_off_at_the_border(self, page: Page) -> None:
        page.get_by_role("button", name="Box").click()
        drag(page, (0.9, 0.9), (1.01, 1.01))
        (shape,) = told(page)["drawn"]
        assert shape["points"][1] == [1, 1]

    def test_drawings_are_shown_named_and_can_be_taken_away(self, page: Page) -> None:
        box = [[0.3, 0.3], [0.6, 0.6]]
        shown = [drawing("d1", "missed", box, note="<i>see</i>", cue_id="cue1", letter="B")]
        show(page, case(2, drawings=shown))
        page.mouse.move(*place(page, 0.45, 0.45))
        expect(page.locator(".tip")).to_contain_text("missed sign, cue B, \u201c<i>see</i>\u201d")
        page.get_by_role("button", name="Box").click()
        frame(page)
        spot: Box = page.evaluate("desk.stage.chips[0]")
        canvas = page.locator("canvas").bounding_box()
        assert canvas is not None
        page.mouse.click(canvas["x"] + spot["x"] + 10, canvas["y"] + spot["y"] + 10)
        assert told(page)["erased"] == ["d1"]
        assert told(page)["drawn"] == []

    def test_what_must_not_count_is_crossed_and_said_in_words(self, page: Page) -> None:
        """Never by colour alone: a pattern of its own, a word on the picture, words in the tip."""
        box = [[0.3, 0.3], [0.6, 0.6]]
        inside = {}
        for kind in ("here", "wrong-part", "spurious"):
            show(page, case(2, drawings=[drawing("d1", kind, box)]), on=0)
            frame(page)
            inside[kind] = np.array(
                [pixel(page, x, 0.5) for x in np.linspace(0.35, 0.55, 60)], dtype=float
            )
        bare, lines, crossed = (inside[kind] for kind in ("here", "wrong-part", "spurious"))
        assert np.abs(crossed - bare).max() > 80
        assert np.abs(crossed - lines).max() > 80
        page.mouse.move(*place(page, 0.45, 0.45))
        expect(page.locator(".tip")).to_contain_text("must not count")

    def test_what_was_stored_is_no_longer_pending(self, page: Page) -> None:
        page.get_by_role("button", name="Box").click()
        drag(page, (0.2, 0.3), (0.6, 0.7))
        shown = [drawing("new", "here", [[0.2, 0.3], [0.6, 0.7]])]
        show(page, case(2, drawings=shown))
        assert page.evaluate("desk.stage.pending") is None


def test_newer_words_on_the_same_case_keep_what_is_looked_at(page: Page) -> None:
    show(page, case(2))
    page.evaluate("desk.stage.zoomBy(3)")
    fields = page.evaluate("(window.field = desk.stage.cues[0].field, true)")
    show(page, case(2, alt="Image, newer"))
    assert fields
    assert page.evaluate("desk.stage.cues[0].field === window.field")
    assert page.evaluate("desk.stage.lens.zoom") == 3


def test_the_controls_have_names_and_room_for_a_finger(page: Page) -> None:
    show(page, case(1, layers=LAYERS))
    look(page, "desk.controls.chooseLayer('ramp')")
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")]
          .filter((node) => node.checkVisibility()).map((node) => {
            const { width, height } = node.getBoundingClientRect()
            const name = node.getAttribute("aria-label") || node.textContent.trim()
            return [name, width, height]
          }).filter(([name, width, height]) => !name || width < 24 || height < 24)"""
    )
    assert small == []
