"""Drawing primitives: smooth noise, soft masks, blending and a supersampled pencil.

Shapes: image_HWC float32 in 0..255, alpha_HW float32 in 0..1, H = W = size.
Lengths are given in "units" of a 192 px picture, so that a phantom looks the same at any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rng = np.random.Generator
Point = tuple[float, float]
REFERENCE_SIZE = 192
SUPERSAMPLE = 3


def unit(size: int) -> float:
    """Pixels per unit at this picture size."""
    return size / REFERENCE_SIZE


def grid(size: int) -> tuple[Array, Array]:
    """x and y of every pixel centre in units, each [H, W]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(unit(size))
    y_HW, x_HW = np.meshgrid(axis, axis, indexing="ij")
    return x_HW, y_HW


def noise(rng: Rng, size: int, cells: int) -> Array:
    """Smooth noise [H, W], about zero mean and unit deviation, with `cells` bumps across."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    big = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(big, dtype=np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth ramp between (low may exceed high)."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def blend(image_HWC: Array, colour: npt.ArrayLike, alpha_HW: Array) -> None:
    """Paint `colour` ([3] or [H, W, 3]) over the image in place with opacity alpha."""
    target = np.asarray(colour, dtype=np.float32)
    image_HWC += (target - image_HWC) * alpha_HW[..., None]


def darken(image_HWC: Array, alpha_HW: Array, tint: Sequence[float]) -> None:
    """Absorb light in place: multiply by 1 - alpha * (1 - tint), as pigment in skin does."""
    absorb = 1.0 - np.asarray(tint, dtype=np.float32)
    image_HWC *= 1.0 - alpha_HW[..., None] * absorb


def blob(rng: Rng, size: int, centre: Point, radius: float, rough: float = 0.35) -> Array:
    """A soft cloud-shaped alpha [H, W] around `centre` (units)."""
    x_HW, y_HW = grid(size)
    squash = rng.uniform(0.7, 1.3)
    distance = np.hypot((x_HW - centre[0]) * squash, (y_HW - centre[1]) / squash) / radius
    return smoothstep(1.15, 0.75, distance + rough * 0.5 * noise(rng, size, 6))


class Pencil:
    """Antialiased drawing into an alpha mask: draws at three times the size, then reduces."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._factor = SUPERSAMPLE * unit(size)
        self._canvas = Image.new("L", (size * SUPERSAMPLE, size * SUPERSAMPLE), 0)
        self._draw = ImageDraw.Draw(self._canvas)

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._factor, y * self._factor) for x, y in points]

    def line(self, points: Sequence[Point], width: float, level: int = 255) -> None:
        """A polyline with round joints; `width` in units."""
        thick = max(1, round(width * self._factor))
        self._draw.line(self._scaled(points), fill=level, width=thick, joint="curve")

    def polygon(self, points: Sequence[Point], level: int = 255) -> None:
        """A filled polygon."""
        self._draw.polygon(self._scaled(points), fill=level)

    def ellipse(self, centre: Point, rx: float, ry: float, level: int = 255) -> None:
        """A filled, axis-parallel ellipse."""
        x, y = centre[0] * self._factor, centre[1] * self._factor
        a, b = rx * self._factor, ry * self._factor
        self._draw.ellipse((x - a, y - b, x + a, y + b), fill=level)

    def text(self, at: Point, text: str, height: float, level: int = 255) -> None:
        """A short text in Pillow's built-in font; `height` in units."""
        self._draw.text(
            (at[0] * self._factor, at[1] * self._factor),
            text,
            fill=level,
            font_size=max(4.0, height * self._factor),
            anchor="mm",
        )

    def alpha(self) -> Array:
        """What was drawn so far, as alpha [H, W]."""
        small = self._canvas.reduce(SUPERSAMPLE)
        return np.asarray(small, dtype=np.float32) / np.float32(255.0)


def blur(alpha_HW: Array, radius: float) -> Array:
    """Gaussian blur with sigma `radius` in units."""
    from scipy.ndimage import gaussian_filter

    sigma = radius * unit(alpha_HW.shape[0])
    return np.asarray(gaussian_filter(alpha_HW, sigma, truncate=3.0), dtype=np.float32)


def dilate(alpha_HW: Array, radius: float, level: float = 0.25) -> Mask:
    """Pixels within `radius` units of alpha above `level`: the region a reader would mark."""
    from scipy.ndimage import maximum_filter

    reach = 2 * max(1, round(radius * unit(alpha_HW.shape[0]))) + 1
    return np.asarray(maximum_filter(alpha_HW, size=reach) > level, dtype=np.bool_)
