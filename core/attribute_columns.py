"""Known attributes of images: columns of a table or masks, as yes/no truth per place.

Legend: I images, P patches (row-major over the grid), M places (images, or I*P patches).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ConfigError

Level = Literal["image", "patch"]
Value = str | int | float | bool | None
MOST_CATEGORIES = 12  # a column of more different words is not a category
FEW_NUMBERS = 8  # a column of at most so many different numbers counts as categories
COVER = 0.25  # share of a patch that a mask must cover, as in the phantoms' truth


@dataclass(frozen=True, eq=False)
class Attribute:
    """One yes/no question and its answer at every place."""

    name: str  # "hair", "exposure = 5", "brightness > 101"
    truth_M: NDArray[np.bool_] = field(repr=False)
    known_M: NDArray[np.bool_] = field(repr=False)  # False where the answer is missing

    @property
    def positives(self) -> int:
        """Places where the answer is known and yes."""
        return int((self.truth_M & self.known_M).sum())


def from_column(name: str, values: Sequence[Value]) -> tuple[Attribute, ...]:
    """Attributes of one column of a table, one value per image.

    - 0/1 or true/false: one attribute under the column's name.
    - words, or up to 8 different numbers: one attribute per value ("exposure = 5").
    - other numbers: one attribute, above the median ("brightness > 101").

    None, "" and NaN are missing values.

    Raises:
        ConfigError: a single value throughout, or more than 12 different words.
    """
    known_M = np.array([not _missing(value) for value in values], np.bool_)
    words = ["" if _missing(value) else str(value).strip().lower() for value in values]
    distinct = sorted({word for word, known in zip(words, known_M, strict=True) if known})
    if len(distinct) < 2:
        raise ConfigError(f"the column {name!r} does not vary: nothing can be matched to it")
    if all(word in _YES | _NO for word in distinct):
        return (Attribute(name, np.array([word in _YES for word in words]), known_M),)
    numbers_M = _numbers(words, known_M)
    if numbers_M is not None and len(distinct) > FEW_NUMBERS:
        middle = float(np.median(numbers_M[known_M]))
        if not (numbers_M[known_M] > middle).any():
            raise ConfigError(f"more than half of the column {name!r} is its largest value")
        return (Attribute(f"{name} > {middle:g}", known_M & (numbers_M > middle), known_M),)
    if len(distinct) > MOST_CATEGORIES:
        raise ConfigError(f"the column {name!r} has {len(distinct)} different words: too many")
    shown = {word: str(value).strip() for word, value in zip(words, values, strict=True)}
    return tuple(
        Attribute(f"{name} = {shown[word]}", np.array([w == word for w in words]), known_M)
        for word in distinct
    )


def from_masks(
    name: str,
    masks: Iterable[NDArray[np.bool_] | None],
    grid: tuple[int, int],
    cover: float = COVER,
) -> Attribute:
    """A patch-level attribute from one mask bool [H, W] per image, of any size.

    A patch shows the attribute where the mask covers at least `cover` of it. None is an image
    without the attribute.

    Raises:
        ConfigError: a mask that is not [H, W], or no image.
    """
    rows, columns = grid
    parts = []
    for mask_HW in masks:
        if mask_HW is None:
            parts.append(np.zeros(rows * columns, np.bool_))
            continue
        if mask_HW.ndim != 2:
            raise ConfigError(f"a mask of {name!r} has {mask_HW.ndim} dimensions instead of 2")
        pixels = Image.fromarray(np.asarray(mask_HW, np.bool_).astype(np.uint8) * 255)
        small = pixels.resize((columns, rows), Image.Resampling.BOX)
        parts.append(np.asarray(small).ravel() >= cover * 255)
    if not parts:
        raise ConfigError(f"there are no masks of {name!r}")
    truth_M = np.concatenate(parts)
    return Attribute(name, truth_M, np.ones(len(truth_M), np.bool_))


_YES = {"1", "1.0", "true", "yes"}
_NO = {"0", "0.0", "false", "no"}


def _missing(value: Value) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _numbers(words: Sequence[str], known_M: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """The column as numbers, NaN where missing; None where a word is not a finite number."""
    out = np.full(len(words), np.nan)
    for place in np.flatnonzero(known_M).tolist():
        try:
            out[place] = float(words[place])
        except ValueError:
            return None
    return out if np.isfinite(out[known_M]).all() else None
