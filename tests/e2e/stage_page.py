"""The picture by itself in a browser: a page with stage and controls, and pictures to serve it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from dashboard.components.bundle import asset, bundle, modules

ORIGIN = "http://desk.test/"
NAMES = tuple(dict.fromkeys((*modules("stage"), *modules("controls"))))
SCRIPT = (
    bundle(NAMES)
    + """
window.parts = { Stage, Controls, Pen, Lens, plainView, area, holds, simplified, heat }
window.build = () => {
  const host = document.querySelector(".desk")
  const view = plainView()
  const told = { picked: [], drawn: [], erased: [], said: [] }
  const changed = () => { stage.refresh(); controls.sync() }
  const stage = new Stage(view, {
    pick: (id) => { told.picked.push(id); view.selected = id; view.on.add(id); changed() },
    drawn: (shape) => told.drawn.push(shape), erase: (id) => told.erased.push(id),
    say: (words) => told.said.push(words), changed,
  })
  const controls = new Controls(view, changed, stage)
  host.append(stage.root, controls.root)
  window.desk = { stage, controls, view, told, changed }
}
window.show = (model, maps) => {
  const blobs = Object.fromEntries(maps.map((map, i) => [`map${i}`, Uint8Array.from(map)]))
  desk.stage.load(model, blobs)
  desk.controls.load(model)
}
"""
)
PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>stage</title>
<style>{asset("viewer.css")}{asset("stage.css")} body {{ margin: 0 }}
.desk {{ height: 100vh !important; padding: 8px; box-sizing: border-box }}</style>
<main><div class="desk"></div></main>"""


@dataclass
class Cues:
    """What the page is asked to show."""

    model: dict[str, Any]
    maps: list[list[int]]


def opened(
    chrome: Browser, pictures: dict[str, bytes], width: int = 900, height: int = 800
) -> Page:
    """A page with an empty stage; `pictures` are served by path, everything else is not found."""
    page = chrome.new_page(viewport={"width": width, "height": height})

    def answer(route: Route) -> None:
        path = "/" + route.request.url.removeprefix(ORIGIN)
        if path == "/":
            route.fulfill(body=PAGE, content_type="text/html")
        elif path in pictures:
            route.fulfill(body=pictures[path], content_type="image/png")
        else:
            refusal = json.dumps({"message": "the file does not exist"})
            route.fulfill(status=404, body=refusal, content_type="application/json")

    page.route(ORIGIN + "**", answer)
    page.goto(ORIGIN)
    page.add_script_tag(content=SCRIPT)
    page.evaluate("build()")
    return page


def show(page: Page, cues: Cues, on: int = 3) -> None:
    """Load a case, with its first cues on, and wait for its picture."""
    page.evaluate(
        """([model, maps, on]) => {
          desk.view.on = new Set(model.cues.slice(0, on).map((cue) => cue.id))
          desk.view.selected = model.cues[0]?.id ?? null
          show(model, maps)
        }""",
        [cues.model, cues.maps, on],
    )
    expect(page.locator(f'canvas[data-picture="{cues.model["image"]["id"]}"]')).to_be_visible()
    frame(page)


def frame(page: Page) -> None:
    """Wait until what was asked for is drawn, and drawn at its best."""
    page.evaluate(
        """() => new Promise((done) => setTimeout(() =>
          requestAnimationFrame(() => requestAnimationFrame(() => done())), 180))"""
    )


def blobs(count: int, grid: int = 24, seed: int = 3) -> list[list[int]]:
    """Maps with one soft blob each, at places of their own."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:grid, 0:grid] / (grid - 1)
    maps = []
    for _ in range(count):
        x, y, wide = rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85), rng.uniform(0.06, 0.2)
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2))
        maps.append([int(value) for value in np.rint(255 * blob / blob.max()).ravel()])
    return maps


def case(
    count: int = 3, *, size: tuple[int, int] = (400, 300), id: str = "case", **more: Any
) -> Cues:
    """A case with `count` cues over an image of that width and height."""
    image = {"id": f"image-{id}", "name": "a.png", "mime": "image/png", "url": f"/{id}.png"}
    image |= {"preview": f"/{id}.png", "width": size[0], "height": size[1], "ahead": None}
    cues = [
        {
            "id": f"cue{i}", "letter": chr(65 + i % 26), "name": f"sign {i}", "qualifier": "",
            "activation": 2.0, "contribution": 1.5 - i * 0.1, "effect": 1.0, "grid": [24, 24],
        }
        for i in range(count)
    ]  # fmt: skip
    model = {"id": id, "image": image, "alt": "Image a.png", "prediction": "melanoma"}
    return Cues({**model, "cues": cues, "drawings": [], "layers": [], **more}, blobs(count))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def picture(width: int = 400, height: int = 300) -> bytes:
    """Skin-coloured, with a darker middle and a grid to see magnification by."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    base = np.stack(
        [205 - 90 * (away < 0.25), 160 - 90 * (away < 0.25), 130 - 60 * (away < 0.25)], -1
    )
    lines = ((x % 100 < 2) | (y % 100 < 2))[..., None] * 25
    return png(np.clip(base - lines, 0, 255).astype(np.uint8))


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
