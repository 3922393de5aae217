"""Pictures with cue maps: what is tinted, outlined and lettered."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dashboard.views import case_picture

GREY = 128


def image(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (GREY, GREY, GREY)).save(out, "PNG")
    return out.getvalue()


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def near(pixel: np.ndarray, colour: tuple[int, int, int], by: int = 12) -> np.ndarray:
    """Which pixels have a colour, but for what the JPEG lost."""
    return np.asarray((np.abs(pixel - np.array(colour)) <= by).all(axis=-1))


def left_half(rows: int = 4, columns: int = 4) -> case_picture.Map:
    """A map that fires in the left half."""
    row = bytes([255] * (columns // 2) + [0] * (columns - columns // 2))
    return (rows, columns), row * rows


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (1, 900), (300, 300)])
def test_any_shape_is_scaled_to_the_longer_side(size: tuple[int, int]) -> None:
    grid, map_u8 = left_half()
    shown = pixels(case_picture.one_cue(image(*size), grid, map_u8, 120))
    assert max(shown.shape[:2]) == 120


def test_inside_is_tinted_outside_is_left_alone_and_the_border_shows() -> None:
    grid, map_u8 = left_half()
    shown = pixels(case_picture.one_cue(image(100, 100), grid, map_u8, 100))
    assert not near(shown[50, 10], (GREY, GREY, GREY))
    assert near(shown[50, 90], (GREY, GREY, GREY))
    row = shown[50].sum(axis=1)
    assert row.max() > 700  # the light core of the outline
    assert row.min() < 110  # and its dark edge: visible on any image


def test_each_cue_has_its_own_colour_and_letter() -> None:
    (rows, columns), left = left_half()
    right = bytes(255 - value for value in left)
    both = case_picture.several(
        image(200, 200), [("A", ((rows, columns), left)), ("B", ((rows, columns), right))], 200
    )
    shown = pixels(both)
    assert all(near(shown, colour).any() for colour in case_picture.COLOURS[:2])


def test_a_cue_that_fires_nowhere_changes_nothing() -> None:
    silent = ((4, 4), bytes(16))
    shown = pixels(case_picture.several(image(50, 50), [("A", silent)], 50))
    assert near(shown, (GREY, GREY, GREY)).all()


def test_what_is_lost_has_a_picture_too() -> None:
    assert pixels(case_picture.missing(30)).shape == (30, 30, 3)
    assert near(pixels(case_picture.bare(image(30, 30), 30)), (GREY, GREY, GREY)).all()
