"""How far the stated confidence can be trusted.

Shape legend: I cases; C classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from core.errors import ConfigError

BINS = 15
# Beyond these the held-out cases are either all right or carry no information.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0


def fit_temperature(
    logits_IC: NDArray[Any], labels_I: NDArray[Any], weight_I: NDArray[Any] | None = None
) -> float:
    """The temperature in [0.05, 20] with the lowest negative log likelihood.

    Guo et al. 2017, "On Calibration of Modern Neural Networks". Give held-out logits: on the
    training cases the answer is over-confident. Without any case it returns 1.
    """
    logits = np.asarray(logits_IC, dtype=np.float64)
    labels = np.asarray(labels_I, dtype=np.int64)
    if logits.shape[0] != labels.shape[0]:
        raise ConfigError(f"{labels.shape[0]} labels do not fit {logits.shape[0]} cases")
    if not labels.size:
        return 1.0
    weight = np.ones(len(labels)) if weight_I is None else np.asarray(weight_I, dtype=np.float64)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-(weight * scaled[rows, labels]).sum() / weight.sum())

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x))


def cautious_temperature(
    logits_IC: NDArray[Any], labels_I: NDArray[Any], weight_I: NDArray[Any] | None = None
) -> float:
    """The temperature for held-out logits with smoothed targets.

    Sixty cases without an error do not make a model certain: as Platt (1999) did, each label
    counts as right with probability (n + 1) / (n + 2) only, for n cases.
    """
    cases, classes = logits_IC.shape
    doubt = 1.0 / (cases + 2)
    every_class = np.tile(np.arange(classes), cases)
    right = every_class == np.repeat(labels_I, classes)
    weights = np.where(right, 1.0 - doubt, doubt / max(classes - 1, 1))
    if weight_I is not None:
        weights = weights * np.repeat(weight_I, classes)
    return fit_temperature(np.repeat(logits_IC, classes, axis=0), every_class, weights)


def expected_calibration_error(
    probs_IC: NDArray[Any], labels_I: NDArray[Any], bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy, weighted by bin size, in [0, 1].

    Confidence is the largest probability; bins have equal width and are open on the left:
    (0, 1/bins], (1/bins, 2/bins], ... NaN without any case.
    """
    probs = np.asarray(probs_IC, dtype=np.float64)
    labels = np.asarray(labels_I, dtype=np.int64)
    if not labels.size:
        return float("nan")
    confidence_I = probs.max(1)
    right_I = (probs.argmax(1) == labels).astype(np.float64)
    # The small subtraction keeps values such as 0.2 (3 of 15 bins) in the bin they close.
    bin_I = np.clip(np.ceil(confidence_I * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(bin_I, weights=right_I - confidence_I, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
