"""Pictures of a report: each image with its cues' outlines and letters, small, drawn once.

A picture that was drawn for one form lies in a folder until the report is done, so that the next
form of the same report need not read the image again. Images are checked to be those that were
ingested; one that is lost or was changed gives a line instead, and the rest goes on.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.errors import ImageError, InputError
from core.images import load_image, safe_join
from dashboard.services.card import PALETTE, edges
from dashboard.viewmodels.report_content import CaseContent

SIDE: Final = 240  # pixels of the longer side
LARGE_SIDE: Final = 400  # of a report with few cases
QUALITY: Final = 82  # of JPEG
UNDER, WHITE = "#000000", "#ffffff"
DARK: Final = frozenset({"#0072B2"})  # colours on which black cannot be read well
_MOST_EXTREME: Final = 40.0  # longer side / shorter side; beyond this the picture is not drawn


@dataclass(frozen=True)
class Picture:
    """A picture, or why there is none."""

    src: str  # data URI; "" where there is none
    alt: str
    width: int  # pixels
    height: int
    problem: str = ""


@dataclass(frozen=True)
class Outline:
    """A region to be drawn, with its letter."""

    letter: str
    name: str
    grid: tuple[int, int]  # rows, columns
    bits: bytes  # packed, row after row
    corner: tuple[float, float] | None  # x, y of its largest part, in fractions of the image


@dataclass(frozen=True)
class Asked:
    """A picture that is wanted: which image, and what is drawn on it."""

    key: str  # a plain name of its own, an id
    image_name: str
    image_sha256: str
    outlines: tuple[Outline, ...]


class Pictures:
    """Draws the cases of one project for one report."""

    def __init__(self, root: Path, kept: Path, side: int = SIDE) -> None:
        """`root`: the project's folder of images. `kept`: a folder of this report's own."""
        self._root = root
        self._kept = kept
        self._side = side
        kept.mkdir(parents=True, exist_ok=True)

    def of(self, case: CaseContent) -> Picture:
        """The case's image with the regions of its cues."""
        outlines = tuple(
            Outline(
                cue.letter, cue.name, cue.grid, cue.region_bits,
                (cue.regions[0].x0, cue.regions[0].y0) if cue.regions else None,
            )
            for cue in case.cues
        )  # fmt: skip
        return self.drawn(Asked(case.id, case.image_name, case.image_sha256, outlines))

    def drawn(self, asked: Asked) -> Picture:
        """A picture, or the line that stands in its place."""
        alt = _alt(asked)
        kept = self._kept / f"{asked.key}.jpg"
        if not kept.exists():
            try:
                rgb = _verified(self._root, asked)
            except InputError as error:
                return Picture("", alt, 0, 0, f"The picture cannot be shown: {error.reason}.")
            kept.write_bytes(draw(rgb, asked.outlines, self._side))
        content = kept.read_bytes()
        with Image.open(io.BytesIO(content)) as drawn:
            width, height = drawn.size
        return Picture(uri(content, "image/jpeg"), alt, width, height)


def uri(content: bytes, mime: str) -> Markup:
    """A data URI, which holds nothing that HTML would read otherwise."""
    return Markup("data:{};base64,{}").format(mime, base64.b64encode(content).decode("ascii"))


def colour(letter: str) -> str:
    """The colour of a cue by its letter, of Okabe and Ito's palette.

    >>> colour("A"), colour("B")
    ('#E69F00', '#56B4E9')
    """
    return PALETTE[(ord(letter[:1] or "A") - ord("A")) % len(PALETTE)]


def draw(rgb: NDArray[np.uint8], outlines: Sequence[Outline], side: int) -> bytes:
    """JPEG bytes: uint8 [H, W, 3] fitted into `side` pixels, outlines with letters above it."""
    picture = _fitted(Image.fromarray(rgb), side)
    pen = ImageDraw.Draw(picture)
    shown = [(each, region) for each in outlines if (region := _region(each)) is not None]
    for each, region_GV in shown:
        _outline(pen, region_GV, picture.size, colour(each.letter))
    taken: set[tuple[int, int]] = set()
    for each, _ in shown:
        _letter(pen, each, picture.size, taken)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _verified(root: Path, asked: Asked) -> NDArray[np.uint8]:
    try:
        loaded = load_image(safe_join(root, asked.image_name))
    except OSError as error:
        raise ImageError(asked.image_name, f"it cannot be read ({error.strerror})") from None
    if loaded.sha256 != asked.image_sha256:
        raise ImageError(asked.image_name, "its content changed since it was ingested")
    if max(loaded.width, loaded.height) > _MOST_EXTREME * min(loaded.width, loaded.height):
        raise ImageError(asked.image_name, "it is too long and narrow to be shown")
    return loaded.rgb


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    """The longer side exactly `side`: outlines need room on a small image, too."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    way = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize(size, way, reducing_gap=2.0)


def _region(cue: Outline) -> NDArray[np.bool_] | None:
    """The region [rows, columns]; None where it has none."""
    rows, columns = cue.grid
    if not cue.bits or rows * columns == 0:
        return None
    flat = np.unpackbits(np.frombuffer(cue.bits, dtype=np.uint8), count=rows * columns)
    region: NDArray[np.bool_] = flat.reshape(rows, columns).astype(bool)
    return region if region.any() else None


def _outline(
    pen: ImageDraw.ImageDraw, region_GV: NDArray[np.bool_], size: tuple[int, int], ink: str
) -> None:
    rows, columns = region_GV.shape
    wide, high = (size[0] - 1) / columns, (size[1] - 1) / rows
    lines = [(x0 * wide, y0 * high, x1 * wide, y1 * high) for x0, y0, x1, y1 in edges(region_GV)]
    thick = max(2, max(size) // 130)
    for line in lines:  # a dark line below, so that it shows on any image
        pen.line(line, fill=UNDER, width=thick + 2)
    for line in lines:
        pen.line(line, fill=ink, width=thick)


def _letter(
    pen: ImageDraw.ImageDraw, cue: Outline, size: tuple[int, int], taken: set[tuple[int, int]]
) -> None:
    """The letter at the upper left of the largest part, beside letters that are there."""
    if cue.corner is None:
        return
    wide, high = 8 + 8 * len(cue.letter), 17
    x = min(round(cue.corner[0] * size[0]) + 1, size[0] - wide - 1)
    y = min(round(cue.corner[1] * size[1]) + 1, size[1] - high - 1)
    x, y = _free(max(x, 0), max(y, 0), wide, high, size, taken)
    taken.add((x, y))
    pen.rectangle((x, y, x + wide, y + high), fill=colour(cue.letter), outline=UNDER)
    ink = WHITE if colour(cue.letter) in DARK else UNDER
    pen.text((x + 4, y + 1), cue.letter, fill=ink, font=ImageFont.load_default(14))


def _free(
    x: int, y: int, wide: int, high: int, size: tuple[int, int], taken: Iterable[tuple[int, int]]
) -> tuple[int, int]:
    """The next place to the right, then below, where no letter lies; the first, if all are full."""
    first, there = (x, y), list(taken)
    for _ in range(64):
        if not any(abs(x - a) < wide and abs(y - b) < high for a, b in there):
            return x, y
        x += wide + 1
        if x + wide >= size[0]:
            x, y = 0, y + high + 1
        if y + high >= size[1]:
            y = 0
    return first


def _alt(asked: Asked) -> str:
    if not asked.outlines:
        return f"The image {asked.image_name}"
    named = ", ".join(f"{each.letter}: {each.name}" for each in asked.outlines)
    return f"The image {asked.image_name} with outlined regions; {named}"
