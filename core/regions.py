"""From a cue's map to the region it occupies: threshold, connected parts, boxes, words.

Shape legend: G, V rows and columns of the patch grid, which covers the whole image.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, label

from core.types import BoolArray, FloatArray, Region

REGION_SHARE = 0.5
"""A patch belongs to a cue's region from this share of the cue's own maximum."""
_EIGHT = np.ones((3, 3), dtype=np.int64)
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def region_of(map_GV: FloatArray, share: float = REGION_SHARE) -> BoolArray:
    """Patches with at least `share` (0, 1] of the map's maximum; none where the map is zero."""
    top = float(map_GV.max(initial=0.0))
    if top <= 0:
        return np.zeros(map_GV.shape, dtype=np.bool_)
    return np.asarray(map_GV >= share * top, dtype=np.bool_)


def components(region_GV: BoolArray) -> tuple[Region, ...]:
    """Connected parts (diagonal neighbours count) as boxes in image fractions, largest first."""
    parts_GV, _ = label(region_GV, structure=_EIGHT)
    rows, columns = region_GV.shape
    found = []
    for number, box in enumerate(find_objects(parts_GV), start=1):
        if box is None:
            continue
        y, x = box
        found.append(
            Region(
                x0=x.start / columns,
                y0=y.start / rows,
                x1=x.stop / columns,
                y1=y.stop / rows,
                area=float((parts_GV[box] == number).sum()) / region_GV.size,
            )
        )
    return tuple(sorted(found, key=lambda r: (-r.area, r.y0, r.x0)))


def share_of_image(regions: Sequence[Region]) -> float:
    """Share of the image that the regions cover together, [0, 1]."""
    return float(sum(region.area for region in regions))


def place_in_words(regions: Sequence[Region]) -> str:
    """Where the regions lie, in plain words: "upper left", "along the left edge", "centre"."""
    if not regions:
        return "nowhere"
    total = share_of_image(regions)
    if total >= 0.6:
        return "most of the image"
    largest = regions[0]
    if largest.area < 0.5 * total:
        return "several places"
    return _edge(largest) or _cell(largest)


def _edge(region: Region) -> str | None:
    """The edge a long thin region runs along, if it does."""
    wide, tall = region.x1 - region.x0, region.y1 - region.y0
    if wide >= 0.7 and tall <= 0.34 and (region.y0 == 0 or region.y1 == 1):
        return "along the upper edge" if region.y0 == 0 else "along the lower edge"
    if tall >= 0.7 and wide <= 0.34 and (region.x0 == 0 or region.x1 == 1):
        return "along the left edge" if region.x0 == 0 else "along the right edge"
    return None


def _cell(region: Region) -> str:
    row = _ROWS[min(int(3 * (region.y0 + region.y1) / 2), 2)]
    column = _COLUMNS[min(int(3 * (region.x0 + region.x1) / 2), 2)]
    if (row, column) == ("middle", "centre"):
        return "centre"
    return f"{row} {column}"
