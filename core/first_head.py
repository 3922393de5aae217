"""The head of a first model version: fitted on train, calibrated and measured elsewhere.

Shape legend: I images, N concepts, C classes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from core.calibration import cautious_temperature
from core.evaluation import MIN_GROUP, evaluate
from core.heads import LinearHead, fit_head
from core.splits import TRAIN, UNUSED, VAL, held_back

COVERED = 0.8  # least share of the cases that groups of MIN_GROUP or more must hold


@dataclass(frozen=True)
class DiscoverItem:
    """One image: its key in the token store and what is known of it."""

    sha256: str
    label: int | None = None  # index into the classes
    split: str | None = None
    group: str | None = None


def fit_calibrated(
    pooled_IN: sparse.csr_matrix,
    items: Sequence[DiscoverItem],
    splits: Sequence[str],
    classes: Sequence[str],
    *,
    c: float | None = None,
    apart: float = 0.2,
    seed: int = 0,
) -> LinearHead:
    """A head fitted on train; its temperature comes from images that it was not fitted on.

    Args:
        pooled_IN: pooled codes of the items.
        items, splits: what is known of each image, and the split that it is used in.
        classes: names of the labels.
        c: inverse penalty of the head; None chooses by cross-validation.
        apart: share of train that stands in for a missing validation set, [0, 0.5).
        seed: of folds and of what is set apart.

    Raises:
        ConfigError: a class has no labelled train image.
    """
    train = labelled_rows(items, splits, TRAIN)
    labels = _labels(items, train)
    head = fit_head(pooled_IN[train], labels, classes, c=c, seed=seed)
    val = labelled_rows(items, splits, VAL)
    if len(val):
        logits_IC = head.logits(pooled_IN[val])
        return head.with_temperature(cautious_temperature(logits_IC, _labels(items, val)))
    held = held_back(labels, apart, seed)
    if not held.any():
        return head
    # A second head, on the rest of train, stands in for the first on the images held back.
    rest = fit_head(pooled_IN[train[~held]], labels[~held], classes, c=c, seed=seed)
    logits_IC = rest.logits(pooled_IN[train[held]])
    return head.with_temperature(cautious_temperature(logits_IC, labels[held]))


def split_metrics(
    head: LinearHead,
    pooled_IN: sparse.csr_matrix,
    items: Sequence[DiscoverItem],
    splits: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Figures of every split with labels, but for train, val and unused images."""
    reports = {}
    for split in sorted(set(splits) - {TRAIN, VAL, UNUSED}):
        rows = labelled_rows(items, splits, split)
        if len(rows):
            groups = case_groups([items[i] for i in rows], head.classes)
            report = evaluate(head, pooled_IN[rows], _labels(items, rows), groups)
            reports[split] = report.metrics()
    return reports


def case_groups(items: Sequence[DiscoverItem], classes: Sequence[str]) -> list[str]:
    """The group of each labelled case: label and given group, such as "crack, exposure 5".

    Where too many such groups are too small to count, the label alone is the group.
    """
    labels = [classes[item.label or 0] for item in items]
    if all(item.group is None for item in items):
        return labels
    pairs = zip(labels, items, strict=True)
    fine = [f"{label}, {item.group or 'no group'}" for label, item in pairs]
    sizes = Counter(fine)
    counted = sum(size for size in sizes.values() if size >= MIN_GROUP)
    return fine if counted >= COVERED * len(items) else labels


def labelled_rows(
    items: Sequence[DiscoverItem], splits: Sequence[str], split: str
) -> NDArray[np.int64]:
    """Rows of the labelled images of one split."""
    pairs = enumerate(zip(items, splits, strict=True))
    rows = [row for row, (item, name) in pairs if name == split and item.label is not None]
    return np.array(rows, np.int64)


def _labels(items: Sequence[DiscoverItem], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([items[row].label for row in rows], np.int64)
