"""One version against another on the same held-out cases: what became better, what worse.

Both versions decide the same cases, so everything is paired: figures are drawn from the same
bootstrap draws (core.resampling), decisions are compared case by case (core.significance).

- A figure's difference comes with a percentile interval of the paired draws and, for the accuracy,
  the exact test of McNemar; for the others twice the smaller share of draws beyond 0. Where cases
  come in clusters McNemar would take copies for cases: signs of whole clusters are flipped instead.
- The accuracy itself has a Wilson interval; its difference is never given less width than that of
  Bonett and Price, for no change among ten cases does not prove that nothing changes.
- Parts (classes, groups) have Wilson and Bonett-Price intervals, which hold with few cases, and
  p-values adjusted over the parts of a table (Holm): of twenty groups one may look changed by
  chance.
- Groups of fewer than MIN_GROUP cases are listed and do not count for the worst and the average.

Legend: I cases; C classes; G groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core import decided as made
from core.decided import Decided
from core.errors import ConfigError
from core.evaluation import MIN_GROUP
from core.intervals import Estimate, paired_difference, wilson
from core.resampling import RESAMPLES, Drawn, Ints, Statistic, bootstrap
from core.significance import flip_signs, holm, mcnemar

FlipKind = Literal["mended", "broken", "moved"]
Said = Literal["better", "worse", "no clear change", ""]
ALPHA = 0.05
HIGHER_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True, "worst_group": True, "average_group": True, "shortcut_gap": False,
    "spurious_share": False, "spurious_mass": False, "ece": False, "brier": False,
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure of both versions; shares in [0, 1], the Brier score in [0, 2]."""

    key: str
    before: Estimate
    after: Estimate
    difference: Estimate  # after - before
    p: float | None  # two-sided

    @property
    def said(self) -> Said:
        """What the interval of the difference says."""
        return said(self.difference, HIGHER_IS_BETTER.get(self.key, True))


@dataclass(frozen=True)
class Part:
    """Accuracy of one class or group under both versions."""

    name: str
    n: int
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float  # McNemar, alone
    p_adjusted: float  # Holm, over the table
    counted: bool  # enough cases for the worst and the average group

    @property
    def said(self) -> Said:
        """What the adjusted p-value says."""
        change = self.difference.value
        if change is None:
            return ""
        if self.p_adjusted >= ALPHA:
            return "no clear change"
        return "better" if change > 0 else "worse"


@dataclass(frozen=True)
class Flip:
    """A case that is decided differently."""

    row: int
    before: int  # class index
    after: int
    before_confidence: float
    after_confidence: float
    kind: FlipKind


@dataclass(frozen=True)
class Judgement:
    """Everything said of two versions on one set of cases."""

    n: int
    figures: tuple[Figure, ...]
    classes: tuple[Part, ...]
    groups: tuple[Part, ...]
    mended: int  # wrong -> right
    broken: int  # right -> wrong
    moved: int  # wrong -> wrong otherwise
    p: float | None  # that as many cases are mended as broken, two-sided
    flips: tuple[Flip, ...]  # broken, mended, moved; surest first
    resamples: int

    def figure(self, key: str) -> Figure | None:
        """The figure of that key, where there is one."""
        return next((each for each in self.figures if each.key == key), None)


def said(difference: Estimate, higher_is_better: bool) -> Said:
    """better or worse where the whole interval lies on one side of 0."""
    if difference.value is None or difference.low is None or difference.high is None:
        return ""
    if difference.low <= 0 <= difference.high:
        return "no clear change"
    return "better" if (difference.low > 0) == higher_is_better else "worse"


def judge(
    before: Decided,
    after: Decided,
    labels_I: NDArray[Any],
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    side_I: NDArray[np.int8] | None = None,
    cluster_I: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    min_n: int = MIN_GROUP,
) -> Judgement:
    """Compare two versions on the same cases.

    Args:
        before, after: decisions, classes in the order of `classes`.
        labels_I: true classes, integers into `classes`.
        groups: a name per case; None: each label is its own group.
        side_I: where the shortcut helps (+1) and misleads (-1); see core.decided.sides.
        cluster_I: cases that belong together (patient, plate); None: each alone.
        resamples: bootstrap draws; 0 gives values without their intervals.
        seed: of the draws.
        min_n: smaller groups do not count for the worst and the average.

    Raises ConfigError where shapes do not fit or there is no case.
    """
    labels = _checked(before, after, labels_I, classes)
    names = [classes[k] for k in labels] if groups is None else [str(g) for g in groups]
    if len(names) != len(labels):
        raise ConfigError(f"{len(names)} groups do not fit {len(labels)} cases")
    keys, group_I = np.unique(np.asarray(names), return_inverse=True)
    was_I, is_I = before.chosen_I == labels, after.chosen_I == labels
    parts = _parts([str(key) for key in keys], group_I.ravel(), was_I, is_I, min_n)
    counted = [g for g, key in enumerate(keys) if (group_I == g).sum() >= min_n]
    statistics = {
        f"{side}.{key}": statistic
        for side, each in (("before", before), ("after", after))
        for key, statistic in _statistics(each, labels, group_I, counted, side_I, min_n).items()
    }
    drawn = bootstrap(
        statistics, stratum_I=group_I, cluster_I=cluster_I, resamples=resamples, seed=seed
    )
    p = _p(was_I, is_I, cluster_I, seed)
    return Judgement(
        n=len(labels),
        figures=_figures(drawn, was_I, is_I, p, parts, clustered=cluster_I is not None),
        classes=_parts(classes, labels, was_I, is_I, min_n),
        groups=parts,
        mended=int((~was_I & is_I).sum()),
        broken=int((was_I & ~is_I).sum()),
        moved=int((~was_I & ~is_I & (before.chosen_I != after.chosen_I)).sum()),
        p=p,
        flips=flips(before, after, labels),
        resamples=resamples,
    )


def flips(before: Decided, after: Decided, labels_I: Ints) -> tuple[Flip, ...]:
    """Cases that are decided differently: broken, then mended, then moved; surest first."""
    was_I, is_I = before.chosen_I, after.chosen_I
    sure_before_I, sure_after_I = before.confidence_I, after.confidence_I
    found = []
    for row in np.flatnonzero(was_I != is_I).tolist():
        label = int(labels_I[row])
        kind: FlipKind = "moved"
        if was_I[row] == label:
            kind = "broken"
        elif is_I[row] == label:
            kind = "mended"
        found.append(
            Flip(
                row, int(was_I[row]), int(is_I[row]), float(sure_before_I[row]),
                float(sure_after_I[row]), kind,
            )
        )  # fmt: skip
    order = {"broken": 0, "mended": 1, "moved": 2}
    return tuple(sorted(found, key=lambda f: (order[f.kind], -f.after_confidence, f.row)))


def _checked(
    before: Decided, after: Decided, labels_I: NDArray[Any], classes: Sequence[str]
) -> Ints:
    labels: Ints = np.asarray(labels_I, dtype=np.int64)
    for each in (before, after):
        if each.probs_IC.shape != (len(labels), len(classes)):
            raise ConfigError(
                f"decisions {each.probs_IC.shape} do not fit {len(labels)} labels of "
                f"{len(classes)} classes"
            )
    if not len(labels):
        raise ConfigError("there is no case to compare two versions on")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ConfigError("a label lies outside the list of classes")
    return labels


def _statistics(
    each: Decided, labels_I: Ints, group_I: Ints, counted: Sequence[int],
    side_I: NDArray[np.int8] | None, min_n: int,
) -> dict[str, Statistic]:  # fmt: skip
    """The figures of one version, in the order in which they are shown."""
    right_I = each.chosen_I == labels_I
    found = {"accuracy": made.mean_of(right_I)}
    if counted:
        found["worst_group"] = made.over_groups(right_I, group_I, counted, made.lowest)
        found["average_group"] = made.over_groups(right_I, group_I, counted, made.average)
    if side_I is not None:
        gap = made.gap_of(right_I, labels_I, side_I, min_n)
        if gap is not None:
            found["shortcut_gap"] = gap
    if each.mass_I is not None and each.rejected_I is not None:
        found["spurious_share"] = made.share_of(each.rejected_I, each.mass_I)
    found["ece"] = made.ece_of(each, right_I)
    found["brier"] = made.brier_of(each, labels_I)
    return found


def _figures(
    drawn: Mapping[str, Drawn], was_I: NDArray[np.bool_], is_I: NDArray[np.bool_],
    p: float | None, parts: Sequence[Part], *, clustered: bool,
) -> tuple[Figure, ...]:  # fmt: skip
    found = []
    for key in HIGHER_IS_BETTER:
        before, after = drawn.get(f"before.{key}"), drawn.get(f"after.{key}")
        if before is None or after is None:
            continue
        top, pivotal = (2.0 if key == "brier" else 1.0), key == "ece"
        difference = after.minus(before)
        figure = Figure(
            key, before.estimate(0.0, top, pivotal=pivotal),
            after.estimate(0.0, top, pivotal=pivotal), difference.estimate(-top, top),
            difference.p_zero(),
        )  # fmt: skip
        if key == "accuracy":
            figure = _accuracy(figure, was_I, is_I, p, clustered=clustered)
        elif key == "worst_group":
            figure = _worst(figure, parts)
        found.append(figure)
    return tuple(found)


def _worst(figure: Figure, parts: Sequence[Part]) -> Figure:
    """Intervals where all draws are alike, such as with no error in any group.

    Of the worst groups the smallest gives its own: it could have hidden the most.
    """
    counted = sorted((part for part in parts if part.counted), key=lambda part: part.n)

    def widened(whole: Estimate, each: Callable[[Part], Estimate]) -> Estimate:
        same = [each(part) for part in counted if each(part).value == whole.value]
        return whole if whole.low is not None or not same else same[0]

    return Figure(
        figure.key,
        widened(figure.before, lambda part: part.before),
        widened(figure.after, lambda part: part.after),
        widened(figure.difference, lambda part: part.difference),
        figure.p,
    )


def _accuracy(
    figure: Figure, was_I: NDArray[np.bool_], is_I: NDArray[np.bool_], p: float | None,
    *, clustered: bool,
) -> Figure:  # fmt: skip
    """Intervals that keep a width where all draws are alike; and the exact test."""
    plain = _difference(was_I, is_I)
    before, after = wilson(int(was_I.sum()), len(was_I)), wilson(int(is_I.sum()), len(is_I))
    if clustered:  # copies of a case tell nothing new: never narrower than over clusters
        before, after = _wider(before, figure.before), _wider(after, figure.after)
    return Figure(figure.key, before, after, _wider(figure.difference, plain), p)


def _wider(one: Estimate, other: Estimate) -> Estimate:
    """The first value with an interval that holds both intervals."""
    lows = [each.low for each in (one, other) if each.low is not None]
    highs = [each.high for each in (one, other) if each.high is not None]
    return Estimate(one.value, min(lows, default=None), max(highs, default=None))


def _difference(was_I: NDArray[np.bool_], is_I: NDArray[np.bool_]) -> Estimate:
    return paired_difference(int((was_I & ~is_I).sum()), int((~was_I & is_I).sum()), len(was_I))


def _p(
    was_I: NDArray[np.bool_], is_I: NDArray[np.bool_], cluster_I: NDArray[Any] | None, seed: int
) -> float | None:
    if cluster_I is None:
        return mcnemar(int((was_I & ~is_I).sum()), int((~was_I & is_I).sum()))
    place = np.unique(np.asarray(cluster_I), return_inverse=True)[1].ravel()
    net_G = np.bincount(place, weights=is_I.astype(np.float64) - was_I)
    return flip_signs(net_G, seed=seed)


def _parts(
    names: Sequence[str], part_I: Ints, was_I: NDArray[np.bool_], is_I: NDArray[np.bool_],
    min_n: int,
) -> tuple[Part, ...]:  # fmt: skip
    """A row per part that has a case: the largest loss first."""
    rows = [(name, part_I == k) for k, name in enumerate(names) if (part_I == k).any()]
    p_M = [
        mcnemar(int((was_I & ~is_I & inside).sum()), int((~was_I & is_I & inside).sum()))
        for _, inside in rows
    ]
    found = [
        Part(
            name, int(inside.sum()), wilson(int(was_I[inside].sum()), int(inside.sum())),
            wilson(int(is_I[inside].sum()), int(inside.sum())),
            _difference(was_I[inside], is_I[inside]), p, adjusted, bool(inside.sum() >= min_n),
        )
        for (name, inside), p, adjusted in zip(rows, p_M, holm(p_M), strict=True)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda part: (part.difference.value or 0.0, part.name)))
