"""How one version fares in the groups that a column of the data makes.

For each group: accuracy with Wilson's interval, the mean over labels of the accuracy within (which
a different mix of labels does not move), calibration error, over-confidence (mean confidence less
accuracy; an ECE of few cases reads high, this does not), and the share of the contributions that
lies on rejected concepts. Whether a group's accuracy differs from that of all other cases is tested
by Fisher's exact test, adjusted over the groups (Holm); whether the groups differ at all by dealing
them out anew within labels (core.significance).

Where cases come in clusters, intervals and tests are drawn over these instead.

Legend: I cases; C classes; G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.decided import Decided, ece_of, mean_of, ratio, share_of
from core.errors import ConfigError
from core.evaluation import MIN_GROUP
from core.intervals import Estimate, wilson
from core.resampling import Ints, Statistic, bootstrap
from core.significance import fisher, groups_differ, holm

RESAMPLES = 1000
ALPHA = 0.05


@dataclass(frozen=True)
class GroupFigures:
    """One group; shares in [0, 1], over-confidence in [-1, 1]."""

    name: str
    n: int
    accuracy: Estimate
    balanced: float | None  # mean over the labels that occur of the accuracy within
    ece: Estimate
    overconfidence: Estimate
    reliance: Estimate  # no value where nothing was rejected
    p: float | None  # accuracy against all other cases
    p_adjusted: float | None  # Holm, over the groups that are not small
    small: bool

    @property
    def differs(self) -> bool:
        """Its accuracy differs from that of all other cases by more than chance would."""
        return self.p_adjusted is not None and self.p_adjusted < ALPHA


@dataclass(frozen=True)
class GroupTable:
    """All groups of one column."""

    rows: tuple[GroupFigures, ...]  # lowest accuracy first, small ones last
    overall: GroupFigures
    p: float | None  # the groups differ only by chance
    spread: float | None  # highest - lowest accuracy of groups that are not small


def by_group(
    decided: Decided,
    labels_I: NDArray[Any],
    groups: Sequence[str],
    *,
    cluster_I: NDArray[Any] | None = None,
    within_labels: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
    min_n: int = MIN_GROUP,
) -> GroupTable:
    """The figures of every group.

    Args:
        decided: decisions on I cases, I >= 1.
        labels_I: true classes.
        groups: a name per case.
        cluster_I: cases that belong together; None: each alone.
        within_labels: deal groups out within labels; False where the labels are the groups.
        resamples: bootstrap draws per group.
        seed: of the draws and deals.
        min_n: smaller groups have no p-value and do not count for the spread.

    Raises ConfigError where lengths differ or there is no case.
    """
    labels: Ints = np.asarray(labels_I, dtype=np.int64)
    if not len(labels) or len(groups) != len(labels) or len(decided.probs_IC) != len(labels):
        raise ConfigError(f"{len(groups)} groups do not fit {len(labels)} cases")
    keys, place = np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)
    place_I: Ints = np.asarray(place.ravel(), dtype=np.int64)
    right_I = decided.chosen_I == labels
    found = _Cases(decided, labels, right_I, cluster_I, resamples, seed)
    sizes = np.bincount(place_I, minlength=len(keys))
    p_G = {
        g: found.against_rest(place_I == g)
        for g in range(len(keys))
        if sizes[g] >= min_n and sizes[g] < len(labels)
    }
    tested = [g for g, p in p_G.items() if p is not None]
    adjusted = dict(zip(tested, holm([p_G[g] or 0.0 for g in tested]), strict=True))
    rows = [
        found.figures(
            str(keys[g]), place_I == g, p_G.get(g), adjusted.get(g), small=bool(sizes[g] < min_n)
        )
        for g in range(len(keys))
    ]
    rows.sort(key=lambda row: (row.small, row.accuracy.value or 0.0, row.name))
    counted = [row.accuracy.value or 0.0 for row in rows if not row.small]
    everything = np.ones(len(labels), np.bool_)
    return GroupTable(
        rows=tuple(rows),
        overall=found.figures("all", everything, None, None, small=len(labels) < min_n),
        p=found.any_difference(place_I, sizes[place_I] >= min_n, within_labels=within_labels),
        spread=max(counted) - min(counted) if len(counted) > 1 else None,
    )


def accuracies(
    decided: Decided,
    labels_I: NDArray[Any],
    groups: Sequence[str],
    *,
    cluster_I: NDArray[Any] | None = None,
    within_labels: bool = True,
    seed: int = 0,
    min_n: int = MIN_GROUP,
) -> tuple[dict[str, float], float | None]:
    """Accuracy of every group of at least `min_n` cases, and p that these differ by chance.

    The short form of `by_group`, for passing over many columns. `within_labels` deals groups out
    within labels; leave it out where the labels are the groups.
    """
    labels: Ints = np.asarray(labels_I, dtype=np.int64)
    keys, place = np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)
    place_I: Ints = np.asarray(place.ravel(), dtype=np.int64)
    right_I = decided.chosen_I == labels
    sizes = np.bincount(place_I, minlength=len(keys))
    found = _Cases(decided, labels, right_I, cluster_I, 0, seed)
    shares = {
        str(keys[g]): float(right_I[place_I == g].mean())
        for g in range(len(keys))
        if sizes[g] >= min_n
    }
    counted_I = sizes[place_I] >= min_n
    if len(shares) < 2:
        return shares, None
    return shares, found.any_difference(place_I, counted_I, within_labels=within_labels)


@dataclass(frozen=True, eq=False)
class _Cases:
    """The cases that groups are cut from."""

    decided: Decided
    labels_I: Ints
    right_I: NDArray[np.bool_]
    cluster_I: NDArray[Any] | None
    resamples: int
    seed: int

    def figures(
        self, name: str, inside_I: NDArray[np.bool_], p: float | None, adjusted: float | None, *,
        small: bool,
    ) -> GroupFigures:  # fmt: skip
        """The figures of some cases, at least one."""
        right, n = self.right_I[inside_I], int(inside_I.sum())
        part = Decided(self.decided.probs_IC[inside_I])
        statistics = {
            "accuracy": mean_of(right),
            "ece": ece_of(part, right),
            "overconfidence": mean_of(part.confidence_I - right),
        }
        if self.decided.mass_I is not None and self.decided.rejected_I is not None:
            statistics["reliance"] = share_of(
                self.decided.rejected_I[inside_I], self.decided.mass_I[inside_I]
            )
        drawn = bootstrap(
            statistics, cluster_I=self._clusters(inside_I), resamples=self.resamples, seed=self.seed
        )
        accuracy = wilson(int(right.sum()), n)
        if self.cluster_I is not None:
            over = drawn["accuracy"].estimate(0.0, 1.0)
            low, high = (over.low, over.high) if over.low is not None else (1.0, 0.0)
            accuracy = Estimate(
                accuracy.value, min(accuracy.low or 0.0, low or 0.0),
                max(accuracy.high or 0.0, high or 0.0),
            )  # fmt: skip
        reliance = drawn["reliance"].estimate(0.0, 1.0) if "reliance" in drawn else Estimate(None)
        return GroupFigures(
            name, n, accuracy, self._balanced(inside_I),
            drawn["ece"].estimate(0.0, 1.0, pivotal=True),
            drawn["overconfidence"].estimate(-1.0, 1.0), reliance, p, adjusted, small,
        )  # fmt: skip

    def against_rest(self, inside_I: NDArray[np.bool_]) -> float | None:
        """p that these cases are decided as well as all others."""
        hits, others = int(self.right_I[inside_I].sum()), int(self.right_I[~inside_I].sum())
        if self.cluster_I is None:
            return fisher(hits, int(inside_I.sum()), others, int((~inside_I).sum()))
        added_IS = np.stack(
            [self.right_I & inside_I, inside_I, self.right_I & ~inside_I, ~inside_I], axis=1
        ).astype(np.float64)
        apart = Statistic(
            added_IS, lambda s: ratio(s[..., 0], s[..., 1]) - ratio(s[..., 2], s[..., 3])
        )
        drawn = bootstrap(
            {"apart": apart}, stratum_I=inside_I, cluster_I=self.cluster_I,
            resamples=self.resamples, seed=self.seed,
        )  # fmt: skip
        return drawn["apart"].p_zero()

    def any_difference(
        self, place_I: Ints, counted_I: NDArray[np.bool_], *, within_labels: bool
    ) -> float | None:
        """p that the groups which count differ only by chance."""
        if self.cluster_I is None:
            strata_I = self.labels_I[counted_I] if within_labels else None
            return groups_differ(
                self.right_I[counted_I], place_I[counted_I], strata_I, seed=self.seed
            )
        # Whole clusters are dealt: each counts by its mean, in the group of its first case.
        _, first, at = np.unique(
            np.asarray(self.cluster_I)[counted_I], return_index=True, return_inverse=True
        )
        size = np.bincount(at.ravel())
        mean_G = np.bincount(at.ravel(), weights=self.right_I[counted_I]) / size
        return groups_differ(mean_G, place_I[counted_I][first], seed=self.seed)

    def _balanced(self, inside_I: NDArray[np.bool_]) -> float:
        labels, right = self.labels_I[inside_I], self.right_I[inside_I]
        return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))

    def _clusters(self, inside_I: NDArray[np.bool_]) -> NDArray[Any] | None:
        return None if self.cluster_I is None else np.asarray(self.cluster_I)[inside_I]
