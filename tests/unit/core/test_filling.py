import numpy as np
import pytest

from core.errors import ConfigError
from core.filling import Fill, enlarge, fill_region

HOWS: tuple[Fill, ...] = ("surroundings", "mean", "blur")


def stained(side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """A slope from left to right with a bright green square in patch (1, 2) of a 4 x 4 grid."""
    slope = np.linspace(40, 200, side)[None, :, None]
    image = np.broadcast_to(slope, (side, side, 3)).astype(np.uint8).copy()
    image[side // 4 : side // 2, side // 2 : 3 * side // 4] = (0, 255, 0)
    region = np.zeros((4, 4), dtype=bool)
    region[1, 2] = True
    return image, region


@pytest.mark.parametrize("how", HOWS)
def test_only_the_region_changes_and_the_stain_is_gone(how: Fill) -> None:
    image, region = stained()
    kept = image.copy()
    filled = fill_region(image, region, how)
    hole = enlarge(region, 48, 48)
    np.testing.assert_array_equal(image, kept)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    green = filled[hole].astype(int)
    assert (green[:, 1] - green[:, 0]).max() < 160  # 255 before


def test_the_surroundings_go_on_without_an_edge() -> None:
    image, region = stained()
    clean = np.broadcast_to(np.linspace(40, 200, 48)[None, :, None], (48, 48, 3))
    gaps = {
        how: np.abs(fill_region(image, region, how).astype(float) - clean).max() for how in HOWS
    }
    assert gaps["surroundings"] < 20
    assert gaps["surroundings"] < gaps["mean"] < gaps["blur"]


@pytest.mark.parametrize("how", HOWS)
def test_one_colour_stays_one_colour(how: Fill) -> None:
    image = np.full((30, 41, 3), 77, dtype=np.uint8)
    region = np.random.default_rng(2).random((7, 5)) < 0.4
    np.testing.assert_array_equal(fill_region(image, region, how), image)


@pytest.mark.parametrize("how", HOWS)
def test_nothing_and_everything(how: Fill) -> None:
    image, _ = stained()
    np.testing.assert_array_equal(fill_region(image, np.zeros((4, 4), bool), how), image)
    whole = fill_region(image, np.ones((4, 4), bool), how)
    assert whole.shape == image.shape
    if how != "blur":
        assert len(np.unique(whole.reshape(-1, 3), axis=0)) == 1


def test_patches_become_pixels() -> None:
    grid = np.array([[True, False, False], [False, False, True]])
    assert enlarge(grid, 2, 6).tolist() == [
        [True, True, False, False, False, False],
        [False, False, False, False, True, True],
    ]
    assert enlarge(grid, 4, 3)[:2].tolist() == [[True, False, False]] * 2
    with pytest.raises(ConfigError, match="does not fit"):
        enlarge(grid, 1, 6)
