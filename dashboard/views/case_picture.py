"""One image with the map of one cue, or the outlines of several, at any size, as JPEG.

For the screens that ask one thing at a time (adjudication, training): no component needed.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Okabe-Ito, without black."""
DARK, LIGHT = (10, 14, 18), (255, 255, 255)
LEVEL = 0.5  # share of the map's own maximum that counts as inside
SIDE = 720  # pixels of the longer side
TINT = 0.34  # how strongly the inside is tinted at the peak
Map = tuple[tuple[int, int], bytes]  # rows and columns of the grid; their bytes


def one_cue(image: bytes, grid: tuple[int, int], map_u8: bytes, side: int = SIDE) -> bytes:
    """The image, tinted where the cue fires and outlined at half its peak.

    The outline is dark with a light core, so that it shows on any image.
    """
    rgb = _scaled(image, side)
    field = _field((grid, map_u8), rgb.shape[:2])
    inside = field >= LEVEL
    tinted = rgb.astype(np.float32)
    alpha = (TINT * field * inside)[..., None]
    tinted = tinted * (1 - alpha) + np.asarray(COLOURS[1], dtype=np.float32) * alpha
    out = np.clip(tinted, 0, 255).astype(np.uint8)
    width = max(1, side // 300)
    out[_band(inside, 2 * width)] = DARK
    out[_band(inside, width)] = LIGHT
    return _jpeg(out)


def several(image: bytes, cues: Sequence[tuple[str, Map]], side: int = SIDE) -> bytes:
    """The image with the outline and the letter of each cue, in its own colour."""
    rgb = _scaled(image, side)
    places = []
    for number, (letter, grid_map) in enumerate(cues):
        field = _field(grid_map, rgb.shape[:2])
        inside = field >= LEVEL
        if not inside.any():
            continue
        rgb[_band(inside, 3)] = DARK
        rgb[_band(inside, 2)] = COLOURS[number % len(COLOURS)]
        row, column = np.unravel_index(int(field.argmax()), field.shape)
        places.append((letter, number, int(column), int(row)))
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    for letter, number, x, y in places:
        _tag(draw, letter, COLOURS[number % len(COLOURS)], x, y, picture.size)
    return _jpeg(np.asarray(picture))


def bare(image: bytes, side: int = SIDE) -> bytes:
    """The image alone."""
    return _jpeg(_scaled(image, side))


def missing(side: int = SIDE) -> bytes:
    """What stands for an image whose file is gone."""
    return _jpeg(np.full((side, side, 3), 40, dtype=np.uint8))


def _tag(
    draw: ImageDraw.ImageDraw, letter: str, colour: tuple[int, int, int], x: int, y: int,
    size: tuple[int, int],
) -> None:  # fmt: skip
    """A letter on a plate of the cue's colour, kept inside the picture."""
    font = ImageFont.load_default(max(11, max(size) // 32))
    left, top, right, bottom = draw.textbbox((0, 0), letter, font=font, anchor="mm")
    margin = (right - left) / 2 + 6, (bottom - top) / 2 + 5
    x, y = (round(min(max(v, m), s - m)) for v, m, s in zip((x, y), margin, size, strict=True))
    draw.rounded_rectangle((x + left - 4, y + top - 3, x + right + 4, y + bottom + 3), 4, colour)
    draw.text((x, y), letter, fill=DARK, font=font, anchor="mm")


def _scaled(image: bytes, side: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(image)) as opened:
        rgb = opened.convert("RGB")
    scale = side / max(rgb.size)
    size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    return np.array(rgb.resize(size, Image.Resampling.BICUBIC))


def _field(grid_map: Map, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The map over the image's pixels, [0, 1] of its own maximum."""
    (rows, columns), map_u8 = grid_map
    small = Image.frombytes("L", (columns, rows), map_u8)
    smooth = small.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(smooth, dtype=np.float32) / np.float32(255)


def _band(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels within `width` of the border, on either side."""
    grown, shrunk = inside, inside
    for _ in range(width):
        grown, shrunk = _grown(grown), ~_grown(~shrunk)
    return np.asarray(grown & ~shrunk)


def _grown(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(inside, 1, mode="edge")
    return np.asarray(
        padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1]
        | padded[1:-1, :-2] | padded[1:-1, 2:]
    )  # fmt: skip


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """A fifth of a PNG's bytes; full colour resolution keeps thin outlines."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=93, subsampling=0)
    return out.getvalue()
