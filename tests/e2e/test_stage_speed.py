"""The picture in a browser: how it comes to the app, and how fast it answers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e.driver import App, Person
from tests.e2e.stage_page import blobs, case, frame, opened, place, show

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


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
