"""The picture in a browser: modes, zoom, hover, layers, drawings, and how fast it all is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import App, Person
from tests.e2e.stage_page import blobs, case, frame, opened, picture, png, show

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Box = dict[str, float]


def disc(side: int = 64) -> bytes:
    """A mask: white in the middle."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    return png(((np.hypot(x, y) < 0.25) * 255).astype(np.uint8))


def ramp() -> bytes:
    """An attribution of 4 x 4 patches, strongest at the right."""
    return png(np.tile(np.array([0, 85, 170, 255], np.uint8), (4, 1)))


LAYERS = [
    {"key": "mask", "name": "Ground truth", "kind": "mask", "url": "/mask.png", "about": "m"},
    {"key": "ramp", "name": "Grad-CAM", "kind": "attribution", "url": "/ramp.png", "about": "r"},
    {"key": "gone", "name": "Gone", "kind": "attribution", "url": "/gone.png", "about": "g"},
]
PICTURES = {"/case.png": picture(), "/mask.png": disc(), "/ramp.png": ramp()}


def drawing(id: str, kind: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    rest = {"shape": "box", "note": "", "cue_id": None, "letter": "", "reviewer": "Dr A"}
    return {"id": id, "kind": kind, "points": points, **rest, "at": "10:00", **more}


@pytest.fixture
def page(chrome: Browser) -> Iterator[Page]:
    opened_page = opened(chrome, PICTURES)
    yield opened_page
    opened_page.close()


def place(page: Page, fx: float, fy: float) -> tuple[float, float]:
    """Where a place of the picture is on the screen."""
    box = page.locator("canvas").bounding_box()
    assert box is not None
    x, y = page.evaluate("(at) => desk.stage.place(at)", [fx, fy])
    return box["x"] + x, box["y"] + y


def pixel(page: Page, fx: float, fy: float) -> list[int]:
    """The colour drawn there."""
    found: list[int] = page.evaluate(
        """([fx, fy]) => {
          const [x, y] = desk.stage.place([fx, fy])
          const { data } = desk.stage.context.getImageData(Math.round(x), Math.round(y), 1, 1)
          return Array.from(data)
        }""",
        [fx, fy],
    )
    return found[:3]


def look(page: Page, script: str) -> None:
    """Change the view, as the controls do."""
    page.evaluate(f"() => {{ {script}; desk.changed() }}")
    frame(page)


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


class TestModes:
    def test_each_mode_draws_differently_and_bare_draws_nothing(self, page: Page) -> None:
        cues = case(1)
        show(page, cues, on=1)
        x, y = page.evaluate("desk.stage.cues[0].top")
        look(page, "desk.view.bare = true")
        bare = pixel(page, x - 0.04, y)
        drawn = {}
        for mode in ("fill", "outline", "spotlight"):
            look(page, f"desk.view.bare = false; desk.view.mode = '{mode}'")
            drawn[mode] = pixel(page, x - 0.04, y)
        assert drawn["outline"] == bare
        assert drawn["fill"] != bare
        assert drawn["spotlight"] == bare

    def test_spotlight_darkens_the_rest(self, page: Page) -> None:
        cues = case(1)
        cues.maps[0] = [255 if i % 24 < 8 else 0 for i in range(24 * 24)]
        show(page, cues, on=1)
        look(page, "desk.view.mode = 'spotlight'; desk.view.bare = true")
        bare = pixel(page, 0.9, 0.1)
        look(page, "desk.view.bare = false")
        assert sum(pixel(page, 0.9, 0.1)) < 0.5 * sum(bare)

    def test_side_by_side_moves_together(self, page: Page) -> None:
        show(page, case(2), on=2)
        page.get_by_role("button", name="Side by side").click()
        frame(page)
        assert page.evaluate("desk.stage.panes().map((pane) => pane.cues)") == [False, True]
        box = page.locator("canvas").bounding_box()
        assert box is not None
        before = page.evaluate("desk.stage.fractions(100, 300)")
        page.mouse.move(box["x"] + 100, box["y"] + 300)
        page.mouse.wheel(0, -400)
        frame(page)
        # The place under the pointer stays; the other pane shows the same part.
        after = page.evaluate("desk.stage.fractions(100, 300)")
        assert after[0] == pytest.approx(before[0], abs=1e-6)
        left, right = page.evaluate(
            """desk.stage.panes().map((pane) => {
              const at = desk.stage.lens.box(pane, desk.stage.entry)
              return [at.x - pane.x, at.y - pane.y, at.width]
            })"""
        )
        assert left == pytest.approx(right)
        assert left[2] > 400

    def test_solo_and_onoff(self, page: Page) -> None:
        show(page, case(3), on=2)
        shown = "desk.stage.shown().map((layer) => layer.cue.letter).join('')"
        assert page.evaluate(shown) == "AB"
        look(page, "desk.view.on.delete('cue0')")
        assert page.evaluate(shown) == "B"
        look(page, "desk.view.solo = true; desk.view.selected = 'cue2'")
        assert page.evaluate(shown) == "C"

    def test_the_text_alternative_says_what_is_shown(self, page: Page) -> None:
        show(page, case(2), on=1)
        canvas = page.get_by_role("img", name="Image a.png")
        expect(canvas).to_have_accessible_description("Shown: A sign 0; fill.")
        look(page, "desk.view.bare = true")
        expect(canvas).to_have_accessible_description("Bare image.")


class TestPerCue:
    def test_a_threshold_of_its_own(self, page: Page) -> None:
        show(page, case(2), on=2)
        page.get_by_role("button", name="All cues").click()
        slider = page.get_by_label("Threshold, per cent")
        slider.fill("90")
        frame(page)
        levels = "desk.stage.cues.map((layer) => [layer.threshold, layer.opacity])"
        assert page.evaluate(levels) == [[0.9, 0.45], [0.5, 0.45]]
        expect(page.get_by_role("button", name="Only A")).to_have_attribute("aria-pressed", "true")
        look(page, "desk.view.selected = 'cue1'")
        expect(slider).to_have_value("50")  # the other cue has what holds for all
        look(page, "desk.view.selected = 'cue0'")
        expect(slider).to_have_value("90")
        page.get_by_role("button", name="Only A").click()
        frame(page)
        assert page.evaluate(levels) == [[0.5, 0.45], [0.5, 0.45]]

    def test_a_higher_threshold_shrinks_the_outline(self, page: Page) -> None:
        show(page, case(1), on=1)
        inside = "(at) => desk.stage.context.isPointInPath(desk.stage.cues[0].path, at[0], at[1])"
        x, y = page.evaluate("desk.stage.cues[0].top")
        spread = [[x + d, y] for d in (0.0, 0.05, 0.1, 0.15, 0.2)]
        counts = []
        for level in (0.2, 0.5, 0.8):
            look(page, f"desk.view.threshold = {level}")
            page.evaluate("desk.stage.context.setTransform(1, 0, 0, 1, 0, 0)")
            counts.append(sum(page.evaluate(inside, point) for point in spread))
        assert counts == sorted(counts, reverse=True)
        assert counts[0] > counts[2] > 0


class TestZoom:
    def test_the_place_under_the_pointer_stays(self, page: Page) -> None:
        show(page, case(1))
        spot = place(page, 0.3, 0.6)
        page.mouse.move(*spot)
        for _ in range(4):
            page.mouse.wheel(0, -200)
        frame(page)
        assert place(page, 0.3, 0.6) == pytest.approx(spot, abs=3)  # pointers count in pixels
        page.keyboard.press("Tab")
        page.mouse.dblclick(*spot)
        frame(page)
        assert page.evaluate("desk.stage.lens.zoom") == 1

    def test_the_picture_cannot_be_lost(self, page: Page) -> None:
        show(page, case(1))
        for zoom in (1, 5):
            page.evaluate("(zoom) => { desk.stage.reset(); desk.stage.zoomBy(zoom) }", zoom)
            for dx, dy in ((9e4, 0), (-9e4, 9e4), (0, -9e4)):
                page.evaluate("([dx, dy]) => desk.stage.panBy(dx, dy)", [dx, dy])
                covered = page.evaluate(
                    """() => {
                      const [pane] = desk.stage.panes()
                      const at = desk.stage.lens.box(pane, desk.stage.entry)
                      return at.x <= pane.w / 2 && at.x + at.width >= pane.w / 2
                        && at.y <= pane.h / 2 && at.y + at.height >= pane.h / 2
                    }"""
                )
                assert covered

    def test_one_to_one_and_what_it_says(self, page: Page) -> None:
        show(page, case(1))
        page.get_by_role("button", name="Magnification").click()
        frame(page)
        expect(page.locator(".scale")).to_have_text("221\u202f%")  # smaller than its pane: stays
        page.evaluate("desk.stage.zoomBy(1e9)")
        frame(page)
        scale = page.evaluate("desk.stage.lens.box(desk.stage.panes()[0], desk.stage.entry).scale")
        assert scale >= 8
        page.get_by_role("button", name="Whole image").click()
        frame(page)
        assert page.evaluate("desk.stage.lens.zoom") == 1

    def test_every_pixel_is_fetched_only_when_one_zooms_in(self, chrome: Browser) -> None:
        asked: list[str] = []
        full = png(np.full((2000, 3000, 3), (10, 200, 30), np.uint8))
        small = picture(1200, 800)
        page = opened(chrome, {"/full.png": full, "/case.png": small, "/other.png": picture()})
        page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
        cues = case(1, size=(3000, 2000))
        cues.model["image"]["url"] = "/full.png"
        show(page, cues, on=0)
        assert "full.png" not in asked
        page.evaluate("desk.stage.zoomBy(3)")
        page.wait_for_function("desk.stage.entry.full !== null")
        frame(page)
        assert pixel(page, 0.5, 0.5) == [10, 200, 30]
        page.evaluate("(window.before = desk.stage.entry, true)")
        show(page, case(1, id="other"))  # only the one being looked at keeps every pixel
        assert page.evaluate("[before.full === null, before.small !== null]") == [True, True]
        page.close()

    def test_the_next_picture_is_fetched_ahead(self, chrome: Browser) -> None:
        page = opened(chrome, {**PICTURES, "/next.png": picture(200, 200)})
        first = case(1)
        first.model["image"]["ahead"] = {"id": "image-next", "url": "/next.png"}
        show(page, first)
        page.wait_for_function("desk.stage.pictures.kept.get('image-next')?.small")
        page.route("**/next.png", lambda route: route.abort())  # it is here already
        show(page, case(1, size=(200, 200), id="next"))
        assert page.evaluate("desk.stage.entry.small.width") == 200
        page.close()


class TestTrouble:
    def test_a_picture_that_is_gone_says_so(self, page: Page) -> None:
        page.evaluate("([model, maps]) => show(model, maps)", _lost())
        notice = page.locator(".notice")
        expect(notice).to_have_text("The picture cannot be shown: the file does not exist.")
        assert page.locator("canvas[data-picture]").count() == 0

    def test_no_cue_of_a_case_is_drawn_over_the_picture_of_another(self, page: Page) -> None:
        show(page, case(1))
        page.evaluate("([model, maps]) => show(model, maps)", _lost())
        expect(page.locator(".notice")).to_be_visible()
        frame(page)
        assert page.evaluate("desk.stage.ready") is False
        assert page.evaluate("desk.stage.hover(400, 300)") is None

    def test_a_newer_address_is_tried_where_the_old_one_failed(self, page: Page) -> None:
        """As after a restart of the app: the same case comes with new passes."""
        page.evaluate("([model, maps]) => show(model, maps)", _lost())
        expect(page.locator(".notice")).to_be_visible()
        again = case(1, id="lost")
        again.model["image"] |= {"url": "/case.png", "preview": "/case.png"}
        show(page, again)
        expect(page.locator(".notice")).to_be_hidden()

    def test_where_only_the_preview_can_be_had_it_says_so(self, page: Page) -> None:
        cues = case(1, size=(3000, 2250))
        cues.model["image"]["url"] = "/full.png"
        show(page, cues)
        page.evaluate("desk.stage.zoomBy(4)")
        expect(page.locator(".notice")).to_have_text(
            "Only a preview can be shown: the file does not exist."
        )

    def test_bytes_in_the_packet_do_without_routes(self, page: Page) -> None:
        cues = case(1)
        cues.model["image"] |= {"url": "", "preview": ""}
        page.evaluate(
            """([model, maps, bytes]) => desk.stage.load(model,
              { image: Uint8Array.from(bytes), map0: Uint8Array.from(maps[0]) })""",
            [cues.model, cues.maps, list(picture(120, 90))],
        )
        expect(page.locator('canvas[data-picture="image-case"]')).to_be_visible()


def _lost() -> list[Any]:
    cues = case(1, id="lost")
    return [cues.model, cues.maps]


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


# ---- in the app


def test_pictures_come_over_the_apps_own_routes(chrome: Browser, app: App) -> None:
    """By signed address, each once, the next one ahead; nothing of it over the session's socket."""
    answers: list[tuple[int, str]] = []
    page = chrome.new_page(viewport={"width": 1280, "height": 800})
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    person = Person(page, app.url)
    person.sign_in()
    first = page.locator("canvas[data-picture]")
    expect(first).to_be_visible()
    shown = first.get_attribute("data-picture")
    pictures = [each for each in answers if "/insight/image/" in each[1]]
    assert shown is not None
    assert shown in pictures[0][1]
    assert {status for status, _ in pictures} == {200}
    person.next_case()
    expect(page.locator(f'canvas[data-picture]:not([data-picture="{shown}"])')).to_be_visible()
    now = page.locator("canvas[data-picture]").get_attribute("data-picture")
    asked = [url for _, url in answers if f"/insight/image/{now}" in url]
    assert len(asked) == 1  # fetched ahead, and not again
    unsigned = page.request.get(asked[0].split("?")[0])
    assert unsigned.status == 403
    page.close()


# ---- how long a person waits: the one place where time is asserted, as the issue asks

MEASURE = """() => {
  window.waits = []
  const seen = (event) => {
    if (event.type === "pointermove" && !event.buttons) return
    const { timeStamp } = event
    const kind = window.doing
    requestAnimationFrame(() => requestAnimationFrame(() =>
      window.waits.push([kind, performance.now() - timeStamp])))
  }
  for (const type of ["wheel", "input", "click", "keydown", "pointermove"]) {
    window.addEventListener(type, seen, { capture: true, passive: true })
  }
}"""
ROUNDS = 3  # other processes of the machine only ever add: the quietest round counts
LONGEST = 200.0  # ms at p95, from the event to the frame after the one that shows the answer


def photograph(side: int) -> bytes:
    """Noise in patches, as hard to draw as a photograph."""
    noise = np.random.default_rng(0).integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


def test_looking_answers_within_a_fifth_of_a_second(chrome: Browser) -> None:
    """4096 x 4096 pixels and 30 cues: zoom, pan, opacity, threshold, toggle, mode."""
    pictures = {"/full.jpg": photograph(4096), "/small.jpg": photograph(1600)}
    page = opened(chrome, pictures, 1280, 800)
    cues = case(30, size=(4096, 4096))
    cues.maps = blobs(30, seed=11)
    cues.model["image"] |= {"url": "/full.jpg", "preview": "/small.jpg"}
    show(page, cues, on=30)
    page.evaluate("desk.stage.pictures.large(desk.stage.entry)")
    page.wait_for_function("desk.stage.entry.full !== null")
    page.evaluate(MEASURE)
    late: list[float] = []
    for _ in range(ROUNDS):
        waits = _round(page)
        kinds = {kind for kind, _ in waits}
        assert kinds == {"mode", "zoom", "pan", "opacity", "threshold", "toggle"}
        assert len(waits) > 200
        late.append(float(np.percentile([ms for _, ms in waits], 95)))
        if late[-1] <= LONGEST:
            break
    page.close()
    assert min(late) <= LONGEST, late


def _round(page: Page) -> list[tuple[str, float]]:
    page.evaluate("() => { window.waits.length = 0 }")
    for mode in ("Fill", "Outline", "Spotlight", "Side by side"):
        doing(page, "mode")
        page.get_by_role("button", name=mode, exact=True).click()
        frame(page)
        _look_around(page)
    waits: list[tuple[str, float]] = page.evaluate("window.waits")
    return waits


def doing(page: Page, what: str) -> None:
    page.evaluate("(what) => { window.doing = what }", what)


def _look_around(page: Page) -> None:
    x, y = place(page, 0.55, 0.5)
    page.mouse.move(x, y)
    doing(page, "zoom")
    for turn in (-150, 150):
        for _ in range(8):
            page.mouse.wheel(0, turn)
            page.wait_for_timeout(20)
        frame(page)
    page.mouse.wheel(0, -600)
    frame(page)
    doing(page, "pan")
    page.mouse.down()
    for step in range(12):
        page.mouse.move(x + 8 * step, y + 5 * step)
    page.mouse.up()
    frame(page)
    for name in ("opacity", "threshold"):
        doing(page, name)
        page.get_by_label(f"{name.title()}, per cent", exact=True).focus()
        for press in range(8):
            page.keyboard.press("ArrowRight" if press % 3 else "ArrowLeft")
        frame(page)
    doing(page, "toggle")
    for _ in range(6):
        page.get_by_role("button", name="Bare").click()
    frame(page)
    page.evaluate("desk.stage.reset()")
    frame(page)
