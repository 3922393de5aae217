"""What a head is worth on one set of cases.

Shape legend: I cases; N concepts; C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from core.calibration import expected_calibration_error
from core.conformal import coverage_and_size
from core.errors import ConfigError
from core.heads import LinearHead, Pooled

MIN_GROUP = 5


@dataclass(frozen=True)
class GroupScore:
    """Accuracy of one group of cases."""

    name: str
    n: int
    accuracy: float  # [0, 1]


@dataclass(frozen=True)
class EvalReport:
    """Figures of one head on one set of cases; shares in [0, 1], None where undefined.

    coverage is the share of cases whose conformal set holds their label (core.conformal): on cases
    like the held-out ones it should not fall below 1 - alpha; set_size is at least 1.

    average_group is the plain mean of the accuracies of the counted groups (each group weighs
    the same, whatever its size); worst_group is their minimum.
    """

    n: int
    accuracy: float | None
    worst_group: float | None
    average_group: float | None
    spurious_share: float | None  # of all |contribution| to the predicted classes
    ece: float | None
    groups: tuple[GroupScore, ...] = ()  # counted, worst first
    left_out: tuple[GroupScore, ...] = ()  # smaller than min_n
    coverage: float | None = None  # of the conformal sets; None where the head has no rule
    set_size: float | None = None  # mean count of classes in a conformal set

    def metrics(self) -> dict[str, float | int | None]:
        """The headline figures, JSON-ready."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "worst_group": self.worst_group,
            "average_group": self.average_group,
            "spurious_share": self.spurious_share,
            "ece": self.ece,
            "coverage": self.coverage,
            "set_size": self.set_size,
        }


def evaluate(
    head: LinearHead,
    pooled_IN: Pooled,
    labels_I: NDArray[Any],
    groups: Sequence[str] | None = None,
    rejected: Sequence[int] = (),
    *,
    min_n: int = MIN_GROUP,
) -> EvalReport:
    """Accuracy, group accuracies, spurious share, calibration error and conformal sets of a head.

    Args:
        pooled_IN: pooled codes, dense or scipy sparse.
        labels_I: integers into head.classes.
        groups: a name per case; None makes each class its own group.
        rejected: concepts that experts marked as spurious.
        min_n: smaller groups are listed in `left_out` and do not count.
    """
    labels = np.asarray(labels_I, dtype=np.int64)
    names = [head.classes[k] for k in labels] if groups is None else [str(g) for g in groups]
    if len(names) != len(labels):
        raise ConfigError(f"{len(names)} groups do not fit {len(labels)} cases")
    if not labels.size:
        return EvalReport(0, None, None, None, None, None)
    probs_IC = head.probabilities(pooled_IN)
    coverage = set_size = None
    if head.conformal is not None:
        logits_IC = head.logits(pooled_IN)
        coverage, set_size = coverage_and_size(head.conformal, logits_IC, labels)
    predicted_I = probs_IC.argmax(1)
    right_I = predicted_I == labels
    counted, left_out = _group_scores(np.asarray(names), right_I, min_n)
    return EvalReport(
        n=len(labels),
        accuracy=float(right_I.mean()),
        worst_group=min((g.accuracy for g in counted), default=None),
        average_group=float(np.mean([g.accuracy for g in counted])) if counted else None,
        spurious_share=spurious_share(head, pooled_IN, predicted_I, rejected),
        ece=expected_calibration_error(probs_IC, labels),
        groups=counted,
        left_out=left_out,
        coverage=coverage,
        set_size=set_size,
    )


def spurious_share(
    head: LinearHead, pooled_IN: Pooled, class_I: NDArray[Any], rejected: Sequence[int]
) -> float | None:
    """sum over cases of |contribution| on rejected concepts / sum of all |contribution|.

    Contributions are to the class `class_I` of each case. None where nothing contributes.
    """
    codes_IN = csr_array(pooled_IN).astype(np.float64)
    size_CN = np.abs(head.weight_CN.astype(np.float64))
    mass_CN = np.vstack(
        [np.asarray(codes_IN[np.asarray(class_I) == k].sum(0)).ravel() for k in range(len(size_CN))]
    )
    contribution_N = (np.abs(mass_CN) * size_CN).sum(0)
    total = float(contribution_N.sum())
    if total == 0:
        return None
    return float(contribution_N[sorted(set(rejected))].sum()) / total


def _group_scores(
    names_I: NDArray[Any], right_I: NDArray[np.bool_], min_n: int
) -> tuple[tuple[GroupScore, ...], tuple[GroupScore, ...]]:
    scores = [
        GroupScore(str(name), int((names_I == name).sum()), float(right_I[names_I == name].mean()))
        for name in np.unique(names_I)
    ]
    scores.sort(key=lambda g: (g.accuracy, g.name))
    counted = tuple(g for g in scores if g.n >= min_n)
    return counted, tuple(g for g in scores if g.n < min_n)
