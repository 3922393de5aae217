"""Skin, the lesion's outline and its base pigment.

Shapes: image_HWC float32 in 0..255; depth_HW units inside the outline (negative outside).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.phantoms.drawing import (
    REFERENCE_SIZE,
    Array,
    Point,
    Rng,
    blend,
    darken,
    grid,
    noise,
    smoothstep,
)

SKIN_TONES = ((242, 208, 192), (232, 190, 168), (222, 172, 146), (205, 152, 122), (184, 132, 102))
BROWNS = ((150, 98, 66), (128, 80, 54), (168, 112, 78), (112, 70, 50), (142, 92, 74))
DARKS = ((74, 46, 38), (58, 38, 36), (92, 54, 44), (44, 32, 34))
ACCENTS = ((176, 84, 74), (92, 92, 112), (196, 140, 110), (60, 44, 48))
WAXY = ((172, 134, 98), (150, 114, 84), (186, 150, 116), (136, 106, 86))


@dataclass(frozen=True)
class Outline:
    """The lesion's outline in polar form around `centre`.

    radius_T   radius (units) at T equally spaced angles from 0 to 2 pi
    depth_HW   radius minus distance: how far inside the outline a pixel lies
    """

    centre: Point
    radius_T: Array
    depth_HW: Array

    def at(self, angle: float) -> tuple[float, float, float]:
        """Border point (x, y) and radius in the direction `angle`."""
        count = self.radius_T.shape[0]
        radius = float(self.radius_T[int(angle / (2 * np.pi) * count) % count])
        x, y = self.centre
        return x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle)), radius

    def inside(self, rng: Rng, reach: float = 0.8) -> Point:
        """A random point within `reach` of the border, uniform over the area."""
        angle = rng.uniform(0, 2 * np.pi)
        x, y, _ = self.at(angle)
        t = reach * float(np.sqrt(rng.uniform()))
        return self.centre[0] + t * (x - self.centre[0]), self.centre[1] + t * (y - self.centre[1])

    def mean_radius(self) -> float:
        """Mean radius in units."""
        return float(self.radius_T.mean())


def paint_skin(rng: Rng, size: int) -> Array:
    """Skin [H, W, 3]: tone, blotches, furrows, pores and the dermatoscope's light."""
    at = rng.uniform(0, len(SKIN_TONES) - 1.001)
    tones = np.asarray(SKIN_TONES, dtype=np.float32)
    base = tones[int(at)] + (tones[int(at) + 1] - tones[int(at)]) * np.float32(at % 1)
    image = np.empty((size, size, 3), dtype=np.float32)
    image[:] = base + rng.normal(0, 4, 3).astype(np.float32)
    image += 3.5 * noise(rng, size, 4)[..., None]
    redness = np.asarray((1.0, -2.2, -2.0), dtype=np.float32)
    image += 1.8 * noise(rng, size, 9)[..., None] * redness
    darken(image, 0.06 * _furrows(rng, size), (0.3, 0.1, 0.1))
    return image


def _furrows(rng: Rng, size: int) -> Array:
    """Criss-cross skin lines: two warped gratings, thin and uneven [H, W] in 0..1."""
    x_HW, y_HW = grid(size)
    total = np.zeros((size, size), dtype=np.float32)
    turn = rng.uniform(0, np.pi)
    for angle in (turn, turn + rng.uniform(0.9, 1.4)):
        pitch = rng.uniform(7.0, 12.0)
        along = np.cos(angle) * x_HW + np.sin(angle) * y_HW + 4.0 * noise(rng, size, 9)
        wave = np.cos(along * np.float32(2 * np.pi / pitch)).astype(np.float32)
        total += smoothstep(0.75, 1.0, wave) * smoothstep(-0.8, 0.8, noise(rng, size, 12))
    return np.clip(total, 0.0, 1.0)


def sample_outline(rng: Rng, size: int, irregular: bool) -> Outline:
    """Draw an outline: an oval, with lobes and notches where `irregular`."""
    half = REFERENCE_SIZE / 2
    centre = (half + rng.normal(0, 6), half + rng.normal(0, 6))
    angle_T = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    stretch, turn = rng.uniform(1.0, 1.3), rng.uniform(0, np.pi)
    mean = rng.uniform(42, 62)
    wobble = _wobble(rng, angle_T, irregular)
    oval = 1.0 / np.hypot(np.cos(angle_T - turn) / stretch, np.sin(angle_T - turn) * stretch)
    radius_T = (mean * oval * (1.0 + wobble)).astype(np.float32)
    x_HW, y_HW = grid(size)
    dx, dy = x_HW - np.float32(centre[0]), y_HW - np.float32(centre[1])
    turns_HW = np.arctan2(dy, dx) / np.float32(2 * np.pi)
    index_HW = (turns_HW * 720).astype(np.int64) % 720
    depth_HW = (radius_T[index_HW] - np.hypot(dx, dy)).astype(np.float32)
    return Outline(centre, radius_T, depth_HW)


def _wobble(rng: Rng, angle_T: np.ndarray, irregular: bool) -> np.ndarray:
    """Relative deviation of the radius from the oval, by angle."""
    wobble = np.zeros_like(angle_T)
    waves = range(3, 12) if irregular else range(3, 5)
    amount = rng.uniform(0.075, 0.12) if irregular else rng.uniform(0.005, 0.02)
    for k in waves:
        fall = (3.0 / k) ** 0.9
        wobble += amount * fall * rng.normal() * np.cos(k * angle_T + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.clip(wobble, -0.35, 0.4))


def paint_lesion(rng: Rng, image: Array, outline: Outline, label: str) -> Array:
    """Paint the base pigment in place; return its alpha [H, W]."""
    size = image.shape[0]
    soft = {"naevus": 5.0, "melanoma": 2.5}.get(label, 1.2) * rng.uniform(0.8, 1.3)
    alpha = smoothstep(-soft, soft, outline.depth_HW)
    colour = _pigment(rng, size, outline, label)
    blend(image, colour, alpha * np.float32(rng.uniform(0.78, 0.92)))
    image += ((4.0 * noise(rng, size, 20) + 2.5 * noise(rng, size, 48)) * alpha)[..., None]
    if label == "seborrhoeic keratosis":
        _paint_waxy(rng, image, outline, alpha)
    return alpha


def _pigment(rng: Rng, size: int, outline: Outline, label: str) -> Array:
    """Base colour [H, W, 3]: even in naevi, several colours and off-centre in melanoma."""
    waxy = label == "seborrhoeic keratosis" and rng.uniform() < 0.75
    family = np.asarray(WAXY if waxy else BROWNS, dtype=np.float32)
    first = family[rng.integers(len(family))] + rng.normal(0, 5, 3).astype(np.float32)
    colour = np.empty((size, size, 3), dtype=np.float32)
    colour[:] = first
    centre_HW = smoothstep(0.0, outline.mean_radius(), outline.depth_HW)
    dark = np.asarray(DARKS, dtype=np.float32)[rng.integers(len(DARKS))]
    blend(colour, dark, centre_HW * np.float32(rng.uniform(0.1, 0.6)))
    if label == "melanoma" or rng.uniform() < 0.12:
        _add_colours(rng, colour)
    else:
        colour += (6.0 * noise(rng, size, 5) + 5.0 * noise(rng, size, 12))[..., None]
    return colour


def _add_colours(rng: Rng, colour: Array) -> None:
    """Blotches of darker and odd colours, placed without symmetry."""
    size = colour.shape[0]
    for family, count in ((DARKS, 1), (ACCENTS, int(rng.integers(0, 3)))):
        for _ in range(count):
            paint = family[int(rng.integers(len(family)))]
            where = smoothstep(0.0, 0.9, noise(rng, size, int(rng.integers(2, 5))))
            blend(colour, paint, where * np.float32(rng.uniform(0.45, 0.85)))


def _paint_waxy(rng: Rng, image: Array, outline: Outline, alpha: Array) -> None:
    """Stuck-on look: a sharp dark rim, faint brain-like ridges and a greasy shine."""
    size = image.shape[0]
    rim = smoothstep(4.0, 0.5, np.abs(outline.depth_HW - 1.5)) * alpha
    darken(image, 0.25 * rim, (0.3, 0.2, 0.2))
    warp = noise(rng, size, int(rng.integers(9, 14)))
    ridges = np.abs(np.sin(warp * np.float32(2.2))).astype(np.float32)
    darken(image, rng.uniform(0.1, 0.3) * smoothstep(0.45, 0.0, ridges) * alpha, (0.4, 0.3, 0.2))
    shine = smoothstep(0.8, 2.0, noise(rng, size, 7)) * alpha
    blend(image, (250, 240, 228), 0.22 * shine)
