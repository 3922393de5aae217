"""Columns of the data as groups: which can be used, and what their values are. Pure: no store.

A column of words is taken as it is; where it has many, all but the most frequent are put together.
A column of many numbers is cut at its quartiles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from dashboard.viewmodels.groups import ColumnKind, ColumnRow

LABEL, SPLIT = "label", "split"
FEW_NUMBERS: Final = 8  # as many different numbers are taken as words
MOST: Final = 16  # groups of a column of words; further values are put together
OTHERS: Final = "all other values"
NAMES: Final[Mapping[str, str]] = {
    LABEL: "Label", "group": "Group", "mask": "Has a mask", SPLIT: "Split",
}  # fmt: skip


def column_row(column: str, values: Sequence[str | None]) -> ColumnRow:
    """What can be said of a column, one value per image."""
    known = [value for value in values if value]
    distinct = len(set(known))
    kind: ColumnKind = "numbers" if _is_number(known) else "words"
    why_not = ""
    if not known:
        why_not = "no image has a value"
    elif distinct == 1:
        why_not = f"every image has the same value, {known[0]}"
    elif kind == "words" and distinct > len(known) / 2:
        why_not = "nearly every image has a value of its own"
    return ColumnRow(
        column=column,
        label=NAMES.get(column, column),
        kind=kind,
        values=distinct,
        cases=len(known),
        missing=len(values) - len(known),
        usable=not why_not,
        why_not=why_not,
    )


def grouped(kind: ColumnKind, values: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The group of each value, and the groups in their natural order.

    >>> grouped("words", ["b", "a", "b"])
    (['b', 'a', 'b'], ('a', 'b'))
    """
    if kind == "numbers":
        return _cut([float(value) for value in values])
    counts = Counter(values)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    kept = set(ordered if len(ordered) <= MOST else ordered[: MOST - 1])
    groups = [value if value in kept else OTHERS for value in values]
    return groups, tuple(sorted(kept)) + ((OTHERS,) if len(kept) < len(ordered) else ())


def _cut(numbers: Sequence[float]) -> tuple[list[str], tuple[str, ...]]:
    """Quarters of a column of numbers; equal numbers stay together."""
    at = np.asarray(numbers, dtype=np.float64)
    edges = np.unique(np.quantile(at, [0.25, 0.5, 0.75], method="inverted_cdf"))
    edges = edges[edges < at.max()]
    place = np.searchsorted(edges, at, side="left")
    low = [float(at.min()), *map(float, edges)]
    high = [*map(float, edges), float(at.max())]
    names = [
        f"{a:g} to {b:g}" if k == 0 else f"above {a:g} to {b:g}"
        for k, (a, b) in enumerate(zip(low, high, strict=True))
    ]
    return [names[int(k)] for k in place], tuple(names)


def _is_number(values: Sequence[str]) -> bool:
    """Many different finite numbers; a few are taken as words."""
    if len(set(values)) <= FEW_NUMBERS:
        return False
    try:
        return all(math.isfinite(float(value)) for value in values)
    except ValueError:
        return False
