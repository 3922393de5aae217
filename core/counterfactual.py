"""The smallest set of concept changes that flips a decision.

For a linear head the lead of the prediction a over a rival c is a sum over concepts,
m = b_a - b_c + sum_n z_n (w_an - w_cn), and each pooled activation z_n moves on its own: it can
fall to 0 (the concept is taken away) or rise to its bound u_n (the highest activation seen). So
each concept has one best change with one gain, and taking the changes with the largest gains first
flips against c with the fewest changes: any set of m changes gains at most the sum of the m
largest. The decision flips as soon as one rival leads, so the smallest set over all rivals is the
smallest there is. This is exact, unlike searches for counterfactuals of deep models (Wachter et
al. 2017, arXiv 1711.00399, set the question).

Changes of codes are not changes of pixels: the set is one for the head. `explain` therefore also
takes the removed concepts out of the tokens, reads the image anew and says whether the decision
still flips (another concept may take over).

Legend: N concepts; C classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import Float64Array, LinearHead
from core.types import ConceptChange, Counterfactual

MARGIN = 1e-6
"""Logit units by which a rival must lead, so that rounding never decides."""


def counterfactual(
    head: LinearHead,
    pooled_N: NDArray[Any],
    *,
    upper_N: NDArray[Any] | None = None,
    names: Callable[[int], str] | None = None,
) -> Counterfactual | None:
    """The fewest concept changes after which the head decides otherwise, largest gain first.

    Of equally small sets, the one whose rival leads most after it; the last change of a set is
    not shortened, so a removal is always a whole one.

    Args:
        pooled_N: pooled activations >= 0 of the case.
        upper_N: highest activation that each concept may rise to; None allows removals only. A
            concept above its bound already is not raised.
        names: what to call a concept; None calls it "concept N".

    Returns:
        None where no allowed change flips the decision. The result was verified: the head, asked
        again with the changed activations, decides for `after`.

    Raises:
        ConfigError: shapes do not fit.
    """
    pooled = np.asarray(pooled_N, dtype=np.float64)
    goal_N = pooled if upper_N is None else np.maximum(pooled, np.asarray(upper_N, np.float64))
    if pooled.shape != (head.n,) or goal_N.shape != (head.n,):
        raise ConfigError(f"activations {pooled.shape} do not fit a head for {head.n} concepts")
    logits_C = head.logits(pooled[None])[0]
    predicted = int(logits_C.argmax())
    best: tuple[int, float, list[int], Float64Array] | None = None
    for rival in np.delete(np.arange(len(head.classes)), predicted):
        slope_N = head.weight_CN[predicted].astype(np.float64) - head.weight_CN[rival]
        target_N = np.where(slope_N > 0, 0.0, goal_N)
        gain_N = (pooled - target_N) * slope_N
        lead = float(logits_C[predicted] - logits_C[rival])
        chosen = _fewest(gain_N, lead)
        if chosen is None:
            continue
        left = lead - float(gain_N[chosen].sum())
        if best is None or (len(chosen), left) < best[:2]:
            best = (len(chosen), left, chosen, target_N)
    return None if best is None else _verified(head, pooled, predicted, best[2], best[3], names)


def _fewest(gain_N: Float64Array, lead: float) -> list[int] | None:
    """Concepts of the largest gains, as few as outweigh the lead; None if all do not."""
    useful = np.flatnonzero(gain_N > 0)
    order = useful[np.argsort(-gain_N[useful], kind="stable")]
    reached = np.flatnonzero(np.cumsum(gain_N[order]) >= lead + MARGIN)
    return [int(k) for k in order[: reached[0] + 1]] if len(reached) else None


def _verified(
    head: LinearHead, pooled_N: Float64Array, predicted: int, chosen: Sequence[int],
    target_N: Float64Array, names: Callable[[int], str] | None,
) -> Counterfactual | None:  # fmt: skip
    """The result with the head asked again; None should it not decide otherwise after all."""
    changed_N = pooled_N.copy()
    changed_N[chosen] = target_N[chosen]
    logits_C = head.logits(changed_N[None])[0]
    after = int(logits_C.argmax())
    if after == predicted:
        return None
    changes = tuple(
        ConceptChange(
            k, names(k) if names else f"concept {k}", float(pooled_N[k]), float(changed_N[k])
        )
        for k in chosen
    )
    return Counterfactual(
        changes, head.classes[after], float(logits_C[after] - logits_C[predicted])
    )
