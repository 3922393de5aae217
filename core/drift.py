"""Do new images fire other concepts than those that a model knows?

Two tests on the pooled codes of reference and new images, together at one level:

concepts   each concept by its ranks (core.rank_shift), Benjamini-Hochberg over all (1995, J. R.
           Stat. Soc. B 57:289). The smallest adjusted p is a test of "nothing differs" by itself
           (Simes 1986, Biometrika 73:751). Few concepts that change much are found here, by name
whole      energy distance and a ridge classifier of the two samples, on the scaled codes, by
           permutation (core.two_sample). Many concepts that change a little are found here

p = min(1, 2 min(smallest q, p of the whole)) is the p of the check (Bonferroni over the two), so
the chance of an alert where nothing differs stays below `level`. With many images every
difference is significant: an alert also needs a difference that is large enough to matter.
That univariate tests with a correction hold their own beside multivariate ones on shifts of image
data is measured by Rabanser, Guennemann & Lipton 2019, "Failing loudly" (NeurIPS), who also compare
the model's decisions; `decisions_shift` does that.

Images that belong together (of one patient, plate or scene) are no independent witnesses: with
clusters their mean codes are compared, one unit per cluster and side.

Compared within strata (images of the same label, or with the same decision) each concept is tested
in every stratum and over all of them together, and its p is the smallest of these S + 1 times their
number: a shortcut that goes with another class in the new images changes in opposite directions,
which a sum over strata cannot see.

Legend: I images; U units (images, or clusters of them); N concepts; S strata.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.rank_shift import RankShift, rank_shift
from core.significance import benjamini_hochberg
from core.two_sample import TwoSample, scaled, two_sample

Float64Array = NDArray[np.float64]
POWER = 0.8


@dataclass(frozen=True)
class DriftConfig:
    """How a check is made.

    level         chance of an alert where nothing differs, at most
    least_effect  |superiority - 1/2| of a concept that is worth an alert: .05 is a concept that
                  fires in ten more images of a hundred, .5 one that separates the two
    least_told    how far a classifier must tell the samples apart (AUC on images left out) for an
                  alert by the whole alone
    least_units   units that each side needs
    rows          units of each side, at most, that the whole is compared on (drawn; memory grows
                  with its square)
    deals         permutations
    seed          of draws and permutations
    """

    level: float = 0.05
    least_effect: float = 0.05
    least_told: float = 0.6
    least_units: int = 20
    rows: int = 1000
    deals: int = 999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level <= 0.5:
            raise ConfigError(f"the level of the alert must lie in (0, 0.5], not {self.level}")
        if not 0 <= self.least_effect <= 0.5:
            raise ConfigError(f"the least effect must lie in [0, 0.5], not {self.least_effect}")
        if self.least_units < 2 or self.rows < self.least_units or self.deals < 19:
            raise ConfigError("at least 2 units, as many rows, and 19 deals")


@dataclass(frozen=True, eq=False)
class Drift:
    """What a check found; concepts by number [N].

    p             of the whole check, [0, 1]
    alert         p is below the level and something differs by enough to matter
    alerts        concepts with q below the level and enough effect, largest effect first; empty
                  without an alert
    superiority_N P(a new image fires stronger than a reference one) + ties / 2, [0, 1], in the
                  stratum of `stratum_N`
    p_N, q_N      before and after Benjamini-Hochberg over the concepts that fire at all; 1 for
                  the others
    stratum_N     index into `strata` of where the concept differs most clearly; -1: over all
    fires_N       units in which it fires
    strata        values of the strata that have enough units on both sides, in rising order
    tested        concepts that fire at all
    whole         all concepts at once
    detectable    |superiority - 1/2| of one concept found in POWER of checks of this size
    unlike_I      per image: score of a classifier that has not seen its unit, larger is more like
                  the new images; NaN for images whose unit was not drawn
    units         reference, new
    """

    p: float
    alert: bool
    alerts: tuple[int, ...]
    superiority_N: Float64Array
    p_N: Float64Array
    q_N: Float64Array
    stratum_N: NDArray[np.int64]
    fires_N: NDArray[np.int64]
    strata: tuple[Any, ...]
    tested: int
    whole: TwoSample
    detectable: float
    unlike_I: Float64Array
    units: tuple[int, int]


def detect(
    codes_IN: Any,
    new_I: NDArray[Any],
    *,
    stratum_I: NDArray[Any] | None = None,
    cluster_I: NDArray[Any] | None = None,
    config: DriftConfig | None = None,
) -> Drift:
    """Compare new images with the reference.

    Args:
        codes_IN: pooled codes of both, csr or dense, >= 0.
        new_I: bool [I], True for the new ones.
        stratum_I: compare only among images alike in this (label, decision).
        cluster_I: which images belong together, any values.

    Raises ConfigError where lengths do not fit or a side has too few units.
    """
    settings = config or DriftConfig()
    new = np.asarray(new_I, dtype=bool)
    codes = csr_array(codes_IN)
    if len(new) != codes.shape[0]:
        raise ConfigError(f"{len(new)} marks of new images do not fit {codes.shape[0]} images")
    unit_I, first_U = _units(new, stratum_I, cluster_I)
    new_U = new[first_U]
    stratum_U = None if stratum_I is None else np.asarray(stratum_I)[first_U]
    _refuse_few(new_U, settings.least_units)
    codes_UN = codes if len(first_U) == len(new) else _means(codes, unit_I, len(first_U))
    shift, stratum_N, strata = _clearest(codes_UN, new_U, stratum_U, settings.least_units)
    fires = shift.fires > 0
    q_N = np.ones(len(fires))
    q_N[fires] = benjamini_hochberg(shift.p[fires].tolist())
    drawn = _drawn(new_U, settings)
    whole = two_sample(
        scaled(codes_UN[drawn]), new_U[drawn], None if stratum_U is None else stratum_U[drawn],
        deals=settings.deals, seed=settings.seed,
    )  # fmt: skip
    p = min(1.0, 2.0 * min(float(q_N.min(initial=1.0)), whole.p))
    alerts = _alerts(shift, q_N, settings) if p < settings.level else ()
    apart = 2.0 * whole.p < settings.level and whole.told_apart >= settings.least_told
    unlike_U = np.full(len(first_U), np.nan)
    unlike_U[drawn] = whole.witness_I
    tested = int(fires.sum())
    return Drift(
        p=p,
        alert=p < settings.level and bool(alerts or apart),
        alerts=alerts,
        superiority_N=shift.superiority,
        p_N=shift.p,
        q_N=q_N,
        stratum_N=stratum_N,
        fires_N=shift.fires,
        strata=strata,
        tested=tested,
        whole=whole,
        detectable=detectable(int((~new_U).sum()), int(new_U.sum()), tested, settings.level),
        unlike_I=unlike_U[unit_I],
        units=(int((~new_U).sum()), int(new_U.sum())),
    )


def detectable(reference: int, new: int, tests: int, level: float = 0.05) -> float:
    """|superiority - 1/2| that one test of `tests` finds with probability POWER, [0, 1/2].

    Noether 1987, "Sample size determination for some common nonparametric tests" (J. Am. Stat.
    Assoc. 82:645), with the level of the strictest step of Benjamini-Hochberg at half the level of
    the check. Ties only make smaller differences visible, so this is a bound for sparse codes.
    """
    strict = level / 2 / max(tests, 1) / 2
    both = float(stats.norm.isf(strict) + stats.norm.ppf(POWER))
    return min(0.5, both * float(np.sqrt((reference + new + 1) / (12.0 * reference * new))))


def decisions_shift(
    decision_I: NDArray[Any], new_I: NDArray[Any], *, deals: int = 1999, seed: int = 0
) -> float:
    """p that new and reference images get the same decisions in the same shares, (0, 1].

    Chi-square of the table of decisions by side, against dealing the sides out anew (exact for any
    counts). Lipton, Wang & Smola 2018, "Detecting and correcting for label shift with black box
    predictors" (ICML).
    """
    new = np.asarray(new_I, dtype=bool)
    if not 0 < new.sum() < len(new):
        raise ConfigError("both the new images and the reference need at least one")
    kinds, decision = np.unique(decision_I, return_inverse=True)
    size_C = np.bincount(decision.ravel(), minlength=len(kinds)).astype(np.float64)
    own = int(new.sum())
    expected_C = size_C * own / len(new)

    def far(count_XC: NDArray[Any]) -> Any:
        return ((count_XC - expected_C) ** 2 / expected_C).sum(axis=-1)

    seen = far(np.bincount(decision.ravel()[new], minlength=len(kinds)))
    # Given the sizes, dealing out the sides draws the new ones without replacement.
    rng = np.random.default_rng(seed)
    dealt_BC = rng.multivariate_hypergeometric(size_C.astype(np.int64), own, size=deals)
    return float((1 + (far(dealt_BC) >= seen - 1e-9).sum()) / (1 + deals))


def _clearest(
    codes_UN: csr_array, new_U: NDArray[np.bool_], stratum_U: NDArray[Any] | None, least: int
) -> tuple[RankShift, NDArray[np.int64], tuple[Any, ...]]:
    """Each concept where it differs most clearly, p times the number of comparisons."""
    whole = rank_shift(codes_UN, new_U, stratum_U)
    over_all = np.full(len(whole.p), -1)
    if stratum_U is None:
        return whole, over_all, ()
    strata = [
        value
        for value in np.unique(stratum_U)
        if least <= new_U[stratum_U == value].sum() <= (stratum_U == value).sum() - least
    ]
    if len(strata) == 0:
        return whole, over_all, ()
    parts = [whole]
    for value in strata:
        rows = np.flatnonzero(stratum_U == value)
        parts.append(rank_shift(codes_UN[rows], new_U[rows]))
    p_SN = np.stack([part.p for part in parts])
    best_N = p_SN.argmin(axis=0)
    at = (best_N, np.arange(len(best_N)))
    superiority_SN = np.stack([part.superiority for part in parts])
    p_N = np.minimum(p_SN[at] * len(parts), 1.0)
    return RankShift(superiority_SN[at], p_N, whole.fires), best_N - 1, tuple(strata)


def _units(
    new: NDArray[np.bool_], stratum_I: NDArray[Any] | None, cluster_I: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unit of each image, and the first image of each unit; units never mix sides or strata."""
    if cluster_I is None:
        return np.arange(len(new)), np.arange(len(new))
    if len(cluster_I) != len(new):
        raise ConfigError(f"{len(cluster_I)} clusters do not fit {len(new)} images")
    cluster = np.unique(cluster_I, return_inverse=True)[1].ravel()
    key = cluster.astype(np.int64) * 2 + new
    if stratum_I is not None:
        stratum = np.unique(stratum_I, return_inverse=True)[1].ravel()
        key = key * (int(stratum.max()) + 1) + stratum
    _, first_U, unit_I = np.unique(key, return_index=True, return_inverse=True)
    return unit_I.ravel().astype(np.int64), first_U.astype(np.int64)


def _means(codes: csr_array, unit_I: NDArray[np.int64], units: int) -> csr_array:
    """Mean codes of the images of each unit [U, N]."""
    size_U = np.bincount(unit_I, minlength=units)
    share_I = 1.0 / size_U[unit_I]
    gather = csr_array((share_I, (unit_I, np.arange(len(unit_I)))), shape=(units, len(unit_I)))
    return csr_array(gather @ codes)


def _refuse_few(new_U: NDArray[np.bool_], least: int) -> None:
    for what, count in (("new", int(new_U.sum())), ("reference", int((~new_U).sum()))):
        if count < least:
            raise ConfigError(
                f"only {count} {what} images (or clusters of them): at least {least} are needed"
            )


def _drawn(new_U: NDArray[np.bool_], settings: DriftConfig) -> NDArray[np.int64]:
    """Units that the whole is compared on, ascending."""
    rng = np.random.default_rng(settings.seed)
    sides = [rng.permutation(np.flatnonzero(new_U == side))[: settings.rows] for side in (0, 1)]
    return np.asarray(np.sort(np.concatenate(sides)))


def _alerts(shift: RankShift, q_N: Float64Array, settings: DriftConfig) -> tuple[int, ...]:
    effect_N = np.abs(shift.superiority - 0.5)
    found = np.flatnonzero((q_N < settings.level) & (effect_N >= settings.least_effect))
    return tuple(int(n) for n in found[np.argsort(-effect_N[found], kind="stable")])
