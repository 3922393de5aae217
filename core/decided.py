"""What a version decided on a set of cases, and the figures that can be made of it as sums.

Every figure is a function of sums over cases, so that one bootstrap serves all (core.resampling):

    accuracy        share of right decisions
    by group        accuracies of groups: their minimum (worst) and plain mean (average)
    gap             |accuracy where the shortcut helps - accuracy where it misleads|, within each
                    label that has both sides, mean over these labels
    ece             sum over 15 bins of equal width of |sum of (right - confidence)| / cases
                    (Guo et al. 2017, arXiv 1706.04599); estimated high with few cases
    brier           mean over cases of sum_c (p_c - y_c)^2, in [0, 2] (Brier 1950, Mon. Weather
                    Rev. 78:1)
    share           one sum over another, such as contributions on rejected concepts over all

Legend: I cases; C classes; N concepts; G groups; S sums; K bins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from core.calibration import BINS
from core.errors import ConfigError
from core.heads import LinearHead, Pooled
from core.resampling import Floats, Ints, Statistic


@dataclass(frozen=True, eq=False)
class Decided:
    """One version's decisions on I cases.

    probs_IC    calibrated probabilities, rows sum to 1
    mass_I      sum of |contribution| of all concepts to the decided class, logit units; or None
    rejected_I  the part of it on concepts that people rejected; or None

    Raises ConfigError where the shapes do not fit.
    """

    probs_IC: Floats
    mass_I: Floats | None = None
    rejected_I: Floats | None = None

    def __post_init__(self) -> None:
        if self.probs_IC.ndim != 2 or self.probs_IC.shape[1] < 1:
            raise ConfigError(f"probabilities come as [cases, classes], not {self.probs_IC.shape}")
        for mass_I in (self.mass_I, self.rejected_I):
            if mass_I is not None and mass_I.shape != (len(self.probs_IC),):
                raise ConfigError("one sum of contributions per case is needed")

    @property
    def chosen_I(self) -> Ints:
        """Class index of each decision."""
        return np.asarray(self.probs_IC.argmax(axis=1), dtype=np.int64)

    @property
    def confidence_I(self) -> Floats:
        """Probability of the decided class."""
        return np.asarray(self.probs_IC.max(axis=1), dtype=np.float64)


def decide(head: LinearHead, pooled_IN: Pooled, rejected: Sequence[int] | None = None) -> Decided:
    """Decisions of a head on pooled codes.

    Args:
        pooled_IN: dense or scipy sparse, any activations of the head's dictionary.
        rejected: concepts that people called spurious; None leaves both masses out.
    """
    probs_IC = head.probabilities(pooled_IN)
    if rejected is None:
        return Decided(probs_IC)
    size_CN = np.abs(head.weight_CN.astype(np.float64))
    # |activation x weight| of the decided class, summed over concepts; sparse in, dense [I] out.
    codes_IN = abs(csr_array(pooled_IN).astype(np.float64))
    chosen_I = probs_IC.argmax(axis=1)
    everywhere_IC = codes_IN @ size_CN.T
    columns = sorted(set(rejected))
    on_them_IC = codes_IN[:, columns] @ size_CN[:, columns].T
    rows = np.arange(len(chosen_I))
    return Decided(
        probs_IC,
        np.asarray(everywhere_IC)[rows, chosen_I],
        np.asarray(on_them_IC).reshape(len(rows), -1)[rows, chosen_I],
    )


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below; NaN where below is 0."""
    sound = below != 0
    return np.where(sound, above / np.where(sound, below, 1.0), np.nan)


def mean_of(value_I: NDArray[np.float64] | NDArray[np.bool_]) -> Statistic:
    """The mean over cases."""
    return share_of(value_I, np.ones(len(value_I)))


def share_of(part_I: NDArray[np.float64] | NDArray[np.bool_], whole_I: Floats) -> Statistic:
    """Sum of one over sum of the other; NaN where the whole is 0."""
    added_IS = np.stack([np.asarray(part_I, np.float64), whole_I], axis=1)
    return Statistic(added_IS, lambda s: ratio(s[..., 0], s[..., 1]))


def over_groups(
    right_I: NDArray[np.bool_], group_I: Ints, counted: Sequence[int],
    join: Callable[[Floats], Floats],
) -> Statistic:  # fmt: skip
    """A function of the accuracies of some groups.

    Args:
        group_I: number of the group of each case.
        counted: the groups that count, at least one.
        join: accuracies [..., G] -> values [...], such as their minimum.
    """
    inside_IG = (group_I[:, None] == np.asarray(counted)[None, :]).astype(np.float64)
    added_IS = np.concatenate([inside_IG * right_I[:, None], inside_IG], axis=1)

    def of(sums: Floats) -> Floats:
        hits, size = np.split(sums, 2, axis=-1)
        return join(ratio(hits, size))

    return Statistic(added_IS, of)


def lowest(accuracy_G: Floats) -> Floats:
    """The worst group; NaN where one is undefined."""
    return np.asarray(accuracy_G.min(axis=-1))


def average(accuracy_G: Floats) -> Floats:
    """Every group counts the same."""
    return np.asarray(accuracy_G.mean(axis=-1))


def gap_of(
    right_I: NDArray[np.bool_], labels_I: Ints, side_I: NDArray[np.int8], min_n: int
) -> Statistic | None:
    """The shortcut gap; None where no label has `min_n` cases on both sides.

    Args:
        side_I: +1 where the shortcut helps, -1 where it misleads, 0 elsewhere (does not count).
    """
    labels = [
        int(k)
        for k in np.unique(labels_I)
        if min(((labels_I == k) & (side_I == side)).sum() for side in (1, -1)) >= min_n
    ]
    if not labels:
        return None
    cells = [(labels_I == k) & (side_I == side) for side in (1, -1) for k in labels]
    inside_IG = np.stack(cells, axis=1).astype(np.float64)
    added_IS = np.concatenate([inside_IG * right_I[:, None], inside_IG], axis=1)

    def of(sums: Floats) -> Floats:
        hits, size = np.split(sums, 2, axis=-1)
        helps, misleads = np.split(ratio(hits, size), 2, axis=-1)
        return np.asarray(np.abs((helps - misleads).mean(axis=-1)))

    return Statistic(added_IS, of)


def ece_of(decided: Decided, right_I: NDArray[np.bool_], bins: int = BINS) -> Statistic:
    """Expected calibration error; bins as in core.calibration: (0, 1/K], (1/K, 2/K], ..."""
    confidence_I = decided.confidence_I
    bin_I = np.clip(np.ceil(confidence_I * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    gap_IK = np.zeros((len(right_I), bins + 1))
    gap_IK[np.arange(len(right_I)), bin_I] = right_I - confidence_I
    gap_IK[:, bins] = 1.0
    return Statistic(gap_IK, lambda s: ratio(np.abs(s[..., :-1]).sum(axis=-1), s[..., -1]))


def brier_of(decided: Decided, labels_I: Ints) -> Statistic:
    """Brier score over all classes."""
    truth_IC = np.eye(decided.probs_IC.shape[1])[labels_I]
    return mean_of(((decided.probs_IC - truth_IC) ** 2).sum(axis=1))


def sides(
    train_labels: Sequence[int], train_values: Sequence[str],
    labels: Sequence[int], values: Sequence[str], least: float = 1.1,
) -> NDArray[np.int8]:  # fmt: skip
    """Where a shortcut helps (+1), misleads (-1), or neither (0), by the training cases.

    lift(l, v) = n(l, v) n / (n(l) n(v)): how much oftener label l and value v go together in
    training than by chance. It helps from `least` on, it misleads below 1 / least. Values that
    training does not know are neither.

    Args:
        train_labels, train_values: label and value of the shortcut (such as "with ruler") of each
            training case.
        labels, values: those of the cases asked about.

    Returns:
        int8, one per case asked about.
    """
    pairs = list(zip(train_labels, train_values, strict=True))
    by_label, by_value, both = _counts(train_labels), _counts(train_values), _counts(pairs)
    found = np.zeros(len(labels), np.int8)
    for row, (label, value) in enumerate(zip(labels, values, strict=True)):
        expected = by_label.get(label, 0) * by_value.get(value, 0) / max(len(pairs), 1)
        if expected > 0:
            lift = both.get((label, value), 0) / expected
            found[row] = 1 if lift >= least else -1 if lift <= 1 / least else 0
    return found


def _counts(keys: Sequence[object]) -> dict[object, int]:
    table: dict[object, int] = {}
    for key in keys:
        table[key] = table.get(key, 0) + 1
    return table
