"""What does not belong to the patient: hair (it covers), ruler, sticker, ink and vignette.

Each painter changes image_HWC (float32, 0..255) in place and returns its visible mask [H, W].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.phantoms.drawing import (
    REFERENCE_SIZE,
    Array,
    Mask,
    Pencil,
    Point,
    Rng,
    blend,
    blur,
    darken,
    dilate,
    grid,
    noise,
    smoothstep,
)
from core.phantoms.lesion import Outline

Painter = Callable[[Rng, Array, Outline], Mask]
FULL = float(REFERENCE_SIZE)
STICKERS = ((40, 110, 200), (46, 160, 90), (242, 200, 50), (226, 96, 60), (150, 80, 170))
INKS = ((70, 50, 140), (44, 60, 120), (90, 40, 120), (30, 90, 110))


def _bezier(a: Point, b: Point, c: Point, count: int = 18) -> list[Point]:
    """Points of a quadratic Bezier curve."""
    t = np.linspace(0, 1, count)
    x = (1 - t) ** 2 * a[0] + 2 * t * (1 - t) * b[0] + t**2 * c[0]
    y = (1 - t) ** 2 * a[1] + 2 * t * (1 - t) * b[1] + t**2 * c[1]
    return list(zip(x.tolist(), y.tolist(), strict=True))


def paint_hair(rng: Rng, image: Array, outline: Outline) -> Mask:
    """Dark, thin, curved strands, mostly in one direction, with a faint shadow."""
    size = image.shape[0]
    pencil = Pencil(size)
    flow = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(5, 15))):
        angle = flow + rng.normal(0, 0.35)
        length = rng.uniform(70, 170)
        middle = (rng.uniform(0, FULL), rng.uniform(0, FULL))
        dx, dy = 0.5 * length * float(np.cos(angle)), 0.5 * length * float(np.sin(angle))
        bend = rng.normal(0, 14)
        turn = (middle[0] - bend * float(np.sin(angle)), middle[1] + bend * float(np.cos(angle)))
        ends = (middle[0] - dx, middle[1] - dy), (middle[0] + dx, middle[1] + dy)
        pencil.line(_bezier(ends[0], turn, ends[1]), rng.uniform(0.9, 1.7))
    strands = pencil.alpha()
    darken(image, 0.25 * blur(np.roll(strands, (1, 1), (0, 1)), 0.8), (0.4, 0.4, 0.4))
    tone = rng.uniform(0.6, 1.4)
    blend(image, (46 * tone, 32 * tone, 26 * tone), 0.9 * strands)
    return dilate(strands, 2.0)


def paint_ruler(rng: Rng, image: Array, outline: Outline) -> Mask:
    """A millimetre scale along one edge: a pale strip with ticks and numbers."""
    size = image.shape[0]
    edge, width = int(rng.integers(4)), rng.uniform(20, 27)
    x_HW, y_HW = grid(size)
    lean = rng.normal(0, 0.03)
    axis, cross = ((x_HW, y_HW), (y_HW, x_HW))[edge % 2]
    away = cross if edge < 2 else FULL - cross
    strip = smoothstep(width + 0.6, width - 0.6, away + np.float32(lean) * (axis - FULL / 2))
    shade = np.float32(rng.uniform(0.72, 0.92))
    blend(image, (240, 240, 234), shade * strip)
    darken(image, 0.25 * blur(strip, 2.0) * (1 - strip), (0.5, 0.45, 0.45))
    ticks = Pencil(size)
    _ticks(rng, ticks, edge, width, lean)
    blend(image, (28, 28, 34), 0.92 * ticks.alpha())
    return np.asarray(strip > 0.5, dtype=np.bool_)


def _ticks(rng: Rng, pencil: Pencil, edge: int, width: float, lean: float) -> None:
    """Ticks from the strip's inner side; every fifth longer, every tenth numbered."""
    step, start = rng.uniform(4.6, 6.2), rng.uniform(-20, 0)
    for k in range(48):
        along = start + k * step
        inner = width - lean * (along - FULL / 2)
        long = 11.0 if k % 10 == 0 else 8.5 if k % 5 == 0 else 5.5
        pencil.line(
            (_place(edge, along, inner - 0.8), _place(edge, along, inner - long)),
            1.2 if k % 5 == 0 else 0.9,
        )
        if k % 10 == 0:
            pencil.text(_place(edge, along, inner - long - 5.0), str(k // 10 + 1), 9.0)


def _place(edge: int, along: float, away: float) -> Point:
    """Point at `along` the edge and `away` from it; edges: top, left, bottom, right."""
    far = away if edge < 2 else FULL - away
    return (along, far) if edge % 2 == 0 else (far, along)


def paint_sticker(rng: Rng, image: Array, outline: Outline) -> Mask:
    """A coloured paper disc or rounded patch reaching in from a corner."""
    size = image.shape[0]
    x_HW, y_HW = grid(size)
    corner = (FULL * int(rng.integers(2)), FULL * int(rng.integers(2)))
    inset, radius = rng.uniform(4, 16), rng.uniform(34, 46)
    centre = tuple(c + (inset if c == 0 else -inset) for c in corner)
    dx, dy = np.abs(x_HW - centre[0]), np.abs(y_HW - centre[1])
    power = 2.0 if rng.uniform() < 0.7 else 5.0
    distance = ((dx**power + dy**power) ** (1 / power)).astype(np.float32)
    disc = smoothstep(radius + 0.7, radius - 0.7, distance)
    darken(image, 0.35 * blur(disc, 2.5) * (1 - disc), (0.3, 0.3, 0.3))
    paint = np.asarray(STICKERS[int(rng.integers(len(STICKERS)))], dtype=np.float32)
    paper = paint * (1.0 + 0.03 * noise(rng, size, 40) + 0.05 * noise(rng, size, 3))[..., None]
    blend(image, paper, 0.97 * disc)
    rim = smoothstep(2.5, 0.5, np.abs(distance - radius + 2.0)) * disc
    blend(image, (255, 255, 255), 0.15 * rim)
    return np.asarray(disc > 0.5, dtype=np.bool_)


def paint_ink(rng: Rng, image: Array, outline: Outline) -> Mask:
    """Felt-pen strokes around the lesion: an arc or a few dashes."""
    size = image.shape[0]
    pencil = Pencil(size)
    width = rng.uniform(3.5, 6.0)
    start = rng.uniform(0, 2 * np.pi)
    if rng.uniform() < 0.55:
        angles = np.linspace(start, start + rng.uniform(1.2, 2.8), 30)
        gap = rng.uniform(12, 20)
        pencil.line([_beyond(outline, float(a), gap) for a in angles], width)
    else:
        for k in range(int(rng.integers(2, 5))):
            angle = start + k * 1.5 + rng.normal(0, 0.15)
            near = _beyond(outline, angle, rng.uniform(8, 13))
            pencil.line((near, _beyond(outline, angle, rng.uniform(26, 36))), width)
    dry = 0.75 + 0.25 * smoothstep(-1.2, 0.6, noise(rng, size, 40))
    strokes = np.asarray(blur(pencil.alpha(), 0.7) * dry, dtype=np.float32)
    tint = np.asarray(INKS[int(rng.integers(len(INKS)))], dtype=np.float32) / 255.0
    darken(image, 0.9 * strokes, tint.tolist())
    return dilate(strokes, 1.0)


def _beyond(outline: Outline, angle: float, gap: float) -> Point:
    """A point `gap` units outside the mean radius in direction `angle`."""
    radius = outline.mean_radius() * 1.05 + gap
    x, y = outline.centre
    return x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle))


def paint_vignette(rng: Rng, image: Array, outline: Outline) -> Mask:
    """The black surround of the dermatoscope's round field of view."""
    x_HW, y_HW = grid(image.shape[0])
    centre = FULL / 2 + rng.normal(0, 3, 2)
    distance = np.hypot(x_HW - np.float32(centre[0]), y_HW - np.float32(centre[1]))
    radius, soft = rng.uniform(94, 108), rng.uniform(2, 9)
    shade = smoothstep(radius - soft, radius + soft, distance.astype(np.float32))
    darken(image, 0.12 * smoothstep(radius * 0.6, radius, distance), (0.3, 0.3, 0.3))
    blend(image, (12, 9, 9), 0.97 * shade)
    return np.asarray(shade > 0.5, dtype=np.bool_)


PAINTERS: dict[str, Painter] = {
    "ink marking": paint_ink,
    "hair": paint_hair,
    "ruler": paint_ruler,
    "colour sticker": paint_sticker,
    "dark vignette": paint_vignette,
}
"""In painting order, the last one on top."""
