"""The values of a metadata column as a few levels.

Shape legend: I cases; L levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MOST_LEVELS = 12
"""Different numbers above which a column counts as a measurement and is cut into BINS."""
BINS = 5
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Levels:
    """Level of every case (UNKNOWN where the value is not known) and the names of the levels."""

    level_I: NDArray[np.int64]
    names: tuple[str, ...]

    def shown_IL(self) -> NDArray[np.bool_]:
        """Which level a case has, bool [I, L]; a row of False where it is unknown."""
        return np.asarray(self.level_I[:, None] == np.arange(len(self.names)), dtype=np.bool_)


def levels_of(values: Sequence[object]) -> Levels:
    """Texts are levels as they are; numbers of many different values are cut at their quantiles.

    Empty texts, None and NaN are unknown. Numbers written as text count as numbers.
    """
    texts = ["" if value is None else str(value).strip() for value in values]
    known = sorted({text for text in texts if text and text.casefold() != "nan"})
    numbers = [_number(text) for text in known]
    if len(known) > MOST_LEVELS and all(number is not None for number in numbers):
        return _binned(np.array([_or_nan(text) for text in texts]))
    ordered = known
    if all(number is not None for number in numbers):
        ordered = [text for _, text in sorted((_or_nan(text), text) for text in known)]
    place = {text: number for number, text in enumerate(ordered)}
    return Levels(np.array([place.get(text, UNKNOWN) for text in texts], np.int64), tuple(ordered))


def _binned(number_I: NDArray[np.float64]) -> Levels:
    known_I = np.isfinite(number_I)
    cuts = np.unique(np.quantile(number_I[known_I], np.linspace(0, 1, BINS + 1)[1:-1]))
    level_I = np.where(known_I, np.searchsorted(cuts, number_I, side="right"), UNKNOWN)
    edges = [float(number_I[known_I].min()), *cuts.tolist(), float(number_I[known_I].max())]
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return Levels(level_I.astype(np.int64), tuple(names))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _or_nan(text: str) -> float:
    number = _number(text)
    return float("nan") if number is None else number
