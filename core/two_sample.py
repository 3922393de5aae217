"""Do two samples of sparse codes come from one distribution, all columns at once?

Two statistics, because each is blind where the other sees well:

energy         E = 2 mean |x - y| - mean |x - x'| - mean |y - y'|, >= 0 and 0 only for equal
               distributions (Szekely & Rizzo 2004, "Testing for equal distributions in high
               dimension", InterStat 5; a maximum mean discrepancy with the distance as kernel,
               Sejdinovic et al. 2013, Ann. Stat. 41:2263). Sees any kind of difference, weakly
               where many columns move a little
discriminant   a' H a, H = K (K + ridge)^-1 the hat matrix of a ridge classifier of the two samples
               on the centred codes, K = X X', a = 1/n and -1/m (regularised Hotelling T^2;
               Harchaoui, Bach & Moulines 2007, "Testing for homogeneity with kernel Fisher
               discriminant analysis", NIPS). A classifier two-sample test (Lopez-Paz & Oquab, ICLR
               2017) in closed form. Sees small shifts of the means in many columns, knows
               correlations

Both are compared with the groups dealt out anew; the smaller p of the two is compared with the
smaller p of each deal (Pesarin & Salmaso 2010, "Permutation Tests for Complex Data"), so the p of
the whole is exact for any sample. Within strata both are sums over strata, dealt out within.

How far the samples can be told apart is the AUC of that classifier on rows left out one at a time
(exact by the hat matrix).

Legend: I rows, R of them in one stratum; N columns; B deals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.stats import rankdata

from core.errors import ConfigError

Float64Array = NDArray[np.float64]
AT_ONCE = 128  # deals at a time
FLOOR = 0.3
RIDGE = 1.0
"""Of the mean of K's diagonal: .1 to 10 lose little power, smaller ones follow noise."""


@dataclass(frozen=True, eq=False)
class TwoSample:
    """What the comparison found.

    p            of both statistics together, (0, 1]
    energy       E of the scaled codes, >= 0
    energy_p     of that statistic alone
    discriminant_p    of the other alone
    told_apart   AUC of the classifier on rows left out, [0, 1]; 0.5: no better than chance
    witness_I    its score per row, larger: more like the group; NaN in strata that say nothing
    """

    p: float
    energy: float
    energy_p: float
    discriminant_p: float
    told_apart: float
    witness_I: Float64Array


def two_sample(
    values_IN: Any,
    group_I: NDArray[Any],
    stratum_I: NDArray[Any] | None = None,
    *,
    deals: int = 999,
    seed: int = 0,
) -> TwoSample:
    """Compare the rows of a group with all other rows. Needs R x R doubles a few times.

    Args:
        values_IN: csr or dense; columns on comparable scales (see `scaled`).
        group_I: bool [I].
        stratum_I: rows are compared only within equal ones; a stratum without two rows on each
            side says nothing and is left out.
        deals: permutations.
        seed: of the permutations.

    Raises ConfigError where no stratum has two rows on each side.
    """
    values = csr_array(values_IN)
    group = np.asarray(group_I, dtype=bool)
    parts = [rows for rows in _parts(stratum_I, len(group)) if _both(group[rows])]
    if not parts:
        raise ConfigError("nothing to compare: no stratum has two rows on each side")
    total = sum(len(rows) for rows in parts)
    rng = np.random.default_rng(seed)
    seen_2, dealt_2B = np.zeros(2), np.zeros((2, deals))
    witness_I, told_apart = np.full(len(group), np.nan), 0.0
    for rows in parts:
        block, share = _Block.of(values[rows], group[rows]), len(rows) / total
        seen_2 += share * block.statistics(block.side_R[:, None])[:, 0]
        dealt_2B += share * block.dealt(rng, deals)
        witness_I[rows] = block.left_out()
        told_apart += share * auc(witness_I[rows], group[rows])
    p_2, p = _together(seen_2, dealt_2B)
    return TwoSample(
        p=p,
        energy=max(float(seen_2[0]), 0.0),
        energy_p=float(p_2[0]),
        discriminant_p=float(p_2[1]),
        told_apart=told_apart,
        witness_I=witness_I,
    )


def scaled(values_IN: Any) -> csr_array:
    """Columns divided by their spread plus FLOOR times the mean spread, so that each counts.

    Without the floor a concept that fires in one image of a thousand would count as much as one
    that fires everywhere.
    """
    values = csr_array(values_IN, dtype=np.float64)
    mean_N = np.asarray(values.mean(axis=0)).ravel()
    square_N = np.asarray(values.power(2).mean(axis=0)).ravel()
    spread_N = np.sqrt(np.maximum(square_N - mean_N**2, 0.0))
    alive = spread_N > 0
    if not alive.any():
        return values
    factor_N = 1.0 / (spread_N + FLOOR * float(spread_N[alive].mean()))
    scaled_IN = values.copy()
    scaled_IN.data = values.data * factor_N[values.indices]
    return scaled_IN


def auc(score_I: NDArray[Any], group_I: NDArray[Any]) -> float:
    """P(a row of the group scores higher than another) + ties / 2, [0, 1]."""
    group = np.asarray(group_I, dtype=bool)
    own, other = int(group.sum()), int((~group).sum())
    rank_I = rankdata(score_I)
    return float((rank_I[group].sum() - own * (own + 1) / 2.0) / (own * other))


@dataclass(frozen=True, eq=False)
class _Block:
    """One stratum: both statistics are quadratic in the sides."""

    distance_RR: Float64Array
    hat_RR: Float64Array
    side_R: Float64Array  # 1 / n for the group, -1 / m for the others

    @classmethod
    def of(cls, values: csr_array, group: NDArray[np.bool_]) -> "_Block":
        product_RR = np.asarray((values @ values.T).toarray(), dtype=np.float64)
        square_R = product_RR.diagonal()
        distance_RR = np.sqrt(np.maximum(square_R[:, None] + square_R - 2.0 * product_RR, 0.0))
        np.fill_diagonal(distance_RR, 0.0)
        own = int(group.sum())
        side_R = np.where(group, 1.0 / own, -1.0 / (len(group) - own))
        return cls(distance_RR, _hat(product_RR), side_R)

    def statistics(self, side_RB: Float64Array) -> Float64Array:
        """Energy and discriminant of several sides [2, B]."""
        energy_B = -(side_RB * (self.distance_RR @ side_RB)).sum(axis=0)
        told_B = (side_RB * (self.hat_RR @ side_RB)).sum(axis=0)
        return np.stack([energy_B, told_B])

    def dealt(self, rng: np.random.Generator, deals: int) -> Float64Array:
        """The same of sides dealt out anew [2, B]."""
        found = []
        for start in range(0, deals, AT_ONCE):
            count = min(AT_ONCE, deals - start)
            side_RB = rng.permuted(np.tile(self.side_R[:, None], (1, count)), axis=0)
            found.append(self.statistics(side_RB))
        return np.concatenate(found, axis=1)

    def left_out(self) -> Float64Array:
        """Score of each row by the classifier fitted on all others [R].

        (H y - h y) / (1 - h), h the diagonal of H, for the targets y less their mean: exact for
        ridge regression on the codes centred over all rows. With an intercept of its own a row that
        is left out would move it towards the other side, and samples that are alike would seem
        told apart the wrong way round.
        """
        target_R = np.where(self.side_R > 0, 1.0, 0.0)
        target_R -= target_R.mean()
        own_R = self.hat_RR.diagonal()
        return np.asarray((self.hat_RR @ target_R - own_R * target_R) / np.maximum(1 - own_R, 1e-9))


def _hat(product_RR: Float64Array) -> Float64Array:
    """K (K + ridge)^-1 of the centred rows; zeros where all rows are alike."""
    mean_R = product_RR.mean(axis=0)
    centred_RR = product_RR - mean_R[:, None] - mean_R[None, :] + mean_R.mean()
    ridge = RIDGE * float(np.trace(centred_RR)) / len(centred_RR)
    if ridge <= 1e-12:
        return np.zeros_like(centred_RR)
    factor = cho_factor(centred_RR + ridge * np.eye(len(centred_RR)), lower=True)
    hat_RR = cho_solve(factor, centred_RR)
    return np.asarray((hat_RR + hat_RR.T) / 2.0)


def _together(seen_2: Float64Array, dealt_2B: Float64Array) -> tuple[Float64Array, float]:
    """p of each statistic, and p of the smaller of them among the smaller ones of all deals."""
    every_2B = np.concatenate([seen_2[:, None], dealt_2B], axis=1)
    # Of equal values each counts as at least as far as the other; rounding must not split them.
    every_2B = np.round(
        every_2B / np.maximum(np.abs(every_2B).max(axis=1, keepdims=True), 1e-300), 9
    )
    p_2B = rankdata(-every_2B, method="max", axis=1) / every_2B.shape[1]
    least_B = p_2B.min(axis=0)
    return p_2B[:, 0], float((least_B <= least_B[0]).mean())


def _both(group: NDArray[np.bool_]) -> bool:
    return 2 <= int(group.sum()) <= len(group) - 2


def _parts(stratum_I: NDArray[Any] | None, count: int) -> list[NDArray[np.int64]]:
    if stratum_I is None:
        return [np.arange(count)]
    stratum = np.unique(stratum_I, return_inverse=True)[1].ravel()
    return [np.flatnonzero(stratum == s) for s in range(int(stratum.max()) + 1)]
