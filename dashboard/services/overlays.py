"""A cue's map and region drawn over its image, for exports that run no script."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Okabe-Ito vermillion: told apart from skin tones and greys, and by the colour-blind.
COLOUR = (213, 94, 0)
OUTLINE = (255, 255, 255)
MAX_OPACITY = 0.6


def overlay(
    rgb: NDArray[np.uint8],
    map_u8: bytes,
    region_bits: bytes,
    grid: tuple[int, int],
) -> NDArray[np.uint8]:
    """The image uint8 [H, W, 3] with the map blended in and the region outlined.

    Args:
        map_u8: rows*cols bytes, 0..255.
        region_bits: packed bits of the region, row after row.
        grid: rows and columns of both.
    """
    height, width = rgb.shape[:2]
    rows, cols = grid
    heat = Image.frombytes("L", (cols, rows), map_u8).resize((width, height), Image.BICUBIC)  # type: ignore[attr-defined]
    alpha = (np.asarray(heat, dtype=np.float32) / 255 * MAX_OPACITY)[..., None]
    mixed = rgb * (1 - alpha) + np.array(COLOUR, dtype=np.float32) * alpha
    flat = np.unpackbits(np.frombuffer(region_bits, dtype=np.uint8), count=rows * cols)
    region = Image.fromarray(flat.reshape(rows, cols).astype(np.uint8) * 255)
    mask = np.asarray(region.resize((width, height), Image.NEAREST)) > 0  # type: ignore[attr-defined]
    out: NDArray[np.uint8] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    out[_border(mask)] = OUTLINE
    return out


def data_uri(rgb: NDArray[np.uint8], quality: int = 85) -> str:
    """A JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask within two steps of its outside; beyond the image is outside too."""
    inner = np.pad(mask, 2)
    kept = inner.copy()
    for shift in (-2, 2):
        kept &= np.roll(inner, shift, axis=0) & np.roll(inner, shift, axis=1)
    border: NDArray[np.bool_] = mask & ~kept[2:-2, 2:-2]
    return border
