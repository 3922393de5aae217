"""Which images train, calibrate and test: as given, or a seeded, stratified split.

Shape legend: I images, C classes.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

TRAIN: Final = "train"
VAL: Final = "val"
TEST: Final = "test"
UNUSED: Final = ""  # an image without a split where others have one: predicted, nothing else
_ALIASES: Final = {
    "training": TRAIN, "valid": VAL, "validation": VAL, "dev": VAL, "testing": TEST,
}  # fmt: skip


def resolve_splits(
    labels: Sequence[int | None],
    splits: Sequence[str | None],
    seed: int,
    shares: tuple[float, float] = (0.15, 0.15),
) -> tuple[str, ...]:
    """The split of every image.

    Args:
        labels: class index, or None where unlabelled.
        splits: as the user gave them; usual spellings of train and val are understood.
        seed: of the drawn split.
        shares: of validation and test, where no image has a split at all.

    Raises:
        ConfigError: splits are given, but none is "train".
    """
    given = [_ALIASES.get(name, name) for name in ((s or "").strip().casefold() for s in splits)]
    if not any(given):
        return draw_splits(labels, seed, shares)
    if TRAIN not in given:
        raise ConfigError('the split column has no "train" images')
    return tuple(given)


def draw_splits(
    labels: Sequence[int | None], seed: int, shares: tuple[float, float]
) -> tuple[str, ...]:
    """A random split within each class; train gets at least one image of every class.

    The shares of a class are rounded to whole images; unlabelled images form a class of their own.
    """
    rng = np.random.default_rng(seed)
    keys = np.array([-1 if label is None else label for label in labels], np.int64)
    names = np.full(len(keys), TRAIN, dtype=object)
    for key in np.unique(keys):
        rows = rng.permutation(np.flatnonzero(keys == key))
        test = min(round(shares[1] * len(rows)), len(rows) - 1)
        val = min(round(shares[0] * len(rows)), len(rows) - 1 - test)
        names[rows[:test]] = TEST
        names[rows[test : test + val]] = VAL
    return tuple(str(name) for name in names)


def held_back(labels_I: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """True for a stratified share of cases; every class keeps at least one case outside it."""
    drawn = draw_splits(labels_I.tolist(), seed, (share, 0.0))
    return np.array([name == VAL for name in drawn], dtype=np.bool_)
