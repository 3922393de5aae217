"""Sets of classes that hold the true one with a stated probability: split conformal prediction.

Score of a case: s = -log softmax(logits)_y at temperature 1, so it ranks classes as the
probability does (the "LAC" score 1 - p, written where it keeps its digits). With the scores of n
held-out cases, q is the ceil((n + 1)(1 - alpha))-th smallest; the set of a new case is
{c : s_c <= q}. If the new case is exchangeable with the held-out ones, and these took no part in
fitting, the set holds the true class with probability >= 1 - alpha (Vovk et al. 2005; Sadinle,
Lei & Wasserman 2019, arXiv 1609.00451; Angelopoulos & Bates 2021, arXiv 2107.07511).

Where we differ: the score leaves the temperature out, which was fitted on the same cases and would
weaken the guarantee; the predicted class is always in the set, which can only raise the coverage.

What it does not say: the guarantee is for the average over cases like the held-out ones. It is not
one for a given case, class or group, and it is void where the images changed (another camera,
another clinic).

Shape legend: I cases; C classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from core.errors import ConfigError
from core.types import ClassSet

ALPHA = 0.1
"""Default share of cases whose set may miss the true class."""


@dataclass(frozen=True)
class ConformalRule:
    """What is needed to give a case its set; kept with the head.

    Raises ConfigError where a value is out of its range.
    """

    quantile: float | None  # q, >= 0; None where there are too few cases to rule a class out
    alpha: float  # (0, 1)
    cases: int  # n, held-out cases that q comes from, >= 0
    stand_in: bool = False  # another head stood in for this one: the guarantee is approximate

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        if self.cases < 0 or (self.quantile is not None and not math.isfinite(self.quantile)):
            raise ConfigError("a conformal rule needs a finite quantile and a count of cases")

    def sets(self, logits_IC: NDArray[Any]) -> NDArray[np.bool_]:
        """Which classes are in the set of each case, bool [I, C]; at least one in each row."""
        score_IC = scores(logits_IC)
        if self.quantile is None:
            return np.ones(score_IC.shape, dtype=np.bool_)
        inside_IC = score_IC <= self.quantile
        inside_IC[np.arange(len(inside_IC)), score_IC.argmin(1)] = True
        return np.asarray(inside_IC, dtype=np.bool_)

    def class_set(self, logits_C: NDArray[Any], names: Sequence[str]) -> ClassSet:
        """The set of one case by name, with its promise in words."""
        row_C = np.asarray(logits_C, dtype=np.float64)
        inside_C = self.sets(row_C[None])[0]
        held = tuple(names[k] for k in np.argsort(-row_C, kind="stable") if inside_C[k])
        return ClassSet(held, 1 - self.alpha, self.quantile is not None, guarantee(self))

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "quantile": self.quantile,
            "alpha": self.alpha,
            "cases": self.cases,
            "stand_in": self.stand_in,
        }

    @classmethod
    def from_json(cls, raw: Any) -> "ConformalRule | None":
        """The rule of a head file; None where there is none. Raises ConfigError, KeyError."""
        if raw is None:
            return None
        quantile = raw["quantile"]
        return cls(
            None if quantile is None else float(quantile),
            float(raw["alpha"]),
            int(raw["cases"]),
            bool(raw["stand_in"]),
        )


def scores(logits_IC: NDArray[Any]) -> NDArray[np.float64]:
    """-log softmax of every class, float64 [I, C], >= 0: small where the model believes in it."""
    return np.asarray(-log_softmax(np.asarray(logits_IC, dtype=np.float64), axis=1))


def conformal_rule(
    logits_IC: NDArray[Any],
    labels_I: NDArray[Any],
    *,
    alpha: float = ALPHA,
    stand_in: bool = False,
) -> ConformalRule:
    """The rule from cases that took no part in fitting the head.

    Args:
        logits_IC: their logits; no case at all is allowed and gives a rule that rules nothing out.
        labels_I: integers in 0..C-1.
        alpha: share of cases that may be missed, (0, 1).
        stand_in: whether another head than the one to be used gave the logits.

    Raises:
        ConfigError: shapes do not fit, or alpha is out of range.
    """
    _check_alpha(alpha)
    logits, labels = np.asarray(logits_IC), np.asarray(labels_I, dtype=np.int64)
    if logits.ndim != 2 or labels.shape != (len(logits),):
        raise ConfigError(f"{labels.shape} labels do not fit logits of {logits.shape}")
    count = len(labels)
    rank = math.ceil((count + 1) * (1 - alpha) - 1e-9)
    if rank > count:
        return ConformalRule(None, alpha, count, stand_in)
    true_I = scores(logits)[np.arange(count), labels]
    return ConformalRule(float(np.sort(true_I)[rank - 1]), alpha, count, stand_in)


def cases_needed(alpha: float) -> int:
    """The fewest held-out cases with which a class can be ruled out at all.

    >>> cases_needed(0.1), cases_needed(0.05)
    (9, 19)
    """
    return math.ceil(1 / alpha - 1 - 1e-9)


def coverage_and_size(
    rule: ConformalRule, logits_IC: NDArray[Any], labels_I: NDArray[Any]
) -> tuple[float, float]:
    """Share of cases whose set holds their label, [0, 1], and mean count of classes per set.

    NaN for both without any case.
    """
    labels = np.asarray(labels_I, dtype=np.int64)
    if not labels.size:
        return float("nan"), float("nan")
    inside_IC = rule.sets(logits_IC)
    held_I = inside_IC[np.arange(len(labels)), labels]
    return float(held_I.mean()), float(inside_IC.sum(1).mean())


def guarantee(rule: ConformalRule) -> str:
    """In plain words what a set promises, and what it does not."""
    share = f"{100 * (1 - rule.alpha):.4g} %"
    if rule.quantile is None:
        return (
            f"With {rule.cases} held-out cases no class can be ruled out at {share}: "
            f"at least {cases_needed(rule.alpha)} are needed."
        )
    almost = "about " if rule.stand_in else ""
    return (
        f"Among cases like the {rule.cases} held-out ones, {almost}{share} or more of such sets "
        "hold the true class; this is an average over cases, not a promise for this one, and it "
        "does not carry over to images of another kind."
    )


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ConfigError(f"the share of missed cases must lie between 0 and 1, got {alpha}")
