"""An image with one map over it, or a part of it, as PNG, for the examples of a concept."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TINT = (86, 180, 233)  # Okabe-Ito sky blue: far from skin and from grey steel
EDGE = (255, 255, 255)
MAT = (20, 24, 29)
SIDE = 224  # pixels of the square
SHARP = 768  # longer side of the image that a close-up is cut from
LEVEL = 0.5  # share of the map's own maximum that counts as inside


def overlay(image: bytes, grid: tuple[int, int], map_u8: bytes) -> bytes:
    """The image in a square of `SIDE`, tinted where the map fires, outlined at half its peak.

    Args:
        image: encoded image bytes.
        grid: rows and columns of the map.
        map_u8: rows * columns bytes, 0..255 of the map's own maximum.
    """
    rgb = _fitted(image).astype(np.float32)
    height, width = rgb.shape[:2]
    small = Image.frombytes("L", (grid[1], grid[0]), map_u8)
    smooth = small.resize((width, height), Image.Resampling.BILINEAR)
    field = np.asarray(smooth, dtype=np.float32) / np.float32(255)
    inside = field >= LEVEL
    alpha = (0.5 * field * inside)[..., None]
    rgb = rgb * (1 - alpha) + np.asarray(TINT, dtype=np.float32) * alpha
    rgb[_edge(inside)] = EDGE
    return png(_boxed(np.clip(rgb, 0, 255).astype(np.uint8)))


def close_up(image: bytes, box: tuple[float, float, float, float]) -> bytes:
    """The part of the image inside `box` (x0, y0, x1, y1, fractions) in a square of `SIDE`."""
    with Image.open(io.BytesIO(image)) as opened:
        rgb = opened.convert("RGB")
    x0, y0, x1, y1 = box
    edges = (x0 * rgb.width, y0 * rgb.height, x1 * rgb.width, y1 * rgb.height)
    left, top = (math.floor(edge) for edge in edges[:2])
    right, bottom = (math.ceil(edge) for edge in edges[2:])
    part = rgb.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    return png(_boxed(_scaled(part)))


def thumbnail(image: bytes) -> bytes:
    """The bare image in a square of `SIDE` pixels, as PNG."""
    return png(_boxed(_fitted(image)))


def missing() -> bytes:
    """What stands for an image whose file is gone."""
    return png(np.full((SIDE, SIDE, 3), MAT, dtype=np.uint8))


def _fitted(image: bytes) -> NDArray[np.uint8]:
    """The image scaled so that its longer side is `SIDE`."""
    with Image.open(io.BytesIO(image)) as opened:
        return _scaled(opened.convert("RGB"))


def _scaled(rgb: Image.Image) -> NDArray[np.uint8]:
    scale = SIDE / max(rgb.size)
    size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    return np.asarray(rgb.resize(size, Image.Resampling.BICUBIC))


def _boxed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Centred on a dark mat, so that upright and wide images line up in rows."""
    box = np.full((SIDE, SIDE, 3), MAT, dtype=np.uint8)
    top, left = (SIDE - rgb.shape[0]) // 2, (SIDE - rgb.shape[1]) // 2
    box[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
    return box


def png(rgb: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an image [H, W, 3]."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG")
    return out.getvalue()


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that are inside and touch one that is not."""
    padded = np.pad(inside, 1, mode="edge")
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core
