"""Draw one explanation as a picture: the image, its cues' outlines and letters, and a legend."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.types import BoolArray, Cue, Explanation

# Okabe and Ito's colours, told apart by colour-blind people too; letters say the same again.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
SIDE = 720  # pixels of the longer side of the image as drawn
LEGEND = 520  # pixels
MARGIN, LINE = 24, 30
INK, PAPER, FAINT = "#1b1b1b", "#ffffff", "#555555"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[int, int, int, int]


def draw_card(image: Path, explanation: Explanation, notice: str | None) -> bytes:
    """PNG bytes: the image with the cues' outlines on the left, decision and legend on the right.

    `notice` is written below where there is one (synthetic images must carry theirs). Raises
    ImageError for an image that cannot be read.
    """
    from core.images import load_image

    picture = _fitted(Image.fromarray(load_image(image).rgb))
    rows = len(explanation.cues)
    height = max(picture.height, 170 + 2 * LINE * rows) + 2 * MARGIN + (LINE if notice else 0)
    card = Image.new("RGB", (picture.width + LEGEND + 3 * MARGIN, height), PAPER)
    card.paste(picture, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(card)
    place = (MARGIN, MARGIN, MARGIN + picture.width, MARGIN + picture.height)
    for index, cue in enumerate(explanation.cues):
        _outline(draw, cue.region_GV, place, PALETTE[index % len(PALETTE)])
    taken: set[tuple[int, int]] = set()
    for index, cue in enumerate(explanation.cues):
        _letter(draw, cue, place, letter(index), PALETTE[index % len(PALETTE)], taken)
    _legend(draw, explanation, 2 * MARGIN + picture.width)
    if notice:
        draw.text((MARGIN, height - MARGIN - 16), notice, fill=INK, font=_font(18))
    out = io.BytesIO()
    card.save(out, format="PNG")
    return out.getvalue()


def letter(index: int) -> str:
    """ "A" to "Z", then "A2", "B2" and so on."""
    turn, place = divmod(index, 26)
    return chr(ord("A") + place) + (str(turn + 1) if turn else "")


def edges(region_GV: BoolArray) -> list[tuple[int, int, int, int]]:
    """Border segments (x0, y0, x1, y1) in patch units between inside and outside of a region."""
    padded = np.pad(region_GV, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    down = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    lines = [(int(x), int(y), int(x) + 1, int(y)) for y, x in across]
    return lines + [(int(x), int(y), int(x), int(y) + 1) for y, x in down]


def _fitted(picture: Image.Image) -> Image.Image:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _outline(draw: ImageDraw.ImageDraw, region_GV: BoolArray, place: Box, colour: str) -> None:
    rows, columns = region_GV.shape
    width, height = (place[2] - place[0]) / columns, (place[3] - place[1]) / rows
    segments = [
        (place[0] + x0 * width, place[1] + y0 * height, place[0] + x1 * width,
         place[1] + y1 * height)
        for x0, y0, x1, y1 in edges(region_GV)
    ]  # fmt: skip
    for segment in segments:  # a dark line below, so that it shows on any image
        draw.line(segment, fill="#000000", width=5)
    for segment in segments:
        draw.line(segment, fill=colour, width=3)


def _letter(
    draw: ImageDraw.ImageDraw, cue: Cue, place: Box, text: str, colour: str,
    taken: set[tuple[int, int]],
) -> None:  # fmt: skip
    """The letter in the upper left corner of the largest part, beside letters that are there."""
    if not cue.regions:
        return
    largest = cue.regions[0]
    x = round(place[0] + largest.x0 * (place[2] - place[0])) + 3
    y = round(place[1] + largest.y0 * (place[3] - place[1])) + 3
    while (x, y) in taken:
        x += 26
    taken.add((x, y))
    draw.rectangle((x, y, x + 22 + 10 * (len(text) - 1), y + 24), fill=colour, outline="#000000")
    draw.text((x + 5, y + 1), text, fill="#000000", font=_font(18))


def _legend(draw: ImageDraw.ImageDraw, explanation: Explanation, left: int) -> None:
    """The decision and one entry per cue."""
    top = MARGIN
    percent = 100 * explanation.confidence
    sure = "over 99" if 99 < percent < 100 else f"{percent:.0f}"
    title = f"{explanation.prediction}: {sure} % sure"
    draw.text((left, top), _cut(title, 40), fill=INK, font=_font(26))
    sums = f"logit {explanation.logit:+.2f}, bias {explanation.bias:+.2f}"
    share = f"concepts explain {100 * max(0.0, explanation.reconstruction):.0f} % of the image"
    draw.text((left, top + 40), f"{sums}; {share}", fill=FAINT, font=_font(16))
    heading = "cues, by how far the logit moves when each is removed:"
    draw.text((left, top + 76), heading, fill=INK, font=_font(16))
    _entries(draw, explanation.cues, left, top + 108)


def _entries(draw: ImageDraw.ImageDraw, cues: Sequence[Cue], left: int, top: int) -> None:
    for index, cue in enumerate(cues):
        y = top + 2 * LINE * index
        colour = PALETTE[index % len(PALETTE)]
        draw.rectangle((left, y, left + 28, y + 26), fill=colour, outline="#000000")
        draw.text((left + 7, y + 2), letter(index), fill="#000000", font=_font(18))
        draw.text((left + 40, y), _cut(cue.name, 44), fill=INK, font=_font(19))
        figures = f"removed: {-cue.causal_effect:+.2f}   adds: {cue.contribution:+.2f} logit units"
        draw.text((left + 40, y + 25), figures, fill=FAINT, font=_font(15))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _font(size: int) -> Font:
    return ImageFont.load_default(size)
