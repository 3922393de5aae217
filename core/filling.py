"""Take a region out of a picture: fill it so that what was there can no longer be seen.

surroundings  every filled pixel is a smooth blend of the pixels around the region, near ones most:
              averages of the known pixels on ever coarser scales, laid under each other (push-pull,
              Gortler et al. 1996, "The Lumigraph"). No edge, no foreign colour. The default.
mean          the mean colour of all known pixels: simple, but paints a patch with an edge that
              the picture did not have, which a model may take for a sign of its own.
blur          the picture blurred by half the region's width: keeps colours of what was to go.

Legend: H, W pixels; G, V rows and columns of the patch grid; L levels.
"""

from typing import Any, Literal, assert_never

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from core.errors import ConfigError
from core.types import BoolArray

Fill = Literal["surroundings", "mean", "blur"]


def fill_region(
    image_HW3: NDArray[np.uint8], region_GV: BoolArray, how: Fill = "surroundings"
) -> NDArray[np.uint8]:
    """A copy of the picture with the region filled; pixels outside it are untouched.

    Args:
        image_HW3: RGB uint8.
        region_GV: what to fill, bool on a grid that is laid over the whole picture.
        how: see the module.

    Returns:
        RGB uint8 [H, W, 3]. A region that covers the whole picture leaves its mean colour.

    Raises:
        ConfigError: the grid is finer than the picture.
    """
    hole_HW = enlarge(region_GV, image_HW3.shape[0], image_HW3.shape[1])
    if not hole_HW.any():
        return image_HW3.copy()
    new_HW3: NDArray[Any]
    match how:
        case "surroundings":
            new_HW3 = _push_pull(image_HW3, hole_HW)
        case "mean":
            known = image_HW3[~hole_HW] if not hole_HW.all() else image_HW3.reshape(-1, 3)
            new_HW3 = np.broadcast_to(known.mean(axis=0), image_HW3.shape)
        case "blur":
            new_HW3 = _blurred(image_HW3, hole_HW)
        case _:
            assert_never(how)
    filled_HW3 = np.where(hole_HW[..., None], np.rint(new_HW3), image_HW3)
    return np.asarray(filled_HW3.clip(0, 255), dtype=np.uint8)


def enlarge(region_GV: BoolArray, height: int, width: int) -> BoolArray:
    """The pixels [height, width] that belong to marked patches of a grid over the picture.

    Raises ConfigError where the grid is finer than the pixels.
    """
    rows, columns = region_GV.shape
    if rows > height or columns > width:
        raise ConfigError(f"a grid of {rows} x {columns} does not fit {height} x {width} pixels")
    row_H = np.arange(height) * rows // height
    column_W = np.arange(width) * columns // width
    return np.asarray(region_GV[np.ix_(row_H, column_W)], dtype=np.bool_)


def _push_pull(image_HW3: NDArray[np.uint8], hole_HW: BoolArray) -> NDArray[np.float32]:
    colour = torch.from_numpy(image_HW3.copy()).permute(2, 0, 1)[None].float()
    if hole_HW.all():
        return np.broadcast_to(image_HW3.mean(axis=(0, 1)), image_HW3.shape).astype(np.float32)
    known = torch.from_numpy(~hole_HW)[None, None].float()
    filled = _pull(colour * known, known)
    return np.asarray(filled[0].permute(1, 2, 0).numpy(), dtype=np.float32)


def _pull(weighted_13HW: Tensor, known_11HW: Tensor) -> Tensor:
    """Colours [1, 3, H, W]: what is known, and under it the same at half the size."""
    colour = weighted_13HW / known_11HW.clamp(min=1e-6)
    if bool((known_11HW > 0).all()):
        return colour
    halves = [
        F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        for x in (weighted_13HW, known_11HW)
    ]
    coarse = _pull(halves[0], halves[1])
    size = (known_11HW.shape[2], known_11HW.shape[3])
    under = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return torch.where(known_11HW > 0, colour, under)


def _blurred(image_HW3: NDArray[np.uint8], hole_HW: BoolArray) -> NDArray[np.uint8]:
    radius = max(1.0, float(np.sqrt(hole_HW.sum())) / 2)
    return np.asarray(Image.fromarray(image_HW3).filter(ImageFilter.GaussianBlur(radius)))
