"""Tests: did the same cases fare differently, do groups differ, and how many were looked at.

    McNemar     of the cases that changed, b got worse and c got better; if nothing changed for
                better or worse, c is binomial(b + c, 1/2). Exact, two-sided, never below the truth
                (McNemar 1947, Psychometrika 12:153)
    Sign flips  the same where cases come in clusters: the net change of each cluster is as likely
                to be its opposite; |sum| against drawn signs (Fisher 1935, The Design of
                Experiments)
    Fisher      hits among one group of cases against all others (Fisher 1935)
    Holm        the k-th smallest of m p-values times m - k + 1, made monotone: the chance of any
                false alarm among all stays below the level (Holm 1979, Scand. J. Stat. 6:65)
    BH          the k-th smallest times m / k, made monotone from above: the expected share of false
                alarms among the alarms stays below the level (Benjamini & Hochberg 1995,
                J. R. Stat. Soc. B 57:289)
    Deal        groups are dealt out anew, within strata, and the spread of the group means
                sum_g n_g (m_g - m)^2 is compared: p = (1 + draws at least as far) / (1 + draws)
                (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39)

Legend: M tests; I cases; G groups.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from core.errors import ConfigError

DEALS = 2000
"""Permutations of a test of groups; the smallest p is 1 / 2001."""


def mcnemar(worse: int, better: int) -> float:
    """Exact two-sided p that as many cases get better as get worse, in (0, 1].

    Args:
        worse, better: cases that changed, >= 0. Without any the p is 1.
    """
    if worse < 0 or better < 0:
        raise ConfigError("counts of changed cases are not negative")
    if worse + better == 0:
        return 1.0
    tail = float(stats.binom.cdf(min(worse, better), worse + better, 0.5))
    return min(1.0, 2.0 * tail)


def flip_signs(net_G: NDArray[Any], *, deals: int = DEALS, seed: int = 0) -> float:
    """Two-sided p that the net changes of independent clusters centre on 0, in (0, 1].

    Args:
        net_G: of each cluster, cases that got better less cases that got worse.
        deals: drawn signs.
        seed: of the signs.
    """
    net: NDArray[np.float64] = np.asarray(net_G, dtype=np.float64)
    net = net[net != 0]
    if not len(net):
        return 1.0
    signs = np.random.default_rng(seed).integers(0, 2, size=(deals, len(net))) * 2 - 1
    further = int((np.abs(signs @ net) >= abs(net.sum()) - 1e-9).sum())
    return (1 + further) / (1 + deals)


def fisher(hits: int, n: int, other_hits: int, other_n: int) -> float | None:
    """Two-sided p that two shares are the same; None where one side has no case."""
    if not (0 <= hits <= n and 0 <= other_hits <= other_n):
        raise ConfigError(f"{hits} of {n} and {other_hits} of {other_n} are no shares")
    if n == 0 or other_n == 0:
        return None
    table = [[hits, n - hits], [other_hits, other_n - other_hits]]
    return float(stats.fisher_exact(table)[1])


def holm(p_M: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: compare each with the level as it is."""
    count = len(p_M)
    adjusted, highest = [0.0] * count, 0.0
    for rank, at in enumerate(np.argsort(_checked(p_M), kind="stable").tolist()):
        highest = max(highest, min(1.0, (count - rank) * p_M[at]))
        adjusted[at] = highest
    return adjusted


def benjamini_hochberg(p_M: Sequence[float]) -> list[float]:
    """Adjusted p-values (q-values) in the order given: compare each with the level as it is."""
    count = len(p_M)
    adjusted, lowest = [0.0] * count, 1.0
    order = np.argsort(_checked(p_M), kind="stable").tolist()
    for rank in range(count - 1, -1, -1):
        lowest = min(lowest, count / (rank + 1) * p_M[order[rank]])
        adjusted[order[rank]] = lowest
    return adjusted


def groups_differ(
    value_I: NDArray[Any],
    group_I: NDArray[Any],
    stratum_I: NDArray[Any] | None = None,
    *,
    deals: int = DEALS,
    seed: int = 0,
) -> float | None:
    """p that the group means of `value_I` differ only by chance; None with fewer than two groups.

    Args:
        value_I: a number per case, such as 1 for a right decision.
        group_I: the group of each case, any values that can be compared for equality.
        stratum_I: deal groups out within these only, such as the label, so that a different mix of
            strata in the groups is no difference. The spread is then taken within strata as well.
        deals: permutations.
        seed: of the permutations.
    """
    value = np.asarray(value_I, dtype=np.float64)
    groups, group = np.unique(group_I, return_inverse=True)
    if len(groups) < 2:
        return None
    stratum = np.zeros(len(value), np.int64)
    if stratum_I is not None:
        stratum = np.unique(stratum_I, return_inverse=True)[1].ravel()
    cell_I = stratum * len(groups) + group.ravel()
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    centred = value.copy()
    for rows in parts:
        centred[rows] -= value[rows].mean()
    seen = _spread(centred, cell_I)
    further = 0
    for _ in range(deals):
        dealt = centred.copy()
        for rows in parts:
            dealt[rows] = centred[rng.permutation(rows)]
        further += _spread(dealt, cell_I) >= seen - 1e-9
    return (1 + further) / (1 + deals)


def _spread(centred_I: NDArray[np.float64], cell_I: NDArray[np.int64]) -> float:
    """sum over cells of (sum of the centred values)^2 / cases."""
    size = np.bincount(cell_I)
    total = np.bincount(cell_I, weights=centred_I)
    return float((total[size > 0] ** 2 / size[size > 0]).sum())


def _checked(p_M: Sequence[float]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.asarray(p_M, dtype=np.float64)
    if len(values) and not ((values >= 0) & (values <= 1)).all():
        raise ConfigError("p-values lie in [0, 1]")
    return values
