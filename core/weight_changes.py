"""Which concepts a new head weighs otherwise than the one before.

A softmax does not change where the same number is added to every class's weight of a concept, so
weights are taken relative to their mean over the classes: w'_cn = w_cn - mean_c w_cn. What a change
means depends on how strongly the concept fires, so it is told in logit units:

    effect_cn = w'_cn(after) m_n(after) - w'_cn(before) m_n(before)

with m_n the mean pooled activation in the cases given. For two versions of one dictionary m is the
same, and the effect is the mean change of that concept's part in the logit.

Legend: N concepts; C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import LinearHead


@dataclass(frozen=True)
class WeightChange:
    """One concept and class."""

    concept: int  # number in the later dictionary
    former: int | None  # number in the former one; None: there is no such concept
    class_index: int  # of the later head
    before: float  # weight relative to the mean over classes; 0 where there is no such concept
    after: float
    effect: float  # logit units


def weight_changes(
    before: LinearHead,
    after: LinearHead,
    mean_before_N: NDArray[Any],
    mean_after_N: NDArray[Any],
    former: Mapping[int, int] | None = None,
    *,
    most: int = 20,
) -> tuple[WeightChange, ...]:
    """The largest changes, at most one row per concept: the class for which it changed most.

    Args:
        before, after: heads over the same set of class names, in any order.
        mean_before_N, mean_after_N: mean pooled activation of each concept, >= 0.
        former: concept of `after` -> concept of `before` where the dictionaries differ; None where
            they are the same. Concepts without a former one count from 0.
        most: how many rows.

    Raises ConfigError where classes, concepts or means do not fit.
    """
    if sorted(before.classes) != sorted(after.classes):
        raise ConfigError("the two versions do not decide between the same classes")
    if mean_before_N.shape != (before.n,) or mean_after_N.shape != (after.n,):
        raise ConfigError("one mean activation per concept is needed")
    if former is None and before.n != after.n:
        raise ConfigError(f"{before.n} and {after.n} concepts need to be matched")
    matched = {n: n for n in range(after.n)} if former is None else former
    was_CN, was_mean_N = _aligned(before, after.classes, matched, after.n, mean_before_N)
    is_CN = _centred(after.weight_CN)
    effect_CN = is_CN * mean_after_N - was_CN * was_mean_N
    return _largest(was_CN, is_CN, effect_CN, matched, most)


def _largest(
    was_CN: NDArray[np.float64], is_CN: NDArray[np.float64], effect_CN: NDArray[np.float64],
    former: Mapping[int, int], most: int,
) -> tuple[WeightChange, ...]:  # fmt: skip
    size_N = np.abs(effect_CN).max(axis=0)
    order = np.argsort(-size_N, kind="stable")[:most]
    rows = []
    for n in order.tolist():
        if size_N[n] == 0:
            break
        # With two classes both change alike: the one that gains is named.
        at_C = [float(value) for value in effect_CN[:, n]]
        c = max(range(len(at_C)), key=lambda k: (round(abs(at_C[k]), 9), at_C[k]))
        rows.append(
            WeightChange(
                n, former.get(n), c, float(was_CN[c, n]), float(is_CN[c, n]),
                float(effect_CN[c, n]),
            )
        )  # fmt: skip
    return tuple(rows)


def _aligned(
    before: LinearHead, classes: Sequence[str], former: Mapping[int, int], n: int,
    mean_before_N: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Former weights [C, N] and means [N] in the later head's classes and concepts; 0 for none."""
    rows = [before.classes.index(name) for name in classes]
    centred_CN = _centred(before.weight_CN)[rows]
    was_CN, mean_N = np.zeros((len(classes), n)), np.zeros(n)
    pairs = [(new, old) for new, old in former.items() if 0 <= new < n and 0 <= old < before.n]
    if pairs:
        new, old = np.array(pairs).T
        was_CN[:, new], mean_N[new] = centred_CN[:, old], mean_before_N[old]
    return was_CN, mean_N


def _centred(weight_CN: NDArray[Any]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = weight_CN.astype(np.float64)
    weights -= weights.mean(axis=0, keepdims=True)
    return weights
