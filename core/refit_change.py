"""How far the decisions would move if a concept were learnt to be spurious and taken away.

First order, for many concepts at once, without a refit; see core.teaching for what it is used for.

Legend: I cases; N concepts; M candidates among them; C classes; Y labels; S shows or not.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

Float64Array = NDArray[np.float64]
UNKNOWN = -1
"""Label of a case whose truth is not known."""


def refit_change(
    pooled: csr_array, labels_I: NDArray[np.int64], probability_IC: Float64Array,
    weight_CN: Float64Array, candidates_M: NDArray[np.int64], *, sample: int = 2000, seed: int = 0,
) -> Float64Array:  # fmt: skip
    """Root mean square change of the probabilities if each candidate were taken away [M], [0, 1].

    By balancing the labelled cases, or by leaving its contributions out (less their mean),
    whichever changes more. 0 without labelled cases.
    """
    known = np.flatnonzero(labels_I != UNKNOWN)
    known = np.random.default_rng(seed).permutation(known)[:sample]
    change_M = np.zeros(len(candidates_M))
    if not len(known):
        return change_M
    codes, labels = pooled[np.sort(known)], labels_I[np.sort(known)]
    probs_IC = probability_IC[np.sort(known)]
    slope_IC = np.eye(probs_IC.shape[1])[labels] - probs_IC  # - d loss / d logit
    curve_CN = np.stack([codes.power(2).T @ (p * (1 - p)) for p in probs_IC.T])
    floor_C = curve_CN.mean(axis=1, keepdims=True)  # a ridge: rare concepts hardly move
    own = csc_array(codes[:, candidates_M])
    for at, concept in enumerate(candidates_M):
        value_I = own[:, [at]].toarray().ravel()
        present_I = strong(value_I)
        moved_IC = np.outer(value_I - value_I.mean(), -weight_CN[:, concept])
        change_M[at] = _moved(probs_IC, moved_IC)
        if present_I.all() or not present_I.any():
            continue
        shift_I = balance(labels, present_I, probs_IC.shape[1]) - 1.0
        step_CN = (codes.T @ (shift_I[:, None] * slope_IC)).T / (curve_CN + floor_C + 1e-12)
        change_M[at] = max(change_M[at], _moved(probs_IC, codes @ step_CN.T))
    return np.minimum(change_M, 1.0)


def strong(value_I: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a concept fires strongly: at half of what it reaches (the 95th percentile) or more.

    Pooled codes are rarely zero where an image has many patches, so firing alone says little.
    """
    values = np.asarray(value_I, dtype=np.float64)
    fired = values[values > 0]
    if not len(fired):
        return np.zeros(len(values), bool)
    return np.asarray(values >= 0.5 * np.quantile(fired, 0.95))


def _moved(probs_IC: Float64Array, by_IC: Float64Array) -> float:
    """Root mean square change of probabilities, to first order, where the logits move."""
    moved_IC = probs_IC * (by_IC - (probs_IC * by_IC).sum(axis=1, keepdims=True))
    return float(np.sqrt((moved_IC**2).sum(axis=1).mean()))


def balance(
    labels_I: NDArray[np.int64], present_I: NDArray[np.bool_], classes: int
) -> Float64Array:
    """core.case_weights.balanced_weights for one cue, in closed form [I], mean 1.

    The least uneven weights with equal label masses give every label the share

        s = sum_y 1 / n_y0 / (sum_y 1 / n_y0 + sum_y 1 / n_y1)

    of its mass to the n_y1 cases with the cue; labels that always or never show it stay even.
    """
    cell_I = labels_I * 2 + present_I
    size_YS = np.bincount(cell_I, minlength=2 * classes).reshape(classes, 2).astype(np.float64)
    both_Y = (size_YS > 0).all(axis=1)
    mass_YS = size_YS / np.maximum(size_YS.sum(axis=1, keepdims=True), 1.0)
    if both_Y.any():
        inverse_S = (1.0 / size_YS[both_Y]).sum(axis=0)
        mass_YS[both_Y] = inverse_S[::-1] / inverse_S.sum()
    weight_I = (mass_YS / np.maximum(size_YS, 1.0)).ravel()[cell_I]
    return np.asarray(weight_I / weight_I.mean())
