"""Are explanations true? Measures of maps and attributions, each beside its random control.

A figure alone says little: a map that points at random hits a large region often. So every measure
returns the same figure for chance on the same cases, in closed form where there is one and from
seeded draws where not, and the margin is stated in standard errors over cases. Definitions follow
the sources named at each function; `core.concept_scores.auc` is the concept AUC, whose chance level
is .5, `core.evaluation` has worst and average group.

Shape legend: I cases; P places of a map (patches or pixels); K features whose removal can be scored
(concepts or groups of patches); S sets of kept features; R random draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from core.errors import ConfigError
from core.heads import Float64Array

# keep [S, K] bool -> the model's score [S] with only these features left.
Score = Callable[[NDArray[np.bool_]], Float64Array]
Mode = Literal["deletion", "insertion"]


@dataclass(frozen=True, eq=False)
class Paired:
    """One measure per case and what chance gives on the same case; NaN where undefined.

    value_I, control_I float64; better: which direction is good.
    """

    value_I: Float64Array
    control_I: Float64Array
    better: Literal["higher", "lower"]

    @property
    def cases(self) -> int:
        """Cases for which the measure is defined."""
        return int(self._defined().sum())

    @property
    def mean(self) -> float:
        """Mean over the defined cases; NaN without any."""
        return _mean(self.value_I[self._defined()])

    @property
    def control(self) -> float:
        """Mean of the random control over the same cases; NaN without any."""
        return _mean(self.control_I[self._defined()])

    @property
    def margin_se(self) -> float:
        """How much better than chance, in standard errors of the paired difference over cases.

        Positive = better. +-inf where all cases differ by the same amount, NaN under two cases.
        """
        gain_I = (self.value_I - self.control_I)[self._defined()]
        if self.better == "lower":
            gain_I = -gain_I
        if len(gain_I) < 2:
            return float("nan")
        error = float(gain_I.std(ddof=1) / np.sqrt(len(gain_I)))
        mean = float(gain_I.mean())
        if error == 0.0:
            return 0.0 if mean == 0 else float("inf") if mean > 0 else float("-inf")
        return mean / error

    def _defined(self) -> NDArray[np.bool_]:
        return np.isfinite(self.value_I) & np.isfinite(self.control_I)


def spurious_mass(values_IP: NDArray[Any], rejected_IP: NDArray[np.bool_]) -> Paired:
    """Share of |attribution| inside rejected regions, [0, 1]; lower is better.

    Control: the region's share of the places, the expectation over shuffled maps. Undefined where
    nothing is attributed or nothing rejected. (Ross et al. 2017 penalise this mass; as a figure:
    Adebayo et al. 2022.)
    """
    mass_IP = np.abs(np.asarray(values_IP, np.float64))
    return _inside(mass_IP, rejected_IP, "lower")


def relevance_mass_accuracy(values_IP: NDArray[Any], truth_IP: NDArray[np.bool_]) -> Paired:
    """Share of the positive attribution inside the true region, [0, 1] (Arras et al. 2022).

    Control: the region's share of the places. Undefined where nothing is positive or the region
    is empty.
    """
    return _inside(np.maximum(np.asarray(values_IP, np.float64), 0.0), truth_IP, "higher")


def pointing_game(values_IP: NDArray[Any], truth_IP: NDArray[np.bool_]) -> Paired:
    """Whether the map's maximum lies in the true region (Zhang et al. 2018), without tolerance.

    Where several places share the maximum, the share of them inside counts. An empty region is a
    miss. Control: a random place, i.e. the region's share. Undefined where no value is positive:
    such a map points nowhere.
    """
    values = np.asarray(values_IP, np.float64)
    truth = np.asarray(truth_IP, bool)
    top_I = values.max(axis=1)
    peak_IP = values == top_I[:, None]
    hit_I = (peak_IP & truth).sum(1) / peak_IP.sum(1)
    return Paired(np.where(top_I > 0, hit_I, np.nan), truth.mean(1), "higher")


def gini(values_IP: NDArray[Any], *, seed: int = 0) -> Paired:
    """Sparseness of |attribution|: the Gini index, 0 = evenly spread, to 1 - 1/P = one place.

    G = 2 sum_r r x_(r) / (P sum x) - (P + 1) / P for sorted x (Chalasani et al. 2020). Control:
    the same for uniform random values (about 1/3). Undefined for an empty map.
    """
    values = np.abs(np.asarray(values_IP, np.float64))
    noise = np.random.default_rng(seed).random(values.shape)
    return Paired(_gini(values), _gini(noise), "higher")


def randomisation_check(
    values_IP: NDArray[Any], randomised_IP: NDArray[Any], *, seed: int = 0
) -> Paired:
    """|Spearman| of a map with the map of a model whose parameters were drawn at random.

    Adebayo et al. 2018: a map that stays alike does not depend on the model. Lower is better;
    control: the same with a shuffled map, the level that chance leaves. Undefined where either
    map is constant.
    """
    values, other = np.asarray(values_IP, np.float64), np.asarray(randomised_IP, np.float64)
    shuffled = np.random.default_rng(seed).permuted(values, axis=1)
    return Paired(np.abs(spearman(values, other)), np.abs(spearman(values, shuffled)), "lower")


def spearman(a_IK: NDArray[Any], b_IK: NDArray[Any]) -> Float64Array:
    """Rank correlation of each pair of rows, float64 [I] in [-1, 1]; NaN for a constant row."""
    rank_a = rankdata(a_IK, axis=1) - (a_IK.shape[1] + 1) / 2
    rank_b = rankdata(b_IK, axis=1) - (b_IK.shape[1] + 1) / 2
    size = np.sqrt((rank_a**2).sum(1) * (rank_b**2).sum(1))
    product = (rank_a * rank_b).sum(1)
    return np.asarray(np.divide(product, size, out=np.full(len(size), np.nan), where=size > 0))


@dataclass(frozen=True)
class CaseScore:
    """One measure of one case and its random control; NaN where undefined."""

    value: float
    control: float


def gather(scores: list[CaseScore], better: Literal["higher", "lower"]) -> Paired:
    """Per-case scores as one measure."""
    rows = np.array([[s.value, s.control] for s in scores], np.float64).reshape(-1, 2)
    return Paired(rows[:, 0], rows[:, 1], better)


def perturbation_auc(
    score: Score,
    values_K: NDArray[Any],
    mode: Mode,
    *,
    steps: int = 10,
    draws: int = 5,
    seed: int = 0,
) -> CaseScore:
    """Area under the score as features are deleted or inserted, the most supporting first.

    Petsiuk et al. 2018 (RISE). The k-th of `steps` + 1 points has round(k K / steps) features
    deleted (or inserted); the area is the trapezoid rule over shares 0..1, in units of the score.
    Lower is better for deletion, higher for insertion. Control: the mean over `draws` random
    orders.

    Args:
        score: the model with only some features left, e.g. a class probability.
        values_K: attribution of each feature; ties keep their order.
        mode: "deletion" starts from all features, "insertion" from none.
        steps: >= 1; no more points than K + 1 are distinct.
        draws: random orders, >= 1; seeded.

    Raises ConfigError for wrong settings or no feature.
    """
    values = np.asarray(values_K, np.float64)
    if draws < 1:
        raise ConfigError("a control needs a random order at least")
    rng = np.random.default_rng(seed)
    orders = [np.argsort(-values, kind="stable")]
    orders += [rng.permutation(len(values)) for _ in range(draws)]
    area = areas(score, orders, mode, steps=steps)
    return CaseScore(float(area[0]), float(area[1:].mean()))


def areas(
    score: Score, orders: Sequence[NDArray[np.int64]], mode: Mode, *, steps: int = 10
) -> Float64Array:
    """The area of `perturbation_auc` for any orders of the features, float64 [len(orders)].

    Raises ConfigError for no step, no order or no feature.
    """
    if steps < 1 or not len(orders) or not len(orders[0]):
        raise ConfigError("curves need a feature, an order and a step at least")
    keep = np.concatenate([kept_sets(order, mode, steps) for order in orders])
    curves = np.asarray(score(keep), np.float64).reshape(len(orders), steps + 1)
    return np.asarray((curves[:, 1:] + curves[:, :-1]).sum(axis=1) / (2 * steps))


def kept_sets(order_K: NDArray[np.int64], mode: Mode, steps: int) -> NDArray[np.bool_]:
    """Which features are left at each point of a curve, bool [steps + 1, K].

    Args:
        order_K: features in the order in which they are deleted or inserted.
        mode: direction.
        steps: points after the first.
    """
    count = len(order_K)
    rank_K = np.empty(count, np.int64)
    rank_K[order_K] = np.arange(count)
    touched_S = np.round(np.arange(steps + 1) * count / steps).astype(np.int64)
    touched = rank_K[None, :] < touched_S[:, None]
    match mode:
        case "deletion":
            return ~touched
        case "insertion":
            return touched
        case _:
            assert_never(mode)


def single_deletion(
    score: Score, values_K: NDArray[Any], *, draws: int = 20, seed: int = 0
) -> CaseScore:
    """Spearman of the attributions with the drop of the score when each feature alone is deleted.

    Sensitivity-n with n = 1 (Ancona et al. 2018), by ranks. Control: the mean of |Spearman| is not
    zero for few features, but that of Spearman is; it is estimated by `draws` shuffled
    attributions. Undefined under 3 features or where either side is constant.
    """
    values = np.asarray(values_K, np.float64)
    count = len(values)
    if count < 3:
        return CaseScore(float("nan"), float("nan"))
    keep = np.vstack((np.ones((1, count), bool), ~np.eye(count, dtype=bool)))
    scores = np.asarray(score(keep), np.float64)
    drop = scores[0] - scores[1:]
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(values, (draws, 1)), axis=1)
    rows = np.vstack((values[None], shuffled))
    found = spearman(rows, np.tile(drop, (draws + 1, 1)))
    return CaseScore(float(found[0]), float(found[1:].mean()))


def max_sensitivity(
    explain: Callable[[NDArray[np.float64]], NDArray[Any]],
    x: NDArray[Any],
    *,
    radius: float,
    samples: int = 10,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
) -> CaseScore:
    """Largest relative change of an explanation under small noise (Yeh et al. 2019).

    max over samples of |E(x + u) - E(x)|_2 / |E(x)|_2 with u uniform in [-radius, radius] for every
    entry. Lower is better. Control: the same change when E(x) is shuffled instead, what a map that
    moves anywhere would show. Undefined where E(x) is zero.

    Args:
        explain: input -> values of any shape.
        x: input of any shape; radius is in its units.
        radius: > 0.
        samples: >= 1, also of the control's shuffles.
        bounds: range of valid inputs to clip to, such as (0, 255).

    Raises ConfigError for wrong settings.
    """
    if not radius > 0 or samples < 1:
        raise ConfigError("sensitivity needs a positive radius and a sample at least")
    rng = np.random.default_rng(seed)
    start = np.asarray(x, np.float64)
    base = np.asarray(explain(start), np.float64).ravel()
    size = float(np.linalg.norm(base))
    if size == 0:
        return CaseScore(float("nan"), float("nan"))
    moved, shuffled = [], []
    for _ in range(samples):
        noisy = start + rng.uniform(-radius, radius, start.shape)
        if bounds is not None:
            noisy = noisy.clip(*bounds)
        moved.append(np.linalg.norm(np.asarray(explain(noisy), np.float64).ravel() - base))
        shuffled.append(np.linalg.norm(rng.permutation(base) - base))
    return CaseScore(float(max(moved)) / size, float(max(shuffled)) / size)


def _inside(
    mass_IP: Float64Array, region_IP: NDArray[np.bool_], better: Literal["higher", "lower"]
) -> Paired:
    region = np.asarray(region_IP, bool)
    total_I = mass_IP.sum(1)
    defined_I = (total_I > 0) & region.any(1)
    share_I = np.divide(
        (mass_IP * region).sum(1), total_I, out=np.full(len(total_I), np.nan), where=defined_I
    )
    return Paired(share_I, region.mean(1), better)


def _gini(values_IP: Float64Array) -> Float64Array:
    ordered = np.sort(values_IP, axis=1)
    count = ordered.shape[1]
    total_I = ordered.sum(1)
    weighted_I = (ordered * np.arange(1, count + 1)).sum(1)
    share_I = np.divide(
        2 * weighted_I, count * total_I, out=np.full(len(total_I), np.nan), where=total_I > 0
    )
    return np.asarray(share_I - (count + 1) / count)


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
