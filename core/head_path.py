"""Heads that use few concepts per class: from one concept each to many, so that a user can choose.

1. For every class an L1-penalised logistic regression "this class or not" is fitted along a path of
   falling penalties (scikit-learn, liblinear). Concepts are ranked by how early they enter it
   (Tibshirani 1996; entry order as in least angle regression, Efron et al. 2004).
2. For every count k asked for, each class keeps its first k concepts, and one multinomial head is
   fitted anew on them with the usual light L2 penalty, all other weights being zero. The L1 penalty
   only selects: left in the fit it would also shrink what it keeps (the relaxed lasso, Meinshausen
   2007). Contributions of these heads stay additive like those of any LinearHead.

Shape legend: I cases; N concepts; C classes; S concepts in use; K path points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import l1_min_c

from core.calibration import cautious_temperature
from core.errors import ConfigError
from core.heads import (
    Float64Array,
    IntArray,
    LinearHead,
    Pooled,
    Pooling,
    check_labels,
    choose_c,
    code_scales,
)
from core.splits import held_back

COUNTS: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 20, 32)
"""Concepts per class of the heads on a path."""
APART = 0.2
"""Share of the cases that a path is measured on where no others are given."""
_STEPS = 50  # penalties from the one that keeps nothing to a hundred thousandth of it
_SPAN = 1e5
_INTERCEPT = 10.0  # liblinear penalises the intercept: this makes its penalty negligible


@dataclass(frozen=True, eq=False)
class PathPoint:
    """One head of a path."""

    concepts_per_class: int  # at most so many weights of a class are not zero
    head: LinearHead
    accuracy: float  # share right of the held-out cases, [0, 1]

    @property
    def concepts(self) -> tuple[int, ...]:
        """Concepts that any class uses, ascending."""
        return tuple(int(k) for k in np.flatnonzero((self.head.weight_CN != 0).any(0)))


@dataclass(frozen=True, eq=False)
class HeadPath:
    """Heads from few to many concepts per class, measured on the same held-out cases."""

    points: tuple[PathPoint, ...]  # by concepts_per_class, ascending
    held_out: int  # cases that the accuracies were measured on


def fit_path(
    pooled_IN: Pooled,
    labels_I: NDArray[Any],
    classes: Sequence[str],
    *,
    held_out_I: NDArray[np.bool_] | None = None,
    counts: Sequence[int] = COUNTS,
    c: float | None = None,
    pooling: Pooling = "max",
    seed: int = 0,
    prior_N: NDArray[Any] | None = None,
) -> HeadPath:
    """Heads that use at most `counts` concepts per class. Deterministic.

    The heads are fitted on the cases that are not held out; temperatures and accuracies come from
    the held-out ones.

    Args:
        pooled_IN: non-negative pooled codes, dense or scipy sparse.
        labels_I: integers in 0..C-1; every class must occur outside the held-out cases.
        held_out_I: cases to measure on; None sets APART of each class apart.
        counts: concepts per class, each >= 1; a count beyond what the L1 path ever takes up gives
            the head with all that it took up.
        c: inverse L2 penalty of the refits; None chooses it once, on all concepts, by
            cross-validation (core.heads.choose_c).
        pooling: how the codes were pooled; kept with the heads.
        seed: of the split and the folds.
        prior_N: preference among concepts, both for taking them up and for their weights; see
            core.heads.fit_head.

    Raises:
        ConfigError: no count, a count under 1, nothing held out, labels or a prior that do not
            fit.
    """
    if not counts or min(counts) < 1:
        raise ConfigError("a path needs at least one count of concepts, each at least 1")
    codes_IN = csr_array(pooled_IN).astype(np.float64)
    labels = np.asarray(labels_I, dtype=np.int64)
    held = held_back(labels, APART, seed) if held_out_I is None else np.asarray(held_out_I, bool)
    if held.shape != labels.shape or not held.any():
        raise ConfigError("a path needs held-out cases to be measured on")
    train_IN, train = codes_IN[~held], labels[~held]
    check_labels(train, np.ones(len(train)), classes, train_IN.shape[0])
    scale_N = code_scales(train_IN, prior_N)
    scaled_IN = csr_array(train_IN / scale_N)
    upper_N = train_IN.max(axis=0).toarray().ravel().clip(0).astype(np.float32)
    if c is None:
        c = choose_c(scaled_IN, train, np.ones(len(train)), seed=seed)
    most = max(counts)
    ranking = tuple(entry_order(scaled_IN, train == k, most) for k in range(len(classes)))
    points = []
    for count in sorted(set(counts)):
        weight_CN, bias_C = _refit(scaled_IN, train, [order[:count] for order in ranking], c)
        head = LinearHead(
            (weight_CN / scale_N).astype(np.float32), bias_C.astype(np.float32), tuple(classes),
            pooling=pooling, upper_N=upper_N,
        )  # fmt: skip
        logits_IC = head.logits(codes_IN[held])
        right = float((logits_IC.argmax(1) == labels[held]).mean())
        head = head.with_temperature(cautious_temperature(logits_IC, labels[held]))
        points.append(PathPoint(count, head, right))
    return HeadPath(tuple(points), int(held.sum()))


def choose(path: HeadPath, concepts_per_class: int) -> PathPoint:
    """The richest head that uses at most so many concepts per class.

    Raises ConfigError where the path has none that sparse.
    """
    fitting = [p for p in path.points if p.concepts_per_class <= concepts_per_class]
    if not fitting:
        least = path.points[0].concepts_per_class
        raise ConfigError(f"the path begins at {least} concepts per class")
    return fitting[-1]


def sparsest(path: HeadPath, slack: float = 0.01) -> PathPoint:
    """The head with the fewest concepts whose accuracy is within `slack` [0, 1] of the best."""
    best = max(p.accuracy for p in path.points)
    return next(p for p in path.points if p.accuracy >= best - slack)


def entry_order(
    scaled_IN: Pooled, member_I: NDArray[np.bool_], most: int | None = None
) -> IntArray:
    """Concepts int64 [S] in the order in which they enter a class's L1 path.

    Ties at one penalty go to the larger |weight|, then to the lower number. Concepts that never
    enter are left out. The path runs from the penalty that keeps nothing (sklearn.svm.l1_min_c)
    to a hundred thousandth of it in 50 steps, or until enough concepts entered.

    Args:
        scaled_IN: codes [I, N], dense or scipy sparse.
        member_I: whether a case is of the class; both kinds must occur.
        most: stop here; None goes on to the end.
    """
    from scipy.sparse import csr_matrix  # liblinear reads matrices only

    codes_IN = csr_matrix(scaled_IN)
    if codes_IN.nnz == 0:
        return np.zeros(0, np.int64)
    first = l1_min_c(codes_IN, member_I, loss="log", intercept_scaling=_INTERCEPT)
    entered: dict[int, None] = {}
    for c in np.geomspace(first * 1.05, first * _SPAN, _STEPS):
        model = LogisticRegression(
            C=float(c), l1_ratio=1.0, solver="liblinear", intercept_scaling=_INTERCEPT,
            max_iter=5000, tol=1e-4, random_state=0,
        )  # fmt: skip
        weight_N = model.fit(codes_IN, member_I).coef_[0]
        found = np.flatnonzero(weight_N)
        for concept in found[np.argsort(-np.abs(weight_N[found]), kind="stable")]:
            entered.setdefault(int(concept))
        if most is not None and len(entered) >= most:
            break
    return np.array(list(entered)[:most], np.int64)


def _refit(
    scaled_IN: Pooled, labels_I: IntArray, kept: Sequence[IntArray], c: float
) -> tuple[Float64Array, Float64Array]:
    """Weights [C, N], zero outside each class's kept concepts, and biases [C].

    Minimises sum_i log loss + |W|^2 / (2c), as scikit-learn does, by L-BFGS; biases are centred,
    which the loss does not see. For two classes the difference of the rows is what counts, and the
    rows need not mirror each other.
    """
    used_S = np.unique(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
    free_CS = np.stack([np.isin(used_S, columns) for columns in kept])
    codes_IS = np.asarray(scaled_IN[:, used_S].todense())
    true_IC = np.eye(len(kept))[labels_I]
    size = int(free_CS.sum())

    def unpack(flat: Float64Array) -> tuple[Float64Array, Float64Array]:
        weight_CS = np.zeros(free_CS.shape)
        weight_CS[free_CS] = flat[:size]
        return weight_CS, flat[size:]

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weight_CS, bias_C = unpack(flat)
        log_IC = log_softmax(codes_IS @ weight_CS.T + bias_C, axis=1)
        error_IC = np.exp(log_IC) - true_IC
        value = -float((log_IC * true_IC).sum()) + float(flat[:size] @ flat[:size]) / (2 * c)
        slope_CS = error_IC.T @ codes_IS + weight_CS / c
        return value, np.concatenate((slope_CS[free_CS], error_IC.sum(0)))

    start = np.zeros(size + len(kept))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    weight_CS, bias_C = unpack(np.asarray(found.x))
    weight_CN = np.zeros((len(kept), scaled_IN.shape[1]))
    weight_CN[:, used_S] = weight_CS
    return weight_CN, bias_C - bias_C.mean()
