"""How far several people agree beyond chance, with intervals: Cohen, Fleiss, Krippendorff.

Each coefficient compares the observed agreement po with the agreement pe that chance would give:
(po - pe) / (1 - pe); 1 is perfect, 0 is chance, below 0 is worse than chance. They differ in pe
and in whom they can take (n_ik: people who said word k of item i; r_i = sum_k n_ik):

    Cohen          two people; pe = sum_k p_k q_k, from each one's own habits
                   (Cohen 1960, Educ. Psychol. Meas. 20:37)
    Fleiss         any two or more per item; po = mean_i sum_k n_ik (n_ik - 1) / (r_i (r_i - 1)),
                   pe = sum_k (mean_i n_ik / r_i)^2 (Fleiss 1971, Psychol. Bull. 76:378; for
                   unequal r_i as Gwet 2014, but items with one word are left out altogether)
    Krippendorff   nominal alpha; items weigh by their words, small samples are corrected:
                   1 - po = sum_i (r_i^2 - sum_k n_ik^2) / (r_i - 1) / n,
                   1 - pe = (n^2 - sum_k n_k^2) / (n (n - 1)), n = sum_i r_i
                   (Krippendorff 2011, "Computing Krippendorff's alpha-reliability")

All are functions of sums over items, so one mechanism serves the three. Analytic error: the
infinitesimal jackknife, sqrt(G / (G - 1) sum_g (u_g - mean u)^2), with u_g the gradient applied to
what cluster g adds to the sums (Efron 1982). For Cohen it is the formula of Fleiss, Cohen &
Everitt (1969, Psychol. Bull. 72:323) times G / (G - 1); for Fleiss that of Gwet (2021, Educ.
Psychol. Meas. 81:781). Bootstrap: clusters are drawn anew, percentiles of the draws (Efron 1979).

Cues of one case share a picture, so they are no independent draws: give the case as the cluster.
Where all agree neither interval has a width, which says nothing of the next case; the lower end
is then Clopper & Pearson's for po with every cluster in agreement.

Legend: I items; R people; K words; G clusters (an item each, where none are given); S sums.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

MISSING = -1
"""Stands where a person said nothing of an item."""
LEVEL = 0.95
"""Share of such intervals that are to hold the true value."""
NORMAL = 1.959964
"""97.5 % quantile of the standard normal distribution."""
RESAMPLES = 2000
CELLS = 4_000_000
"""Drawn counts held at a time, about 32 MB."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Coefficient:
    """A chance-corrected agreement with its intervals.

    `value` and all intervals are None where chance alone gives full agreement (only one word was
    ever used) or no item has two words; the intervals also where there is but one cluster.
    """

    value: float | None  # [-1, 1]
    observed: float | None  # po, [0, 1]
    expected: float | None  # pe, [0, 1]
    error: float | None  # standard error, analytic
    analytic: tuple[float, float] | None  # value +- 1.96 error, within [-1, 1]
    bootstrap: tuple[float, float] | None  # percentiles; None where no draws were asked for
    items: int  # with two words or more
    clusters: int


@dataclass(frozen=True)
class _Statistic:
    """What the items add to the sums, and po and pe with their gradients at given sums."""

    added_IS: Floats
    shares: Callable[[Floats], tuple[Floats, Floats]]
    """sums [..., S] -> po [...], pe [...]; NaN where undefined."""
    slopes: Callable[[Floats], tuple[Floats, Floats]]
    """sums [S] -> d po / d sums [S], d pe / d sums [S]."""


def counts(word_IR: NDArray[Any], words: int) -> Ints:
    """How many people said each word of each item, [I, K].

    Args:
        word_IR: word numbers 0 .. words - 1, MISSING where a person said nothing.
        words: K, at least 1.
    """
    word_IR = checked(word_IR, words)
    found_IK = np.zeros((len(word_IR), words), dtype=np.int64)
    for k in range(words):
        found_IK[:, k] = (word_IR == k).sum(axis=1)
    return found_IK


def checked(word_IR: NDArray[Any], words: int) -> Ints:
    """The table as int64 [I, R]; ConfigError for words out of range or of another kind."""
    table = np.asarray(word_IR)
    if table.ndim != 2 or not (np.issubdtype(table.dtype, np.integer) or table.size == 0):
        raise ConfigError("words come as whole numbers, one row per item")
    if words < 1 or (table.size and (table.min() < MISSING or table.max() >= words)):
        raise ConfigError(f"words are numbered 0 to {words - 1}, {MISSING} where there is none")
    return table.astype(np.int64)


def cohen(
    first_I: NDArray[Any],
    second_I: NDArray[Any],
    words: int,
    *,
    cluster_I: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Coefficient:
    """Cohen's kappa of two people; items that either left out do not count.

    Args:
        first_I, second_I: word numbers, MISSING where one said nothing.
        words: K, how many words there are.
        cluster_I: which items belong together; None: each stands alone.
        resamples: bootstrap draws; 0 leaves the bootstrap out.

    Raises ConfigError for words out of range or lengths that differ.
    """
    if len(first_I) != len(second_I):
        raise ConfigError(f"{len(first_I)} and {len(second_I)} words do not pair")
    word_IR = checked(np.stack([np.asarray(first_I), np.asarray(second_I)], axis=1), words)
    both_I = (word_IR != MISSING).all(axis=1)
    pair_IR = word_IR[both_I]
    first_IK, second_IK = (np.eye(words)[pair_IR[:, r]] for r in (0, 1))
    alike_I = pair_IR[:, 0] == pair_IR[:, 1]
    columns = [alike_I[:, None], first_IK, second_IK, np.ones((len(pair_IR), 1))]
    added_IS = np.concatenate(columns, axis=1).astype(np.float64)
    statistic = _Statistic(added_IS, _cohen_shares, _cohen_slopes)
    return _coefficient(statistic, _kept(cluster_I, both_I), resamples, seed)


def fleiss(
    count_IK: NDArray[Any],
    *,
    cluster_I: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Coefficient:
    """Fleiss' kappa; see `counts` for the table, `cohen` for the other arguments."""
    count_IK, shared_I = _shared(count_IK)
    said_I = count_IK.sum(axis=1)
    alike_I = (count_IK * (count_IK - 1)).sum(axis=1) / (said_I * (said_I - 1))
    columns = [alike_I[:, None], count_IK / said_I[:, None], np.ones((len(count_IK), 1))]
    statistic = _Statistic(np.concatenate(columns, axis=1), _fleiss_shares, _fleiss_slopes)
    return _coefficient(statistic, _kept(cluster_I, shared_I), resamples, seed)


def krippendorff(
    count_IK: NDArray[Any],
    *,
    cluster_I: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Coefficient:
    """Krippendorff's nominal alpha; see `counts` for the table, `cohen` for the arguments.

    Missing words are allowed for; items with fewer than two words do not count.
    """
    count_IK, shared_I = _shared(count_IK)
    said_I = count_IK.sum(axis=1)
    unlike_I = (said_I**2 - (count_IK**2).sum(axis=1)) / (said_I - 1)
    columns = [unlike_I[:, None], count_IK, said_I[:, None]]
    statistic = _Statistic(np.concatenate(columns, axis=1), _alpha_shares, _alpha_slopes)
    return _coefficient(statistic, _kept(cluster_I, shared_I), resamples, seed)


def _cohen_shares(sum_S: Floats) -> tuple[Floats, Floats]:
    """Sums: agreeing items, words of the first [K], of the second [K], items."""
    first_K, second_K = np.split(sum_S[..., 1:-1], 2, axis=-1)
    items = sum_S[..., -1]
    return _ratio(sum_S[..., 0], items), _ratio((first_K * second_K).sum(axis=-1), items**2)


def _cohen_slopes(sum_S: Floats) -> tuple[Floats, Floats]:
    items = sum_S[-1]
    first_K, second_K = np.split(sum_S[1:-1], 2)
    observed, expected = _cohen_shares(sum_S)
    d_observed, d_expected = np.zeros_like(sum_S), np.zeros_like(sum_S)
    d_observed[0], d_observed[-1] = 1 / items, -observed / items
    d_expected[1:-1] = np.concatenate([second_K, first_K]) / items**2
    d_expected[-1] = -2 * expected / items
    return d_observed, d_expected


def _fleiss_shares(sum_S: Floats) -> tuple[Floats, Floats]:
    """Sums: share of agreeing pairs, share of each word [K], items."""
    items = sum_S[..., -1]
    shares_K = _ratio(sum_S[..., 1:-1], items[..., None])
    return _ratio(sum_S[..., 0], items), (shares_K**2).sum(axis=-1)


def _fleiss_slopes(sum_S: Floats) -> tuple[Floats, Floats]:
    items = sum_S[-1]
    observed, expected = _fleiss_shares(sum_S)
    d_observed, d_expected = np.zeros_like(sum_S), np.zeros_like(sum_S)
    d_observed[0], d_observed[-1] = 1 / items, -observed / items
    d_expected[1:-1], d_expected[-1] = 2 * sum_S[1:-1] / items**2, -2 * expected / items
    return d_observed, d_expected


def _alpha_shares(sum_S: Floats) -> tuple[Floats, Floats]:
    """Sums: disagreeing pairs per word, words of each kind [K], words."""
    total = sum_S[..., -1]
    unlike = total**2 - (sum_S[..., 1:-1] ** 2).sum(axis=-1)
    return 1 - _ratio(sum_S[..., 0], total), 1 - _ratio(unlike, total * (total - 1))


def _alpha_slopes(sum_S: Floats) -> tuple[Floats, Floats]:
    total = sum_S[-1]
    pairs = total * (total - 1)
    unlike = total**2 - (sum_S[1:-1] ** 2).sum()
    d_observed, d_expected = np.zeros_like(sum_S), np.zeros_like(sum_S)
    d_observed[0], d_observed[-1] = -1 / total, sum_S[0] / total**2
    d_expected[1:-1] = 2 * sum_S[1:-1] / pairs
    d_expected[-1] = -(2 * total * pairs - unlike * (2 * total - 1)) / pairs**2
    return d_observed, d_expected


def _coefficient(
    statistic: _Statistic, cluster_I: NDArray[Any] | None, resamples: int, seed: int
) -> Coefficient:
    added_GS = _by_cluster(statistic.added_IS, cluster_I)
    items, clusters = len(statistic.added_IS), len(added_GS)
    if items == 0:
        return Coefficient(None, None, None, None, None, None, 0, 0)
    sum_S = added_GS.sum(axis=0)
    observed, expected = (float(share) for share in statistic.shares(sum_S))
    value = float(_beyond_chance(np.float64(observed), np.float64(expected)))
    if np.isnan(value):
        return Coefficient(None, observed, expected, None, None, None, items, clusters)
    if clusters < 2:
        return Coefficient(value, observed, expected, None, None, None, items, clusters)
    error = _error(statistic, added_GS, sum_S, observed, expected)
    floor = _all_alike_floor(observed, expected, clusters)
    analytic = _within(value - NORMAL * error, value + NORMAL * error, floor)
    drawn = _bootstrap(statistic, added_GS, resamples, seed) if resamples else None
    bootstrap = None if drawn is None else _within(*drawn, floor)
    return Coefficient(value, observed, expected, error, analytic, bootstrap, items, clusters)


def _beyond_chance(observed: Any, expected: Any) -> Any:
    """(po - pe) / (1 - pe); NaN where pe is 1."""
    room = 1 - expected
    return _ratio(observed - expected, np.where(room > 1e-12, room, 0.0))


def _error(
    statistic: _Statistic, added_GS: Floats, sum_S: Floats, observed: float, expected: float
) -> float:
    """Standard error by the infinitesimal jackknife over clusters."""
    d_observed, d_expected = statistic.slopes(sum_S)
    slope_S = d_observed / (1 - expected) - d_expected * (1 - observed) / (1 - expected) ** 2
    pull_G = added_GS @ slope_S
    groups = len(pull_G)
    return float(np.sqrt(groups / (groups - 1) * ((pull_G - pull_G.mean()) ** 2).sum()))


def _bootstrap(
    statistic: _Statistic, added_GS: Floats, resamples: int, seed: int
) -> tuple[float, float] | None:
    """Percentiles over draws of whole clusters; None where hardly a draw is defined.

    Clusters that add the same are drawn together, as one multinomial count: the same
    distribution at a cost that does not grow with their number.
    """
    kind_PS, many_P = np.unique(added_GS, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    block = max(1, CELLS // len(kind_PS))
    values = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn_BP = rng.multinomial(len(added_GS), many_P / many_P.sum(), size=size)
        values.append(_beyond_chance(*statistic.shares(drawn_BP @ kind_PS)))
    value_B = np.concatenate(values)
    value_B = value_B[~np.isnan(value_B)]
    if len(value_B) < resamples / 2:
        return None
    low, high = np.quantile(value_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _all_alike_floor(observed: float, expected: float, clusters: int) -> float | None:
    """Lower end of the interval where all agreed; None where they did not."""
    if observed < 1 - 1e-12:
        return None
    lowest = float(((1 - LEVEL) / 2) ** (1 / clusters))
    return (lowest - expected) / (1 - expected)


def _within(low: float, high: float, floor: float | None) -> tuple[float, float]:
    low = low if floor is None else min(low, floor)
    return max(-1.0, low), min(1.0, high)


def _by_cluster(added_IS: Floats, cluster_I: NDArray[Any] | None) -> Floats:
    if cluster_I is None:
        return added_IS
    found, place_I = np.unique(cluster_I, return_inverse=True)
    added_GS = np.zeros((len(found), added_IS.shape[1]))
    np.add.at(added_GS, place_I.ravel(), added_IS)
    return added_GS


def _kept(cluster_I: NDArray[Any] | None, kept_I: NDArray[np.bool_]) -> NDArray[Any] | None:
    if cluster_I is None:
        return None
    if len(cluster_I) != len(kept_I):
        raise ConfigError(f"{len(cluster_I)} clusters do not fit {len(kept_I)} items")
    return np.asarray(cluster_I)[kept_I]


def _shared(count_IK: NDArray[Any]) -> tuple[Ints, NDArray[np.bool_]]:
    """The items with two words or more, and which these are."""
    table = np.asarray(count_IK, dtype=np.int64)
    if table.ndim != 2 or (table < 0).any():
        raise ConfigError("a table of words holds one row per item and no negative counts")
    shared_I = table.sum(axis=1) >= 2
    return table[shared_I], shared_I


def _ratio(above: Any, below: Any) -> Any:
    """above / below; NaN where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.where(below != 0, above / np.where(below != 0, below, 1.0), np.nan)
