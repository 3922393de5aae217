"""Bootstrap of figures that are functions of sums over cases: stratified, in clusters, paired.

A figure is a function f of sums over the cases (hits, counts, gaps per bin, ...). A draw takes
clusters of cases anew within each stratum, m - 1 of m, each counting m / (m - 1) times: the
variance is then right in small strata too (Rao & Wu 1988, J. Am. Stat. Assoc. 83:231; drawing m
of m is too narrow by (m - 1) / m). All figures, and both versions, share the same draws, so a
difference between two figures of a draw is a paired one (Efron 1979, Ann. Stat. 7:1).

A case is its own cluster where none are given. Images of one patient, plate or scene are no
independent draws: give what they share as the cluster. A stratum with one cluster alone would
never vary; such strata are put together.

Legend: I cases; G clusters; S sums; B draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.intervals import LEVEL, Estimate

RESAMPLES = 2000
CELLS = 4_000_000
"""Drawn weights held at a time, about 32 MB."""

BUDGET, FEWEST = 40_000_000, 400
"""Drawn cases in all, and the fewest draws however many cases there are."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Statistic:
    """A figure: what every case adds to its sums, and its value at given sums.

    added_IS  float64, S columns
    of        sums [..., S] -> values [...]; NaN where undefined
    """

    added_IS: Floats
    of: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure and its draws; NaN where undefined."""

    value: float
    draw_B: Floats = field(repr=False)

    def minus(self, other: "Drawn") -> "Drawn":
        """The paired difference: draw by draw."""
        return Drawn(self.value - other.value, self.draw_B - other.draw_B)

    def estimate(
        self, low: float = -np.inf, high: float = np.inf, *, pivotal: bool = False
    ) -> Estimate:
        """Value and percentile interval (within [low, high], around the value).

        No value where the figure is undefined. No interval where fewer than half the draws are
        defined, none were made, or all are alike: a width of nothing would claim certainty.

        Args:
            pivotal: mirror the draws about the value (2 value - draw; Davison & Hinkley 1997, 5.2).
                Right for a figure that reads too high with few cases, such as a calibration error:
                its draws read higher still, by about as much as it does itself.
        """
        if np.isnan(self.value):
            return Estimate(None)
        known_B = self.draw_B[~np.isnan(self.draw_B)]
        if not len(known_B) or len(known_B) < len(self.draw_B) / 2:
            return Estimate(self.value)
        ends = np.quantile(known_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        if pivotal:
            ends = 2 * self.value - ends[::-1]
        if ends[1] - ends[0] < 1e-12:
            return Estimate(self.value)
        at_least = max(low, min(float(ends[0]), self.value))
        return Estimate(self.value, at_least, min(high, max(float(ends[1]), self.value)))

    def p_zero(self) -> float | None:
        """Two-sided p of a difference of 0: twice the smaller share of draws on the other side.

        (1 + draws) / (1 + B), so never 0 (Davison & Hinkley 1997, Bootstrap Methods, 4.2); None
        without a value or draws.
        """
        known_B = self.draw_B[~np.isnan(self.draw_B)]
        if np.isnan(self.value) or not len(known_B):
            return None
        side = min(int((known_B <= 1e-12).sum()), int((known_B >= -1e-12).sum()))
        return min(1.0, 2.0 * (1 + side) / (1 + len(known_B)))


def draws_for(cases: int) -> int:
    """How many draws to make: 2000 up to 20,000 cases, then fewer, at least 400.

    With many cases the interval is narrow, and its ends need not be known to a hair.
    """
    return max(FEWEST, min(RESAMPLES, BUDGET // max(cases, 1)))


def bootstrap(
    statistics: Mapping[str, Statistic],
    *,
    stratum_I: NDArray[Any] | None = None,
    cluster_I: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    cells: int = CELLS,
) -> dict[str, Drawn]:
    """Every figure with its draws, all from the same draws of cases.

    Args:
        statistics: figures of the same I cases, I >= 1.
        stratum_I: strata whose sizes stay as they are, such as the groups; None: one.
        cluster_I: cases that are drawn together; None: each alone. A cluster is drawn in the
            stratum that most of its cases are in.
        resamples: B; 0 gives the values alone.
        seed: of the draws.
        cells: drawn weights held at a time; bounds the memory.

    Raises ConfigError where lengths differ or there is no case.
    """
    if not statistics:
        return {}
    cases = {len(each.added_IS) for each in statistics.values()}
    if len(cases) != 1 or 0 in cases:
        raise ConfigError("figures are drawn over the same cases, at least one")
    count = cases.pop()
    cluster = _numbered(cluster_I, np.arange(count), count)
    stratum = _numbered(stratum_I, np.zeros(count, np.int64), count)
    added_IS = np.concatenate([each.added_IS for each in statistics.values()], axis=1)
    added_GS = np.zeros((int(cluster.max()) + 1, added_IS.shape[1]))
    np.add.at(added_GS, cluster, added_IS)
    sums_BS = _draw(added_GS, _of_clusters(stratum, cluster), resamples, seed, cells)
    whole_S = added_IS.sum(axis=0)
    found, start = {}, 0
    for name, each in statistics.items():
        part = slice(start, start + each.added_IS.shape[1])
        start = part.stop
        found[name] = Drawn(float(each.of(whole_S[part])), each.of(sums_BS[:, part]))
    return found


def _draw(added_GS: Floats, stratum_G: Ints, resamples: int, seed: int, cells: int) -> Floats:
    """Sums of every draw, [B, S]."""
    rng = np.random.default_rng(seed)
    sums_BS = np.zeros((resamples, added_GS.shape[1]))
    for number in range(int(stratum_G.max()) + 1):
        rows = np.flatnonzero(stratum_G == number)
        size = len(rows)
        if size == 1:
            sums_BS += added_GS[rows[0]]
            continue
        block = max(1, cells // size)
        for start in range(0, resamples, block):
            many = min(block, resamples - start)
            chosen = rng.integers(size, size=(many, size - 1))
            place = (np.arange(many)[:, None] * size + chosen).ravel()
            count_BG = np.bincount(place, minlength=many * size).reshape(many, size)
            sums_BS[start : start + many] += count_BG @ added_GS[rows] * (size / (size - 1))
    return sums_BS


def _of_clusters(stratum_I: Ints, cluster_I: Ints) -> Ints:
    """The stratum that most cases of each cluster are in; strata of one cluster put together."""
    table = np.zeros((int(cluster_I.max()) + 1, int(stratum_I.max()) + 1), np.int64)
    np.add.at(table, (cluster_I, stratum_I), 1)
    stratum_G = table.argmax(axis=1)
    alone = np.bincount(stratum_G, minlength=table.shape[1])[stratum_G] == 1
    stratum_G[alone] = table.shape[1]
    if alone.sum() == 1 and not alone.all():  # still alone: join the largest stratum
        stratum_G[alone] = np.bincount(stratum_G[~alone]).argmax()
    return np.asarray(np.unique(stratum_G, return_inverse=True)[1].ravel(), dtype=np.int64)


def _numbered(key_I: NDArray[Any] | None, default_I: Ints, count: int) -> Ints:
    if key_I is None:
        return default_I
    if len(key_I) != count:
        raise ConfigError(f"{len(key_I)} keys do not fit {count} cases")
    return np.asarray(np.unique(np.asarray(key_I), return_inverse=True)[1].ravel(), dtype=np.int64)
