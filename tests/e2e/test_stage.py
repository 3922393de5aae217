"""The picture in a browser: modes, thresholds, zoom, and what is said where one is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stage_page import (
    PICTURES,
    case,
    frame,
    look,
    opened,
    picture,
    pixel,
    place,
    png,
    show,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


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
