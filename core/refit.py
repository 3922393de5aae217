"""Fast weighted logistic regression on sparse codes, with a penalty per concept.

    F(W, b) = sum_i s_i loss_i(W, b) + 1/2 sum_cn r_cn W_cn^2 + sum_n l_n sum_c |W_cn|

loss_i is the multinomial log loss; with two classes and one penalty per concept, a single row
w = W_1 - W_0 stands for both, as scikit-learn has it. Solved by L-BFGS-B (Byrd, Lu, Nocedal and Zhu
1995, SIAM J. Sci. Comput. 16:1190; scipy) on loss and slope from one compiled pass over the rows
(core.refit_kernels). Three changes of variables make it fast and general:

centred  the solver's bias is a = b + W m, m_n = sum_i s_i x_in / sum_i s_i: logits are W (x - m) +
         a. Codes are >= 0, so every weight pulls at the bias; centred, none does to first order,
         and the fit needs a quarter of the rounds. The codes stay sparse: W (x - m) + a =
         W x + (a - W m), and the slope by W is sum_i e_i x_i - m sum_i e_i, e_i being the errors.
scaled   concept n is divided by d_n = sqrt(p (1 - p) sum_i s_i (x_in - m_n)^2 + r_n), p = 1 / C:
         the diagonal of the Hessian at W = 0 with even classes. Rare and common concepts curve
         alike.
split    with an L1 penalty W = U - V, U, V >= 0: the penalty is linear then, the problem smooth
         with bounds, and zeros are exact (Schmidt, Fung and Rosales 2007 compare such splits).

With directions to erase, W = U P with P = 1 - V^T V: logits cannot see the directions V, and the
penalty is that of U, as if the codes had been projected (they stay sparse this way).

Legend: I cases; N concepts; C classes; V directions; K rows of weights, 1 for a binary fit and C
otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax

from core import refit_kernels as kernels
from core.errors import ConfigError
from core.refit_kernels import Rows

Float64Array = NDArray[np.float64]
ROUNDS = 500
TOLERANCE = 1e-5
"""Largest slope at which the solver stops, per unit of weight, in scaled variables."""
LEAST_SHARE = 1e-3
"""Share of a class that the first bias takes at least."""
ADAPTIVE_ROUNDS = 8
DELTA = 1e-2
"""Of the adaptive ridge: weights far below DELTA times the largest one count as zero."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit found.

    weight_CN, bias_C  float64; two classes have mirrored rows where the fit was binary
    loss               F per unit of weight, penalties included
    rounds             L-BFGS rounds
    converged          False where the solver stopped at its limit of rounds
    """

    weight_CN: Float64Array
    bias_C: Float64Array
    loss: float
    rounds: int
    converged: bool


def fit_weighted(
    codes_IN: Any,
    labels_I: NDArray[Any],
    classes: int,
    *,
    weight_I: NDArray[Any] | None = None,
    ridge: float | NDArray[Any] = 1.0,
    lasso: NDArray[Any] | None = None,
    erase_VN: NDArray[Any] | None = None,
    start: Fitted | None = None,
    rounds: int = ROUNDS,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    should_stop: Callable[[], None] | None = None,
) -> Fitted:
    """The minimum of F; see the module. Deterministic, whatever the number of cores.

    Needs, beside the codes (12 bytes a stored entry where they are not float32 already), some 30
    vectors of K * N doubles.

    Args:
        codes_IN: csr (or dense) codes, any scale.
        labels_I: integers in 0 .. classes - 1.
        weight_I: s_i >= 0, any scale; None: 1 each.
        ridge: r > 0, one number, or per concept [N], or per class and concept [C, N].
        lasso: l_n >= 0 per concept [N]; not together with directions to erase.
        erase_VN: orthonormal directions that no logit may depend on.
        start: an earlier fit to begin with.
        threads: None takes as many as pay; the result does not depend on it.
        should_stop: called every round; it may raise.

    Raises:
        ConfigError: shapes, labels, weights or penalties that do not fit.
    """
    codes = csr_array(codes_IN)
    labels = np.asarray(labels_I, dtype=np.int64)
    shares = np.ones(len(labels)) if weight_I is None else np.asarray(weight_I, np.float64)
    _check(codes, labels, classes, shares)
    ridge_KN = _ridge(ridge, classes, codes.shape[1])
    lasso_N = _lasso(lasso, codes.shape[1])
    erased_VN = _directions(erase_VN, codes.shape[1])
    if lasso_N is not None and erased_VN is not None:
        raise ConfigError("an L1 penalty and directions to erase do not go together")
    rows = Rows.of(codes, labels, shares, threads)
    problem = _Problem.of(rows, ridge_KN, lasso_N, erased_VN, classes)
    return problem.solve(start, rounds, tolerance, should_stop)


def adaptive_ridge(
    codes_IN: Any,
    labels_I: NDArray[Any],
    classes: int,
    *,
    ridge: float | NDArray[Any],
    extra: NDArray[Any],
    weight_I: NDArray[Any] | None = None,
    rounds: int = ADAPTIVE_ROUNDS,
    start: Fitted | None = None,
) -> Fitted:
    """Ridge fits repeated with r (1 + extra v / (u^2 + DELTA^2 v)), u^2 = r W^2, v = max u^2.

    Each round lightens the penalty of weights that held out and tightens that of the others, so
    that for concepts with extra > 0 the penalty comes near to counting weights that are not zero
    (L0); others keep the plain ridge. Frommlet and Nuel 2016, "An adaptive ridge procedure for L0
    regularization" (PLoS ONE 11:e0148620); v makes it independent of the scale of the codes.

    Args:
        ridge: r as in `fit_weighted`.
        extra: >= 0, [N] or [C, N]: the price of one weight in use; 0 for concepts without one.

    Raises ConfigError as `fit_weighted` does.
    """
    price = np.asarray(extra, dtype=np.float64)
    if (price < 0).any() or not np.isfinite(price).all():
        raise ConfigError("extra penalties must be finite and at least 0")
    codes = csr_array(codes_IN)
    ridge_CN = np.array(np.broadcast_to(np.asarray(ridge, np.float64), (classes, codes.shape[1])))
    fitted = fit_weighted(
        codes, labels_I, classes, weight_I=weight_I, ridge=ridge_CN * (1 + price), start=start
    )
    for _ in range(rounds if price.any() else 0):
        square_CN = ridge_CN * fitted.weight_CN**2
        most = max(float(square_CN.max()), 1e-30)
        grown_CN = ridge_CN * (1 + price * most / (square_CN + DELTA**2 * most))
        fitted = fit_weighted(
            codes, labels_I, classes, weight_I=weight_I, ridge=grown_CN, start=fitted
        )
    return fitted


@dataclass(frozen=True, eq=False)
class _Problem:
    rows: Rows
    once_KN: Float64Array  # sum_i s_i x_in over the cases of each class
    mean_N: Float64Array  # m: weighted mean codes
    square_N: Float64Array  # sum_i s_i (x_in - m_n)^2
    share_C: Float64Array  # weight of each class over all
    ridge_KN: Float64Array
    lasso_N: Float64Array | None
    erase_VN: Float64Array | None
    total: float  # sum of s_i

    @classmethod
    def of(
        cls, rows: Rows, ridge_KN: Float64Array, lasso_N: Float64Array | None,
        erase_VN: Float64Array | None, classes: int,
    ) -> "_Problem":  # fmt: skip
        """With what one pass over the rows tells."""
        total = float(rows.weight_I.sum())
        once_CN, twice_N = kernels.moments(rows, classes)
        once_N = once_CN.sum(axis=0)
        mean_N = once_N / total
        square_N = np.maximum(twice_N - mean_N * once_N, 0.0)
        share_C = np.bincount(rows.label_I, weights=rows.weight_I, minlength=classes) / total
        once_KN = once_CN[classes - len(ridge_KN) :]
        return cls(rows, once_KN, mean_N, square_N, share_C, ridge_KN, lasso_N, erase_VN, total)

    @property
    def share_K(self) -> Float64Array:
        """With one row, the share of class 1."""
        return self.share_C[1:] if self.binary else self.share_C

    def seen(self, free_KN: Float64Array) -> Float64Array:
        """U P: weights (or slopes) without the erased directions."""
        if self.erase_VN is None:
            return free_KN
        return np.asarray(free_KN - (free_KN @ self.erase_VN.T) @ self.erase_VN)

    @property
    def binary(self) -> bool:
        return len(self.ridge_KN) == 1

    def plain_bias(self, seen_KN: Float64Array, centred_K: Float64Array) -> Float64Array:
        """The bias beside codes as they are: a - W m."""
        return np.asarray(centred_K - seen_KN @ self.mean_N)

    def value(self, weight_KN: Float64Array, centred_K: Float64Array) -> tuple[float, Any, Any]:
        """Smooth part of F / total and its slopes by U [K, N] and a [K]."""
        if not weight_KN.any():
            return self._without_weights(centred_K)
        seen_KN = self.seen(weight_KN)
        bias_K = self.plain_bias(seen_KN, centred_K)
        if self.binary:
            loss, slope_N, by_bias = kernels.binary(self.rows, seen_KN[0], float(bias_K[0]))
            slope_KN, slope_K = slope_N[None], np.array([by_bias])
        else:
            weight_NC = np.ascontiguousarray(seen_KN.T)
            loss, slope_NC, slope_K = kernels.multinomial(self.rows, weight_NC, bias_K)
            slope_KN = slope_NC.T
        slope_KN = slope_KN - np.outer(slope_K, self.mean_N)
        pull_KN = self.ridge_KN * weight_KN
        loss += 0.5 * float((pull_KN * weight_KN).sum())
        slope_KN = self.seen(slope_KN) + pull_KN
        return loss / self.total, slope_KN / self.total, slope_K / self.total

    def _without_weights(self, bias_K: Float64Array) -> tuple[float, Any, Any]:
        """`value` where all weights are zero: the moments tell, no pass over the rows is needed."""
        logit_C = np.append(0.0, bias_K) if self.binary else bias_K
        log_C = log_softmax(logit_C)
        slope_C = np.exp(log_C) - self.share_C
        slope_KN = np.outer(self.share_K, self.mean_N) - self.once_KN / self.total
        return -float(self.share_C @ log_C), self.seen(slope_KN), slope_C[-len(slope_KN) :]

    def solve(
        self, start: Fitted | None, rounds: int, tolerance: float,
        should_stop: Callable[[], None] | None,
    ) -> Fitted:  # fmt: skip
        variables = self._variables()

        def objective(flat: Float64Array) -> tuple[float, Float64Array]:
            weight_KN, centred_K = variables.unpack(flat)
            loss, slope_KN, slope_K = self.value(weight_KN, centred_K)
            return variables.penalised(flat, loss, slope_KN, slope_K)

        def watch(*_: Any) -> None:
            if should_stop is not None:
                should_stop()

        found = minimize(
            objective, variables.first(*self._first(start)), jac=True, method="L-BFGS-B",
            bounds=variables.bounds(), callback=watch,
            options={"maxiter": rounds, "maxfun": 2 * rounds, "gtol": tolerance, "ftol": 1e-12,
                     "maxcor": 20},
        )  # fmt: skip
        weight_KN, centred_K = variables.unpack(np.asarray(found.x))
        seen_KN = self.seen(weight_KN)
        bias_K = self.plain_bias(seen_KN, centred_K)
        done = int(found.status) != 1  # 1: out of rounds; 2 is a line search at rounding error
        return self._fitted(seen_KN, bias_K, float(found.fun), int(found.nit), done)

    def _variables(self) -> "_Variables":
        """The scales: see the module. A bias curves by p (1 - p)."""
        even = 0.5 if self.binary else 1.0 / len(self.share_K)
        curve = even * (1 - even)
        scale_KN = np.sqrt((curve * self.square_N + self.ridge_KN) / self.total)
        return _Variables(scale_KN, float(np.sqrt(curve)), self.lasso_N, self.total)

    def _first(self, start: Fitted | None) -> tuple[Float64Array, Float64Array]:
        """Weights [K, N] and centred biases [K] to begin with: of a fit, or of no weights."""
        rows, n = self.ridge_KN.shape
        if start is None:
            share_K = np.clip(self.share_K, LEAST_SHARE, 1 - LEAST_SHARE)
            bias_K = np.log(share_K / (1 - share_K)) if self.binary else np.log(share_K)
            return np.zeros((rows, n)), bias_K
        if start.weight_CN.shape[1] != n:
            raise ConfigError("the fit to begin with has another number of concepts")
        weight_KN, bias_K = start.weight_CN, start.bias_C
        if rows == 1:
            weight_KN, bias_K = weight_KN[1:] - weight_KN[:1], bias_K[1:] - bias_K[:1]
        return weight_KN, np.asarray(bias_K + self.seen(weight_KN) @ self.mean_N)

    def _fitted(
        self, weight_KN: Float64Array, bias_K: Float64Array, loss: float, rounds: int, done: bool
    ) -> Fitted:
        if self.binary:
            half_N, half = weight_KN[0] / 2, float(bias_K[0]) / 2
            return Fitted(np.stack((-half_N, half_N)), np.array([-half, half]), loss, rounds, done)
        return Fitted(weight_KN.copy(), bias_K - bias_K.mean(), loss, rounds, done)


@dataclass(frozen=True, eq=False)
class _Variables:
    """What the solver sees: scaled weights (split in two with an L1 penalty), then biases."""

    scale_KN: Float64Array
    bias_scale: float
    lasso_N: Float64Array | None
    total: float

    @property
    def size(self) -> int:
        return self.scale_KN.size

    def unpack(self, flat: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Weights [K, N] and biases [K]."""
        rows = len(self.scale_KN)
        up = flat[: self.size]
        if self.lasso_N is not None:
            up = up - flat[self.size : 2 * self.size]
        bias_K = flat[len(flat) - rows :] / self.bias_scale
        return up.reshape(self.scale_KN.shape) / self.scale_KN, bias_K

    def penalised(
        self, flat: Float64Array, loss: float, slope_KN: Float64Array, slope_K: Float64Array
    ) -> tuple[float, Float64Array]:
        """Loss and slope in the solver's variables, the L1 penalty added."""
        slope, slope_K = (slope_KN / self.scale_KN).ravel(), slope_K / self.bias_scale
        if self.lasso_N is None:
            return loss, np.concatenate((slope, slope_K))
        price = self.lasso_N / self.total / self.scale_KN
        both = flat[: self.size] + flat[self.size : 2 * self.size]
        loss += float(price.ravel() @ both)
        return loss, np.concatenate((price.ravel() + slope, price.ravel() - slope, slope_K))

    def first(self, weight_KN: Float64Array, bias_K: Float64Array) -> Float64Array:
        """Where the solver begins."""
        scaled, bias_K = (weight_KN * self.scale_KN).ravel(), bias_K * self.bias_scale
        if self.lasso_N is None:
            return np.concatenate((scaled, bias_K))
        return np.concatenate((np.maximum(scaled, 0), np.maximum(-scaled, 0), bias_K))

    def bounds(self) -> Sequence[tuple[float | None, float | None]] | None:
        if self.lasso_N is None:
            return None
        return [(0.0, None)] * (2 * self.size) + [(None, None)] * len(self.scale_KN)


def _check(
    codes_IN: csr_array, labels_I: NDArray[np.int64], classes: int, shares_I: Float64Array
) -> None:
    if classes < 2:
        raise ConfigError("a fit needs at least two classes")
    if not len(labels_I) or labels_I.shape != (codes_IN.shape[0],):
        raise ConfigError(f"{len(labels_I)} labels do not fit {codes_IN.shape[0]} cases")
    if labels_I.min() < 0 or labels_I.max() >= classes:
        raise ConfigError("a label lies outside the list of classes")
    if shares_I.shape != labels_I.shape or not np.isfinite(shares_I).all() or (shares_I < 0).any():
        raise ConfigError("sample weights must be one finite number >= 0 per case")
    if shares_I.sum() == 0:
        raise ConfigError("all sample weights are zero")


def _ridge(ridge: float | NDArray[Any], classes: int, n: int) -> Float64Array:
    """[1, N] for a binary fit, else [C, N]."""
    given = np.asarray(ridge, dtype=np.float64)
    if given.ndim > 2 or not np.isfinite(given).all() or not (given > 0).all():
        raise ConfigError("ridge penalties must be finite and greater than 0")
    rows = 1 if classes == 2 and given.ndim < 2 else classes
    try:
        return np.array(np.broadcast_to(given, (rows, n)))
    except ValueError as error:
        raise ConfigError(f"penalties {given.shape} do not fit {n} concepts") from error


def _lasso(lasso: NDArray[Any] | None, n: int) -> Float64Array | None:
    if lasso is None:
        return None
    given: Float64Array = np.asarray(lasso, dtype=np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any():
        raise ConfigError("L1 penalties must be one finite number >= 0 per concept")
    return given if given.any() else None


def _directions(erase_VN: NDArray[Any] | None, n: int) -> Float64Array | None:
    if erase_VN is None or not len(erase_VN):
        return None
    given: Float64Array = np.asarray(erase_VN, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != n:
        raise ConfigError(f"directions {given.shape} do not fit {n} concepts")
    if not np.allclose(given @ given.T, np.eye(len(given)), atol=1e-6):
        raise ConfigError("directions to erase must be orthonormal")
    return given
