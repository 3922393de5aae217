"""The signs inside a lesion. Each painter changes the image in place and returns its mask.

Shapes: image_HWC float32 in 0..255; alpha_HW of the lesion in 0..1; masks bool [H, W].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.phantoms.drawing import (
    Array,
    Mask,
    Pencil,
    Rng,
    blend,
    blob,
    blur,
    darken,
    dilate,
    grid,
    noise,
    smoothstep,
)
from core.phantoms.lesion import Outline

Painter = Callable[[Rng, Array, Outline, Array], Mask]
NETWORK_TINT = (0.42, 0.28, 0.2)


def border_mask(outline: Outline) -> Mask:
    """The band around the outline in which its regularity is seen."""
    return np.asarray(np.abs(outline.depth_HW) < 5.0, dtype=np.bool_)


def _lattice(rng: Rng, size: int, pitch: float, warp: float) -> Array:
    """Honeycomb lines [H, W]: three waves at 60 degrees; low values lie on the mesh."""
    x_HW, y_HW = grid(size)
    x_HW = x_HW + np.float32(warp) * noise(rng, size, 11)
    y_HW = y_HW + np.float32(warp) * noise(rng, size, 11)
    turn = rng.uniform(0, np.pi)
    total = np.zeros((size, size), dtype=np.float32)
    for k in range(3):
        angle = turn + k * 2 * np.pi / 3
        along = np.cos(angle) * x_HW + np.sin(angle) * y_HW
        total += np.cos(along * np.float32(2 * np.pi / pitch)).astype(np.float32)
    return total


def paint_typical_network(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Even, thin mesh that fades towards the border."""
    size = image.shape[0]
    lattice = _lattice(rng, size, rng.uniform(6.4, 8.4), 1.5)
    lines = smoothstep(-0.1, -1.2, lattice + 0.3 * noise(rng, size, 14))
    lines *= np.float32(0.85) + 0.15 * noise(rng, size, 6)
    place = smoothstep(1.0, 9.0, outline.depth_HW)
    if rng.uniform() < 0.5:  # often spares the centre
        place = place * smoothstep(0.95, 0.7, outline.depth_HW / outline.mean_radius())
    darken(image, rng.uniform(0.45, 0.75) * np.clip(lines, 0, 1) * place * alpha, NETWORK_TINT)
    return np.asarray(place > 0.4, dtype=np.bool_)


def paint_atypical_network(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Thick, broken, dark mesh over part of the lesion, ending abruptly."""
    size = image.shape[0]
    lattice = _lattice(rng, size, rng.uniform(9.0, 12.5), 3.2)
    thick = 0.55 * noise(rng, size, 8)
    lines = blur(smoothstep(0.25, -0.85, lattice + thick), 0.5)
    centre = outline.inside(rng, 0.65)
    place = blob(rng, size, centre, outline.mean_radius() * rng.uniform(0.6, 0.95)) * alpha
    fade = np.clip(0.8 + 0.25 * noise(rng, size, 7), 0.2, 1.0)
    darken(image, rng.uniform(0.7, 0.92) * lines * place * fade, (0.24, 0.16, 0.15))
    return np.asarray(place > 0.4, dtype=np.bool_)


def paint_globules(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Round brown dots in a cluster or all over."""
    size = image.shape[0]
    pencil = Pencil(size)
    reach = rng.uniform(0.5, 0.9)
    for _ in range(int(rng.integers(22, 44))):
        r = rng.uniform(1.7, 3.0)
        level = int(rng.integers(170, 255))
        pencil.ellipse(outline.inside(rng, reach), r, r * rng.uniform(0.8, 1.2), level)
    dots = blur(pencil.alpha(), 0.5) * alpha
    darken(image, rng.uniform(0.7, 0.9) * dots, (0.38, 0.25, 0.2))
    return dilate(dots, 3.0)


def paint_streaks(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Tapered radial fingers that cross the border along one or two arcs."""
    size = image.shape[0]
    pencil = Pencil(size)
    for _ in range(int(rng.integers(1, 3))):
        start, span = rng.uniform(0, 2 * np.pi), rng.uniform(0.9, 1.8)
        for angle in np.arange(start, start + span, rng.uniform(0.09, 0.13)):
            _finger(rng, pencil, outline, float(angle))
    alpha_streaks = blur(pencil.alpha(), 0.4)
    darken(image, 0.88 * alpha_streaks, (0.22, 0.14, 0.14))
    return dilate(alpha_streaks, 2.5)


def _finger(rng: Rng, pencil: Pencil, outline: Outline, angle: float) -> None:
    """One streak: a thin wedge from inside the border outwards, some with a bulb."""
    tilt = angle + rng.normal(0, 0.06)
    x, y, _ = outline.at(angle % (2 * np.pi))
    out, inward = rng.uniform(6, 13), rng.uniform(7, 12)
    dx, dy = float(np.cos(tilt)), float(np.sin(tilt))
    tip, root = (x + out * dx, y + out * dy), (x - inward * dx, y - inward * dy)
    half = rng.uniform(1.0, 1.8)
    left = (root[0] - half * dy, root[1] + half * dx)
    right = (root[0] + half * dy, root[1] - half * dx)
    pencil.polygon((left, right, (tip[0] + 0.5 * dy, tip[1]), (tip[0] - 0.5 * dy, tip[1])))
    if rng.uniform() < 0.4:
        pencil.ellipse(tip, 1.7, 1.7)


def paint_veil(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Confluent steel-blue area under a white, ground-glass haze."""
    size = image.shape[0]
    radius = outline.mean_radius() * rng.uniform(0.4, 0.68)
    place = blur(blob(rng, size, outline.inside(rng, 0.45), radius), 2.5) * alpha
    blue = np.asarray((88, 104, 142), dtype=np.float32) + rng.normal(0, 6, 3).astype(np.float32)
    blend(image, blue, np.asarray(place * rng.uniform(0.68, 0.85), dtype=np.float32))
    haze = 0.45 * smoothstep(-0.6, 1.6, noise(rng, size, 8)) * place
    blend(image, (206, 214, 230), np.asarray(haze, dtype=np.float32))
    return np.asarray(place > 0.45, dtype=np.bool_)


def paint_regression(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """White scar-like area with grey peppering."""
    size = image.shape[0]
    radius = outline.mean_radius() * rng.uniform(0.38, 0.6)
    centre = outline.inside(rng, 0.65)
    place = blur(blob(rng, size, centre, radius), 2.5) * alpha
    scar = np.asarray((232, 212, 204), dtype=np.float32) + rng.normal(0, 4, 3).astype(np.float32)
    patchy = np.clip(0.9 + 0.2 * noise(rng, size, 9), 0.3, 1.0)
    opacity = np.asarray(place * patchy * rng.uniform(0.65, 0.85), dtype=np.float32)
    blend(image, scar, opacity)
    pencil = Pencil(size)
    for _ in range(int(rng.integers(25, 60))):
        at = (centre[0] + rng.normal(0, radius * 0.45), centre[1] + rng.normal(0, radius * 0.45))
        r = rng.uniform(0.5, 1.1)
        pencil.ellipse(at, r, r, int(rng.integers(120, 230)))
    blend(image, (104, 104, 122), 0.75 * pencil.alpha() * place)
    return np.asarray(place > 0.45, dtype=np.bool_)


def paint_milia(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Small, bright, cloudy white-yellow cysts."""
    size = image.shape[0]
    pencil = Pencil(size)
    for _ in range(int(rng.integers(9, 20))):
        r = rng.uniform(1.6, 3.4)
        pencil.ellipse(outline.inside(rng, 0.85), r, r * rng.uniform(0.8, 1.2), 255)
    cysts = blur(pencil.alpha(), 0.8) * alpha
    blend(image, (255, 240, 208), 0.3 * blur(cysts, 2.0))
    blend(image, (253, 243, 220), 0.88 * cysts)
    return dilate(cysts, 3.0)


def paint_comedones(rng: Rng, image: Array, outline: Outline, alpha: Array) -> Mask:
    """Dark, sharply bounded plugs with a pale collar."""
    size = image.shape[0]
    plugs, collars = Pencil(size), Pencil(size)
    for _ in range(int(rng.integers(7, 15))):
        at, rx, ry = outline.inside(rng, 0.82), rng.uniform(2.2, 4.2), rng.uniform(2.0, 4.0)
        collars.ellipse(at, rx + 1.6, ry + 1.6)
        plugs.ellipse(at, rx, ry, int(rng.integers(200, 255)))
    blend(image, (214, 184, 146), 0.4 * blur(collars.alpha(), 0.5) * alpha)
    plug_alpha = blur(plugs.alpha(), 0.35) * alpha
    blend(image, (52, 34, 24), 0.92 * plug_alpha)
    return dilate(plug_alpha, 2.5)


PAINTERS: dict[str, Painter] = {
    "typical network": paint_typical_network,
    "atypical network": paint_atypical_network,
    "globules": paint_globules,
    "blue-white veil": paint_veil,
    "regression": paint_regression,
    "streaks": paint_streaks,
    "milia-like cysts": paint_milia,
    "comedo-like openings": paint_comedones,
}
"""In painting order, deepest first."""
