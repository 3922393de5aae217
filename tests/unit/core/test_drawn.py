import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drawn import drawn_patches
from core.errors import ConfigError

fraction = st.floats(0, 1)


def drawn(shape: str, points: list[tuple[float, float]], grid: tuple[int, int]) -> list[list[int]]:
    return drawn_patches(shape, points, grid).reshape(grid).astype(int).tolist()


class TestBox:
    def test_half_a_patch_takes_it_less_does_not(self) -> None:
        assert drawn("box", [(0.0, 0.0), (0.375, 1.0)], (1, 2)) == [[1, 0]]
        assert drawn("box", [(0.0, 0.0), (0.75, 1.0)], (1, 2)) == [[1, 1]]
        assert drawn("box", [(0.0, 0.0), (0.70, 1.0)], (1, 2)) == [[1, 0]]

    def test_corners_come_in_any_order(self) -> None:
        wanted = [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
        for points in ([(0.3, 0.3), (1, 1)], [(1, 1), (0.3, 0.3)], [(1, 0.3), (0.3, 1)]):
            assert drawn("box", points, (3, 3)) == wanted

    def test_something_small_takes_the_patch_it_covers_most(self) -> None:
        assert drawn("box", [(0.52, 0.1), (0.62, 0.2)], (2, 2)) == [[0, 1], [0, 0]]
        assert drawn("box", [(0.9, 0.9), (0.9, 0.9)], (2, 2)) == [[0, 0], [0, 1]]
        assert drawn("box", [(1.0, 1.0), (1.0, 1.0)], (2, 2)) == [[0, 0], [0, 1]]

    @given(fraction, fraction, fraction, fraction, st.integers(1, 6), st.integers(1, 6))
    def test_at_least_one_and_never_outside(
        self, x0: float, y0: float, x1: float, y1: float, rows: int, columns: int
    ) -> None:
        taken = drawn_patches("box", [(x0, y0), (x1, y1)], (rows, columns))
        assert taken.shape == (rows * columns,)
        assert taken.any()
        at = np.argwhere(taken.reshape(rows, columns))
        low, high = sorted((x0, x1))
        assert (at[:, 1] + 1 > math.floor(low * columns) - 1e-9).all()
        assert (at[:, 1] < math.ceil(high * columns) + 1).all()


class TestLasso:
    def test_a_triangle_by_hand(self) -> None:
        # The lower left triangle of a 2 x 2 grid: its diagonal patches are half covered (seen on
        # 8 x 8 points: 28 of 64 strictly under the diagonal), the corner wholly.
        assert drawn("lasso", [(0, 0), (0, 1), (1, 1)], (2, 2)) == [[0, 0], [1, 0]]

    def test_the_same_outline_as_a_box(self) -> None:
        corners = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
        box = drawn("box", [corners[0], corners[2]], (4, 4))
        assert drawn("lasso", corners, (4, 4)) == box
        assert drawn("lasso", corners[::-1], (4, 4)) == box
        assert drawn("lasso", corners[2:] + corners[:2], (4, 4)) == box

    def test_a_hole_is_left_out(self) -> None:
        ring = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0),
                (0.25, 0.25), (0.25, 0.75), (0.75, 0.75), (0.75, 0.25), (0.25, 0.25)]  # fmt: skip
        assert drawn("lasso", ring, (4, 4)) == [
            [1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "points"),
    [("box", [(0, 0)]), ("box", [(0, 0)] * 3), ("lasso", [(0, 0), (1, 1)]), ("star", [(0, 0)] * 5)],
)
def test_other_drawings_are_refused(shape: str, points: list[tuple[float, float]]) -> None:
    with pytest.raises(ConfigError, match="a box of 2 corners or a lasso"):
        drawn_patches(shape, points, (2, 2))
