"""Weights of cases under which no rejected cue tells anything about the label.

Shape legend: I cases; R rejected cues; G groups (label x presence pattern); E equations.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from core.errors import ConfigError

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
PENALTY = 1e4
"""Of a broken equation against uneven weights: equations hold to about 1e-6."""


def balanced_weights(labels_I: NDArray[Any], presence_IR: NDArray[np.bool_]) -> Float64Array:
    """The most even weights float64 [I], mean 1, that make label and cues independent.

    Every label carries the same weight, and every rejected cue shows in the same share of every
    label's weight. Of all such weights these have the least variance, so as many cases as
    possible go on counting (stable balancing weights, Zubizarreta 2015, JASA 110:910). Giving
    every group the same weight instead hands the head to a few odd cases: a label without its
    usual cue but with another's may occur once, or only by an error of a detector.

    A label that always or never shows a cue is left as it is for that cue.

    Raises:
        ConfigError: the shapes do not fit.
    """
    labels = np.asarray(labels_I, dtype=np.int64)
    if not labels.size:
        return np.zeros(0)
    rows, group_I, size_G = case_groups(labels, presence_IR)
    equation_EG, target_E = _equations(rows)
    # Sum of squared case weights: group mass m over n cases gives m^2 / n.
    uneven_GG = np.diag(np.sqrt(len(labels) / size_G))
    system = np.vstack((uneven_GG, PENALTY * equation_EG))
    wanted = np.concatenate((np.zeros(len(size_G)), PENALTY * target_E))
    mass_G, _ = nnls(system, wanted, maxiter=100 * len(size_G))
    weight_I = (mass_G / size_G)[group_I]
    return np.asarray(weight_I / weight_I.mean(), dtype=np.float64)


def case_groups(
    labels_I: IntArray, presence_IR: NDArray[np.bool_]
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows (label, presence...) of the groups that occur, group of every case, group sizes."""
    if presence_IR.ndim != 2 or len(presence_IR) != len(labels_I):
        raise ConfigError(f"presence {presence_IR.shape} does not fit {len(labels_I)} cases")
    key_IR = np.column_stack((labels_I, presence_IR.astype(np.int64)))
    rows, group_I, size_G = np.unique(key_IR, axis=0, return_inverse=True, return_counts=True)
    return rows, group_I.ravel(), size_G


def _equations(rows_G: IntArray) -> tuple[Float64Array, Float64Array]:
    """Linear equations of the group masses: label masses alike, cue shares alike over labels."""
    names = np.unique(rows_G[:, 0])
    label_G, present_GR = rows_G[:, 0], rows_G[:, 1:] == 1
    equations = [(label_G == name).astype(np.float64) for name in names]
    targets = [1.0 / len(names)] * len(names)
    for r in range(present_GR.shape[1]):
        shares = [
            ((label_G == name) & present_GR[:, r]).astype(np.float64)
            for name in names
            if 0 < present_GR[label_G == name, r].sum() < (label_G == name).sum()
        ]
        equations += [share - shares[0] for share in shares[1:]]
        targets += [0.0] * max(len(shares) - 1, 0)
    return np.stack(equations), np.asarray(targets)
