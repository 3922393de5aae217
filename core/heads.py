"""Linear classification head on pooled concept codes.

A logit is a plain sum: `logit_c = sum_n pooled_n * weight_cn + bias_c`. The codes are never
standardised, so every term of the sum belongs to one concept and the terms add up exactly.

Shape legend: I cases; P patches; N concepts; C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from core.conformal import ConformalRule
from core.errors import ConfigError
from core.types import FloatArray

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
# Pooled codes [I, N]: a dense array or any scipy sparse matrix.
Pooled = Any
Pooling = Literal["max", "mean"]
"""How the patches of an image become one activation per concept."""

C_GRID: tuple[float, ...] = (0.1, 1.0, 10.0)
DEFAULT_C = 1.0
FOLDS = 3


def pool(acts_PN: Tensor, how: Pooling) -> Tensor:
    """One activation per concept and image: over the last but one axis, float32 [N].

    "max" says whether and how strongly a concept is there, wherever it is; "mean" also says on how
    much of the image, and makes every patch's share of a logit exact (Insight pools by maximum).

    Args:
        acts_PN: inference activations of one image [P, N], or of several [..., P, N]; P >= 1.
        how: which of the two.
    """
    match how:
        case "max":
            return acts_PN.amax(-2)
        case "mean":
            return acts_PN.mean(-2)
        case _:
            assert_never(how)


def read_pooling(text: object) -> Pooling:
    """A pooling read from a file or a setting. Raises ConfigError for any other word."""
    for how in get_args(Pooling):
        if text == how:
            return cast(Pooling, how)
    raise ConfigError(f"patches cannot be pooled by {text!r}")


@dataclass(frozen=True, eq=False)
class LinearHead:
    """One weight per class and concept, one bias per class, one temperature.

    weight_CN    float32; a row for every class, for two classes as well
    bias_C       float32
    classes      C names, in row order
    temperature  > 0; probabilities are softmax(logits / temperature)
    pooling      how the codes that it is meant for were pooled over the patches
    conformal    rule for sets of classes, where held-out cases were there to fit one
    upper_N      float32, highest pooled activation of each concept among the training cases, >= 0

    Raises ConfigError where the shapes do not fit or a value is not finite.
    """

    weight_CN: FloatArray
    bias_C: FloatArray
    classes: tuple[str, ...]
    temperature: float = 1.0
    pooling: Pooling = "max"
    conformal: ConformalRule | None = None
    upper_N: FloatArray | None = None

    def __post_init__(self) -> None:
        count = len(self.classes)
        if self.weight_CN.ndim != 2 or self.weight_CN.shape[0] != count:
            raise ConfigError(f"head weights {self.weight_CN.shape} do not fit {count} classes")
        if self.bias_C.shape != (count,):
            raise ConfigError(f"head bias {self.bias_C.shape} does not fit {count} classes")
        if not (np.isfinite(self.weight_CN).all() and np.isfinite(self.bias_C).all()):
            raise ConfigError("head weights are not finite")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(f"temperature must be positive, got {self.temperature}")
        read_pooling(self.pooling)
        if self.upper_N is not None and self.upper_N.shape != (self.n,):
            raise ConfigError(f"bounds {self.upper_N.shape} do not fit {self.n} concepts")

    @property
    def n(self) -> int:
        """Number of concepts N."""
        return int(self.weight_CN.shape[1])

    def logits(self, pooled_IN: Pooled) -> Float64Array:
        """Logits float64 [I, C] of pooled codes [I, N] (dense or scipy sparse)."""
        codes_IN = _as_float64(pooled_IN)
        if codes_IN.shape[1] != self.n:
            raise ConfigError(f"{codes_IN.shape[1]} concepts do not fit a head for {self.n}")
        product = codes_IN @ self.weight_CN.astype(np.float64).T
        return np.asarray(product + self.bias_C.astype(np.float64), dtype=np.float64)

    def probabilities(self, pooled_IN: Pooled) -> Float64Array:
        """Calibrated probabilities float64 [I, C]; rows sum to 1."""
        scaled_IC = self.logits(pooled_IN) / self.temperature
        return np.asarray(softmax(scaled_IC, axis=1), dtype=np.float64)

    def contributions(self, pooled_N: NDArray[Any], class_index: int) -> Float64Array:
        """Share of every concept in one logit, float64 [N]; plus the bias it sums to the logit."""
        weight_N = self.weight_CN[class_index].astype(np.float64)
        codes_N: Float64Array = np.asarray(pooled_N, dtype=np.float64)
        product_N: Float64Array = codes_N * weight_N
        return product_N

    def with_temperature(self, temperature: float) -> "LinearHead":
        """The same head with another temperature."""
        return replace(self, temperature=float(temperature))

    def with_conformal(self, rule: ConformalRule | None) -> "LinearHead":
        """The same head with another rule for sets of classes."""
        return replace(self, conformal=rule)


def fit_head(
    pooled_IN: Pooled,
    labels_I: NDArray[Any],
    classes: Sequence[str],
    *,
    sample_weight: NDArray[Any] | None = None,
    c: float | None = None,
    cautious: bool = False,
    seed: int = 0,
    pooling: Pooling = "max",
    prior_N: NDArray[Any] | None = None,
) -> LinearHead:
    """Multinomial logistic regression with an L2 penalty, on raw codes.

    All codes are divided by one scalar (their root mean square row norm) while fitting, so that
    `c` means the same at every activation scale; the scalar is folded back into the weights.
    With `prior_N` the penalty is sum_n (w_n / prior_n)^2: the codes are multiplied by the prior as
    well, and it is folded back too, so that logits are sums over raw codes in any case.

    Args:
        pooled_IN: non-negative pooled codes, dense or scipy sparse.
        labels_I: integers in 0..C-1; every class must occur.
        sample_weight: [I], >= 0, any scale; None weighs all cases alike.
        c: inverse penalty, > 0; None chooses from C_GRID by cross-validated log loss.
        cautious: choose the strongest penalty within one standard error of the best one. Right
            where few cases carry much of the weight, so that the folds say little.
        seed: of the cross-validation folds; the fit itself is deterministic.
        pooling: how the codes were pooled; kept with the head.
        prior_N: prior standard deviation of each concept's weights, > 0, any scale (such as
            core.fuzziness.sharpness_prior); None: all alike.

    Raises:
        ConfigError: a class without a (weighted) case, fewer than two classes, a wrong `c` or a
            prior that does not fit.
    """
    codes_IN = csr_array(_as_float64(pooled_IN))
    labels = np.asarray(labels_I, dtype=np.int64)
    weight_I = _checked_weights(sample_weight, labels.shape[0])
    check_labels(labels, weight_I, classes, codes_IN.shape[0])
    scale_N = code_scales(codes_IN, prior_N)
    scaled_IN = csr_array(codes_IN / scale_N)
    if c is None:
        c = choose_c(scaled_IN, labels, weight_I, cautious=cautious, seed=seed)
    if not c > 0:
        raise ConfigError(f"the inverse penalty must be positive, got {c}")
    coefficients_CN, intercept_C = _fit(scaled_IN, labels, weight_I, c)
    return LinearHead(
        (coefficients_CN / scale_N).astype(np.float32),
        intercept_C.astype(np.float32),
        tuple(classes),
        pooling=pooling,
        upper_N=codes_IN.max(axis=0).toarray().ravel().clip(0).astype(np.float32),
    )


def choose_c(
    scaled_IN: Pooled,
    labels_I: IntArray,
    weight_I: Float64Array,
    *,
    grid: Sequence[float] = C_GRID,
    cautious: bool = False,
    seed: int = 0,
) -> float:
    """The inverse penalty with the lowest weighted log loss over stratified folds.

    With `cautious` it is the smallest one whose loss is within one standard error of the lowest
    (the one-standard-error rule: Breiman et al. 1984; Hastie et al., Elements of Statistical
    Learning, 7.10). Classes with fewer than two cases cannot be split: DEFAULT_C is returned.
    """
    folds = min(FOLDS, int(np.bincount(labels_I).min()))
    if folds < 2:
        return DEFAULT_C
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    splits = list(splitter.split(np.zeros(len(labels_I)), labels_I))
    losses = [
        [_held_out_loss(scaled_IN, labels_I, weight_I, c, *split) for split in splits] for c in grid
    ]
    return _best_c(grid, np.array(losses), cautious)


def _best_c(grid: Sequence[float], loss_CF: Float64Array, cautious: bool) -> float:
    """The grid's value of lowest mean loss over folds F, or the smallest nearly as good."""
    mean_C = loss_CF.mean(axis=1)
    best = int(np.argmin(mean_C))
    if not cautious:
        return float(grid[best])
    error = loss_CF[best].std(ddof=1) / np.sqrt(loss_CF.shape[1])
    return min(
        float(c) for c, mean in zip(grid, mean_C, strict=True) if mean <= mean_C[best] + error
    )


def _held_out_loss(
    codes_IN: Pooled, labels_I: IntArray, weight_I: Float64Array, c: float,
    train: IntArray, test: IntArray,
) -> float:  # fmt: skip
    weight_CN, bias_C = _fit(codes_IN[train], labels_I[train], weight_I[train], c)
    logits = codes_IN[test] @ weight_CN.T + bias_C
    loss = -log_softmax(logits, axis=1)[np.arange(len(test)), labels_I[test]]
    return float((loss * weight_I[test]).sum())


def _fit(
    codes_IN: Pooled, labels_I: IntArray, weight_I: Float64Array, c: float
) -> tuple[Float64Array, Float64Array]:
    """Coefficients [C, N] and intercepts [C]; two classes get mirrored rows.

    For two classes scikit-learn fits one row w with P = sigmoid(w x). Rows -w/2 and +w/2 give
    the same probabilities by softmax.
    """
    model = LogisticRegression(C=c, max_iter=5000, tol=1e-5)
    model.fit(codes_IN, labels_I, sample_weight=weight_I)
    weight, bias = model.coef_, model.intercept_
    if weight.shape[0] == 1:
        return np.vstack((-weight / 2, weight / 2)), np.concatenate((-bias / 2, bias / 2))
    return weight, bias


def _as_float64(pooled_IN: Pooled) -> Pooled:
    if issparse(pooled_IN):
        return pooled_IN.astype(np.float64)
    return np.asarray(pooled_IN, dtype=np.float64)


def row_scale(codes_IN: Pooled) -> float:
    """Root mean square norm of the rows; 1 where all codes are zero."""
    scale = float(np.sqrt(codes_IN.power(2).sum() / max(codes_IN.shape[0], 1)))
    return scale if scale > 0 else 1.0


def code_scales(codes_IN: Pooled, prior_N: NDArray[Any] | None) -> Float64Array:
    """What each concept's codes are divided by while fitting, float64 [N], > 0.

    One scalar for all (row_scale) without a prior; with one, row_scale(codes * prior) / prior.

    Raises ConfigError where the prior does not fit the codes, or a value is not finite and > 0.
    """
    n = codes_IN.shape[1]
    if prior_N is None:
        return np.full(n, row_scale(codes_IN))
    prior = np.asarray(prior_N, dtype=np.float64)
    if prior.shape != (n,) or not np.isfinite(prior).all() or not (prior > 0).all():
        raise ConfigError("a head's prior must be one finite number > 0 per concept")
    return np.asarray(row_scale(csr_array(codes_IN * prior)) / prior, dtype=np.float64)


def _checked_weights(sample_weight: NDArray[Any] | None, count: int) -> Float64Array:
    """Weights with mean 1, so that the penalty does not depend on their scale."""
    if sample_weight is None:
        return np.ones(count)
    weight_I: Float64Array = np.asarray(sample_weight, dtype=np.float64)
    if weight_I.shape != (count,) or not np.isfinite(weight_I).all() or (weight_I < 0).any():
        raise ConfigError("sample weights must be one finite number >= 0 per case")
    if weight_I.sum() == 0:
        raise ConfigError("all sample weights are zero")
    scaled_I: Float64Array = weight_I / weight_I.mean()
    return scaled_I


def check_labels(
    labels_I: IntArray, weight_I: Float64Array, classes: Sequence[str], cases: int
) -> None:
    """Refuse labels that cannot train a head.

    Args:
        labels_I: class index of each case.
        weight_I: weight of each case, >= 0.
        classes: names by class index.
        cases: how many there are.

    Raises ConfigError naming what is wrong: too few classes, a label outside them, a class without
    a (weighted) case.
    """
    if len(classes) < 2:
        raise ConfigError("a head needs at least two classes")
    if labels_I.shape != (cases,):
        raise ConfigError(f"{labels_I.shape[0]} labels do not fit {cases} cases")
    if cases and (labels_I.min() < 0 or labels_I.max() >= len(classes)):
        raise ConfigError("a label lies outside the list of classes")
    mass_C = np.bincount(labels_I, weights=weight_I, minlength=len(classes))
    missing = [name for name, mass in zip(classes, mass_C, strict=True) if mass == 0]
    if missing:
        raise ConfigError(
            f"no training case is labelled {', '.join(repr(m) for m in missing)}; "
            "add labelled cases or leave the class out"
        )
