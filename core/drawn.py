"""From a drawn box or lasso to patches of the grid; what stands for a place without a concept.

Shape legend: G, V rows and columns of the patch grid, which covers the whole image; P = G * V;
Y, X fine rows and columns; N corners.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.types import BoolArray

Floats = NDArray[np.float64]

FINE = 8
"""A patch is looked at on FINE x FINE points."""
COVERED = 0.5
"""Share of a patch that a drawing must cover to take it."""
NO_CONCEPT = -1
"""Stands in the place of a concept where people drew a place that no concept shows. Several places
of one case count down from it (-1, -2, ...), so that they are told apart; any number below 0 is a
place."""
PLACE = "marked place"
"""What a place that no concept shows is called."""


def is_place(concept: int) -> bool:
    """Whether the number stands for a drawn place, not for a concept.

    >>> is_place(NO_CONCEPT), is_place(-3), is_place(0)
    (True, True, False)
    """
    return concept < 0


def called(concept: int, names: Mapping[int, str]) -> str:
    """The name of a concept, "concept 17" where it has none; "marked place" for a drawn place.

    >>> called(2, {2: "ruler"}), called(17, {}), called(-2, {})
    ('ruler', 'concept 17', 'marked place')
    """
    return PLACE if is_place(concept) else names.get(concept, f"concept {concept}")


def drawn_patches(
    shape: str, points: Sequence[Sequence[float]], grid: tuple[int, int]
) -> BoolArray:
    """Patches that a drawing covers by half or more, bool [P], row-major.

    A drawing that covers no patch by half takes the one that it covers most, so that pointing at
    something small is not lost.

    Args:
        shape: "box" (two corners) or "lasso" (a closed outline of three points or more).
        points: (x, y) in fractions of the image, [0, 1].
        grid: rows and columns, each at least 1.

    Raises ConfigError for another shape or too few points.

    >>> drawn_patches("box", [(0.5, 0.0), (1.0, 1.0)], (2, 2)).tolist()
    [False, True, False, True]
    """
    rows, columns = grid
    corner_N2 = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if shape == "box" and len(corner_N2) == 2:
        (x0, y0), (x1, y1) = corner_N2.min(axis=0), corner_N2.max(axis=0)
        corner_N2 = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    elif shape != "lasso" or len(corner_N2) < 3:
        raise ConfigError("a drawing is a box of 2 corners or a lasso of 3 points or more")
    y_Y = (np.arange(rows * FINE) + 0.5) / (rows * FINE)
    x_X = (np.arange(columns * FINE) + 0.5) / (columns * FINE)
    inside_YX = _inside(corner_N2, x_X, y_Y)
    covered_GV = inside_YX.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))
    taken_GV = covered_GV >= COVERED
    if not taken_GV.any():
        taken_GV[_most(covered_GV, corner_N2.mean(axis=0))] = True
    return np.asarray(taken_GV.ravel())


def _inside(corner_N2: Floats, x_X: Floats, y_Y: Floats) -> NDArray[np.bool_]:
    """Even-odd rule: points from which a ray to the right crosses the outline an odd number of
    times."""
    inside_YX = np.zeros((len(y_Y), len(x_X)), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(corner_N2, np.roll(corner_N2, -1, axis=0), strict=True):
        if ay == by:
            continue
        crossed_Y = (y_Y >= min(ay, by)) & (y_Y < max(ay, by))
        at_Y = ax + (y_Y - ay) * (bx - ax) / (by - ay)
        inside_YX ^= crossed_Y[:, None] & (x_X < at_Y[:, None])
    return inside_YX


def _most(covered_GV: Floats, centre_2: Floats) -> tuple[int, int]:
    """The patch covered most; where none is covered at all, the one under the drawing's centre."""
    rows, columns = covered_GV.shape
    if covered_GV.any():
        row, column = np.unravel_index(int(covered_GV.argmax()), covered_GV.shape)
        return int(row), int(column)
    x, y = np.clip(centre_2, 0, 1 - 1e-9)
    return int(y * rows), int(x * columns)
