"""The fit that all strategies share: weights, penalties, copies and erased directions, calibrated.

Shape legend: I cases; J copies; N concepts; C classes; V erased directions; K penalties tried;
F folds.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedKFold

from core.first_head import calibrated
from core.heads import (
    C_GRID,
    DEFAULT_C,
    FOLDS,
    Float64Array,
    IntArray,
    LinearHead,
    check_labels,
    code_scales,
)
from core.refit import Fitted, adaptive_ridge, fit_weighted
from core.splits import held_back
from core.strategies.data import FitData

APART = 0.2
"""Share of the cases set apart for the temperature, where there is no validation split."""


@dataclass(frozen=True, eq=False)
class Copies:
    """Changed copies of cases, learnt from beside them."""

    codes_JN: csr_array
    of_J: IntArray  # index of the case that it is a copy of: folds keep both on one side
    weight_J: Float64Array  # on the scale of Plan.weight_I


@dataclass(frozen=True, eq=False)
class Plan:
    """How a head is to be fitted.

    weight_I    of the cases, >= 0; 0 on held-out ones
    price       extra price of a weight in use, [N] or [C, N] (core.refit.adaptive_ridge)
    lasso_N     L1 price of each concept, in units of the scaled codes; None: none
    erase_VN    orthonormal directions of the codes that no logit may depend on
    copies      further rows
    grid        inverse penalties to choose from
    cautious    the strongest penalty within a standard error of the best (core.heads.choose_c)
    judge_I     weights of the cases when the penalty and the temperature are chosen; None: those
                of the fit
    stratum_I   folds are stratified by label and this number; None: by label alone
    prior_N     preference among concepts, instead of that of the data
    """

    weight_I: Float64Array
    price: Float64Array | None = None
    lasso_N: Float64Array | None = None
    erase_VN: Float64Array | None = None
    copies: Copies | None = None
    grid: tuple[float, ...] = C_GRID
    cautious: bool = True
    judge_I: Float64Array | None = None
    stratum_I: IntArray | None = None
    prior_N: Float64Array | None = None

    def judging(self) -> Float64Array:
        """Weights for choosing, [I]."""
        return self.weight_I if self.judge_I is None else self.judge_I


@dataclass(frozen=True, eq=False)
class _Bench:
    """Codes and labels of all cases, and the scales of the fit."""

    codes_IN: csr_array
    labels_I: IntArray
    classes: int
    scale_N: Float64Array
    plan: Plan

    def fit(self, rows: IntArray, c: float, start: Fitted | None = None) -> Fitted:
        """Minimum on some cases and their copies, at the inverse penalty c."""
        codes, labels, weights = self._stacked(rows)
        weights = weights / weights.mean()
        ridge = self.scale_N**2 / c
        if self.plan.price is not None:
            return adaptive_ridge(
                codes, labels, self.classes, weight_I=weights, ridge=ridge, extra=self.plan.price,
                start=start,
            )  # fmt: skip
        lasso = None if self.plan.lasso_N is None else self.plan.lasso_N * self.scale_N
        return fit_weighted(
            codes, labels, self.classes, weight_I=weights, ridge=ridge, lasso=lasso,
            erase_VN=self.plan.erase_VN, start=start,
        )  # fmt: skip

    def _stacked(self, rows: IntArray) -> tuple[csr_array, IntArray, Float64Array]:
        codes, labels = self.codes_IN[rows], self.labels_I[rows]
        weights, copies = self.plan.weight_I[rows], self.plan.copies
        if copies is None:
            return codes, labels, weights
        own = np.isin(copies.of_J, rows)
        return (
            csr_array(vstack((codes, copies.codes_JN[own]), format="csr")),
            np.concatenate((labels, self.labels_I[copies.of_J[own]])),
            np.concatenate((weights, copies.weight_J[own])),
        )

    def losses(self, train: IntArray, test: IntArray) -> list[float]:
        """Weighted mean log loss on `test` of the fit on `train`, strongest penalty first."""
        found, start = [], None
        weight = self.plan.judging()[test]
        for c in sorted(self.plan.grid):
            start = self.fit(train, c, start)
            logits = self.codes_IN[test] @ start.weight_CN.T + start.bias_C
            loss = -log_softmax(logits, axis=1)[np.arange(len(test)), self.labels_I[test]]
            found.append(float((loss * weight).sum()) / max(float(weight.sum()), 1e-12))
        return found


def fit_plan(data: FitData, plan: Plan) -> LinearHead:
    """A calibrated head, fitted as planned on the cases that are not held out.

    The temperature comes from the held-out cases, or from a share APART of the others through a
    stand-in (as in core.reweighting).

    Raises ConfigError where a class has no case with a weight, or a shape does not fit.
    """
    codes = csr_array(data.pooled_IN).astype(np.float64)
    labels = np.asarray(data.labels_I, dtype=np.int64)
    held_I = data.held_I
    fit = np.flatnonzero(~held_I & (plan.weight_I > 0))
    check_labels(labels[fit], plan.weight_I[fit], data.classes, len(fit))
    prior = data.prior_N if plan.prior_N is None else plan.prior_N
    scale_N = code_scales(codes[fit], prior)
    bench = _Bench(codes, labels, len(data.classes), scale_N, plan)
    c = data.c if data.c is not None else choose_penalty(bench, fit, data.seed)
    head = _head(data, bench.fit(fit, c), codes[fit])
    if held_I.any():
        check, stand_in = np.flatnonzero(held_I), head
    else:
        apart = held_back(labels[fit], APART, data.seed)
        check = fit[apart]
        stand_in = _head(data, bench.fit(fit[~apart], c), codes[fit]) if apart.any() else head
    if not len(check):
        return head
    judged = plan.judging()[check]
    return calibrated(
        head, stand_in.logits(codes[check]), labels[check],
        weight_I=judged if judged.sum() > 0 else None, stand_in=stand_in is not head,
    )  # fmt: skip


def choose_penalty(bench: _Bench, rows: IntArray, seed: int) -> float:
    """The inverse penalty by stratified cross-validation; see Plan.cautious."""
    plan, labels = bench.plan, bench.labels_I[rows]
    folds = min(FOLDS, int(np.bincount(labels, minlength=bench.classes).min()))
    if len(plan.grid) == 1:
        return plan.grid[0]
    if folds < 2:
        return DEFAULT_C
    stratum = labels if plan.stratum_I is None else strata(labels, plan.stratum_I[rows], folds)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    split = [(rows[a], rows[b]) for a, b in splitter.split(np.zeros(len(rows)), stratum)]
    loss_KF = np.array([bench.losses(a, b) for a, b in split]).T
    grid, mean_K = sorted(plan.grid), loss_KF.mean(axis=1)
    best = int(np.argmin(mean_K))
    if not plan.cautious:
        return float(grid[best])
    error = float(loss_KF[best].std(ddof=1)) / np.sqrt(loss_KF.shape[1])
    return next(
        float(c) for c, mean in zip(grid, mean_K, strict=True) if mean <= mean_K[best] + error
    )


def strata(labels_I: IntArray, stratum_I: IntArray, folds: int) -> IntArray:
    """Label and stratum in one number; strata with fewer cases than folds join the largest stratum
    of their label."""
    _, key_I = np.unique(np.stack((labels_I, stratum_I)), axis=1, return_inverse=True)
    key_I = key_I.ravel()
    size = np.bincount(key_I)
    found = key_I.copy()
    for label in np.unique(labels_I):
        own = labels_I == label
        largest = int(np.argmax(np.bincount(key_I[own], minlength=len(size))))
        found[own & (size[key_I] < folds)] = largest
    return found


def _head(data: FitData, found: Fitted, codes_IN: csr_array) -> LinearHead:
    upper_N = codes_IN.max(axis=0).toarray().ravel().clip(0).astype(np.float32)
    return LinearHead(
        found.weight_CN.astype(np.float32), found.bias_C.astype(np.float32), data.classes,
        pooling=data.pooling, upper_N=upper_N,
    )  # fmt: skip


def averaged(heads: list[LinearHead]) -> LinearHead:
    """The mean of heads: a head whose logits are the mean of theirs. Calibration is the first's."""
    weight_CN = np.mean([head.weight_CN.astype(np.float64) for head in heads], axis=0)
    bias_C = np.mean([head.bias_C.astype(np.float64) for head in heads], axis=0)
    return replace(
        heads[0], weight_CN=weight_CN.astype(np.float32), bias_C=bias_C.astype(np.float32)
    )


def even_weights(data: FitData, weight_I: NDArray[Any] | None = None) -> Float64Array:
    """Weights with mean 1 over the cases to fit on and 0 on held-out ones; None: all alike."""
    found: Float64Array = np.ones(len(data.labels_I)) if weight_I is None else np.array(weight_I)
    found[data.held_I] = 0.0
    mean = float(found[~data.held_I].mean()) if (~data.held_I).any() else 1.0
    return found / (mean if mean > 0 else 1.0)
