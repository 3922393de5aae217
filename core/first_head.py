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
from core.conformal import ALPHA, conformal_rule
from core.evaluation import MIN_GROUP, evaluate
from core.head_path import fit_path
from core.heads import LinearHead, Pooling, fit_head
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
    pooling: Pooling = "max",
    concepts_per_class: int | None = None,
    alpha: float = ALPHA,
    seed: int = 0,
    prior_N: NDArray[Any] | None = None,
) -> LinearHead:
    """A head fitted on train; temperature and conformal rule come from images held out of it.

    Args:
        pooled_IN: pooled codes of the items.
        items, splits: what is known of each image, and the split that it is used in.
        classes: names of the labels.
        c: inverse penalty of the head; None chooses by cross-validation.
        pooling: how `pooled_IN` was pooled; the head keeps it.
        apart: share of train that stands in for a missing validation set, [0, 0.5).
        concepts_per_class: at most so many weights of a class are not 0; None: no such limit.
            Without a validation set, what is set apart is lost to such a head.
        alpha: share of cases whose conformal set may miss the true class, (0, 1).
        seed: of folds and of what is set apart.
        prior_N: preference among concepts, see core.heads.fit_head.

    Raises:
        ConfigError: a class has no labelled train image, nothing is held out for a head with few
            concepts, or the prior does not fit.
    """
    train = labelled_rows(items, splits, TRAIN)
    labels = _labels(items, train)
    val = labelled_rows(items, splits, VAL)
    if concepts_per_class is not None:
        held_I = np.ones(len(val), bool) if len(val) else held_back(labels, apart, seed)
        rows = np.r_[train, val]
        path = fit_path(
            pooled_IN[rows], _labels(items, rows), classes, counts=(concepts_per_class,), c=c,
            held_out_I=np.r_[np.zeros(len(rows) - len(held_I), bool), held_I], pooling=pooling,
            seed=seed, prior_N=prior_N,
        )  # fmt: skip
        few, held = path.points[0].head, rows[len(rows) - len(held_I) :][held_I]
        return calibrated(few, few.logits(pooled_IN[held]), _labels(items, held), alpha=alpha)
    head = fit_head(
        pooled_IN[train], labels, classes, c=c, pooling=pooling, seed=seed, prior_N=prior_N
    )
    if len(val):
        return calibrated(head, head.logits(pooled_IN[val]), _labels(items, val), alpha=alpha)
    held = held_back(labels, apart, seed)
    if not held.any():
        return head
    # A second head, on the rest of train, stands in for the first on the images held back.
    rest = fit_head(
        pooled_IN[train[~held]], labels[~held], classes, c=c, pooling=pooling, seed=seed,
        prior_N=prior_N,
    )  # fmt: skip
    logits_IC = rest.logits(pooled_IN[train[held]])
    return calibrated(head, logits_IC, labels[held], alpha=alpha, stand_in=True)


def calibrated(
    head: LinearHead,
    logits_IC: NDArray[Any],
    labels_I: NDArray[Any],
    *,
    weight_I: NDArray[Any] | None = None,
    alpha: float = ALPHA,
    stand_in: bool = False,
) -> LinearHead:
    """The head with the temperature and the conformal rule of held-out logits.

    Args:
        logits_IC, labels_I: of cases that the head (or its stand-in) was not fitted on.
        weight_I: of the cases for the temperature. The rule weighs all alike: its promise is about
            cases drawn as the held-out ones were.
        alpha, stand_in: see core.conformal.conformal_rule.
    """
    rule = conformal_rule(logits_IC, labels_I, alpha=alpha, stand_in=stand_in)
    temperature = cautious_temperature(logits_IC, labels_I, weight_I)
    return head.with_temperature(temperature).with_conformal(rule)


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
