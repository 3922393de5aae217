"""The viewer's script in a browser, without the app: maps, outbox, hostile names, one listener."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.components.bundle import asset, bundle
from dashboard.components.viewer import Ack, Picture, Sitting, packet
from dashboard.viewmodels import CaseView
from tests import fakes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SIDE = 144
ORIGIN = "http://desk.test/"
SCRIPT = (
    bundle().replace("export default function mount", "function mount")
    + "\nwindow.viewer = { upsample, blend, contours, Outbox, uuid, mount }"
)
STYLE = asset("viewer.css") + asset("stage.css")
PAGE = f"<!doctype html><title>desk</title><style>{STYLE}</style><main id=m></main>"


@pytest.fixture
def page(chrome: Browser) -> Iterator[Page]:
    """A blank page of its own origin with the script loaded."""
    opened = chrome.new_page(viewport={"width": 1280, "height": 800})
    opened.route(
        "http://desk.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html")
    )
    opened.goto("http://desk.test/")
    opened.add_script_tag(content=SCRIPT)
    yield opened
    opened.close()


def case(book: fakes.Book | None = None) -> tuple[CaseView, Picture]:
    services = fakes.services(book)
    view = services.review.case("", None, services.review.sign_in("Ada"))
    return view, Picture(*services.review.image_bytes(view.image_id))


def mount(page: Page, view: CaseView, picture: Picture, acks: dict[str, Ack] | None = None) -> None:
    """Call the component as Streamlit does; what it sends lands in window.sent."""
    sitting = Sitting("session", "reviewer", "project", ("naevus", "melanoma"))
    data = list(packet(view, picture, sitting, acks or {}))
    page.evaluate(
        """(bytes) => {
          window.sent ??= []
          window.cleanup = viewer.mount({
            data: new Uint8Array(bytes), parentElement: document.getElementById("m"),
            setTriggerValue: (name, value) => window.sent.push(JSON.parse(JSON.stringify(value))),
          })
        }""",
        data,
    )
    expect(page.locator(".cue").first).to_be_visible()


def sent(page: Page) -> Any:
    return page.evaluate("window.sent")


def test_upsampling_keeps_constants_and_interpolates_between_centres(page: Page) -> None:
    flat, ramp = page.evaluate(
        """() => [Array.from(viewer.upsample(new Uint8Array(12).fill(51), 3, 4, 24)),
                  Array.from(viewer.upsample(new Uint8Array([0, 255]), 1, 2, 8))]"""
    )
    assert flat == pytest.approx([0.2] * 24 * 24)
    assert ramp[:8] == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_a_disc_has_one_closed_outline_of_the_right_area(page: Page) -> None:
    rings = page.evaluate(
        """(side) => {
          const field = new Float32Array(side * side)
          for (let i = 0; i < field.length; i++) {
            const d = Math.hypot((i % side) - side / 2, Math.floor(i / side) - side / 2)
            field[i] = Math.max(0, 1 - d / (side / 2))
          }
          return viewer.contours(field, 0.5)
        }""",
        SIDE,
    )
    (ring,) = rings
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    area = abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2
    assert area == pytest.approx(math.pi * 0.25**2, rel=0.02)


def test_outlines_close_at_the_border_and_round_a_hole(page: Page) -> None:
    counts = page.evaluate(
        """(side) => {
          const full = new Float32Array(side * side).fill(1)
          const hole = full.slice()
          for (let y = 50; y < 80; y++) for (let x = 50; x < 80; x++) hole[y * side + x] = 0
          const none = new Float32Array(side * side)
          return [full, hole, none].map((field) => viewer.contours(field, 0.5).length)
        }""",
        SIDE,
    )
    assert counts == [1, 2, 0]


def test_blending_covers_as_one_minus_the_product(page: Page) -> None:
    pixels = page.evaluate(
        """() => {
          const layer = (value, rgb, opacity = 0.5, threshold = 0.5) =>
            ({ field: new Float32Array([value]), rgb, opacity, threshold })
          const blended = (...layers) => {
            const out = new Uint8ClampedArray(4)
            viewer.blend(layers, out)
            return Array.from(out)
          }
          return [
            blended(layer(1, [200, 0, 0]), layer(1, [0, 100, 0])),
            blended(layer(0.4, [200, 0, 0])),
            blended(layer(0.4, [200, 0, 0], 1, 0.4)),
            blended(layer(1, [200, 0, 0], 1), layer(1, [0, 100, 0], 0.25)),
          ]
        }"""
    )
    own_threshold = round(255 * (0.35 + 0.65 * 0.4))
    assert pixels == [
        [100, 50, 0, 191],
        [0, 0, 0, 0],
        [200, 0, 0, own_threshold],
        [160, 20, 0, 255],
    ]


def test_the_outbox_sends_all_that_waits_and_survives_a_reload(page: Page) -> None:
    page.evaluate(
        """() => {
          window.lists = []
          const box = new viewer.Outbox((events) => window.lists.push(events.map((e) => e.id)))
          box.attach("r", "p", "s1")
          box.add({ id: "a", kind: "verdict", cue_id: "c" })
          box.add({ id: "b", kind: "verdict", cue_id: "c" })
          box.settle({ a: { ok: true } })
          box.stop()
        }"""
    )
    assert page.evaluate("window.lists") == [["a"], ["a", "b"]]
    page.reload()
    page.add_script_tag(content=SCRIPT)
    waiting = page.evaluate(
        """() => {
          const box = new viewer.Outbox(() => {})
          box.attach("r", "p", "s2")
          const found = box.waiting.map((e) => e.id)
          box.stop()
          return found
        }"""
    )
    assert waiting == ["b"]


def test_two_tabs_keep_each_others_events(page: Page) -> None:
    stored = page.evaluate(
        """() => {
          const [one, two] = [0, 1].map(() => new viewer.Outbox(() => {}))
          for (const box of [one, two]) box.attach("r", "q", "s")
          one.add({ id: "a", kind: "undo" })
          two.add({ id: "b", kind: "undo" })
          two.settle({ b: { ok: true } })
          one.stop()
          return JSON.parse(localStorage.getItem("insight.outbox.r.q")).map((e) => e.id)
        }"""
    )
    assert stored == ["a"]


def test_ids_are_uuids_also_without_a_secure_context(page: Page) -> None:
    made = page.evaluate("() => Array.from({ length: 20 }, () => viewer.uuid())")
    assert len(set(made)) == 20
    for value in made:
        assert len(value) == 36
        assert value[14] == "4"


def test_hostile_names_stay_text(page: Page) -> None:
    view, picture = case(fakes.Book(hostile=True))
    mount(page, replace(view, narrative=fakes.HOSTILE, image_name=fakes.HOSTILE), picture)
    expect(page.locator(".cue .name").nth(1)).to_have_text(fakes.HOSTILE)
    assert page.locator("#m img").count() == 0
    assert page.title() == "desk"


def test_new_data_on_the_same_root_makes_no_second_desk(page: Page) -> None:
    view, picture = case()
    mount(page, view, picture)
    mount(page, replace(view, narrative="other"), picture)
    assert page.locator(".desk").count() == 1
    page.keyboard.press("x")
    assert [len(events) for events in sent(page)] == [1]
    page.evaluate("window.cleanup()")
    page.keyboard.press("y")
    assert len(sent(page)) == 1
    assert page.locator(".desk").count() == 0


def test_saved_is_said_only_once_the_server_answered(page: Page) -> None:
    view, picture = case()
    mount(page, view, picture)
    status = page.locator(".cue .status").first
    page.keyboard.press("x")
    expect(status).to_have_text("spurious: saving\u2026")
    (event,) = sent(page)[-1]
    mount(page, replace(view, narrative="unrelated"), picture)
    expect(status).to_have_text("spurious: saving\u2026")
    mount(page, view, picture, {event["id"]: Ack(False, "Not saved: the disk is full.")})
    expect(page.get_by_role("alert")).to_have_text("Not saved: the disk is full.")
    expect(status).not_to_contain_text("spurious")


def test_quick_verdicts_count_on_from_one_another(page: Page) -> None:
    view, picture = case()
    mount(page, view, picture)
    for key in ("x", "1", "y", "1", "u"):  # a verdict goes on to the next cue; 1 comes back
        page.keyboard.press(key)
    assert [event["based_on"] for event in sent(page)[-1]] == [0, 1, 2]
    assert len({event["cue_id"] for event in sent(page)[-1]}) == 1


def test_no_key_judges_while_another_case_is_on_its_way(page: Page) -> None:
    view, picture = case()
    mount(page, view, picture)
    page.keyboard.press("n")
    page.keyboard.press("x")
    kinds = [event["kind"] for events in sent(page) for event in events]
    assert kinds == ["open"]


def test_everything_has_a_name_for_a_screen_reader(page: Page) -> None:
    view, picture = case()
    mount(page, view, picture)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, canvas, a")]
          .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
            || node.labels?.length)).map((node) => node.outerHTML)"""
    )
    assert nameless == []
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem").first).to_be_visible()
    tree.get_by_role("treeitem").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"


def test_a_case_without_cues_says_so(page: Page) -> None:
    view, picture = case()
    sitting = Sitting("session", "reviewer", "project", ("naevus",))
    data = json.dumps(list(packet(replace(view, cues=(), tree=()), picture, sitting, {})))
    page.evaluate(
        f"""() => viewer.mount({{ data: new Uint8Array({data}),
          parentElement: document.getElementById("m"), setTriggerValue: () => {{}} }})"""
    )
    expect(page.get_by_text("No concept fired strongly enough")).to_be_visible()
    page.keyboard.press("x")
    expect(page.get_by_text("No cue selected")).to_be_visible()
