"""Groups from detectors: cases are weighed, or drawn, so that no rejected cue tells the label.

Shape legend: I cases; R rejected cues; G groups.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.case_weights import balanced_weights, case_groups
from core.heads import Float64Array
from core.strategies.cues import cue_presence, learn_cues
from core.strategies.data import FitData, GroupRow, Outcome
from core.strategies.fitting import Plan, averaged, even_weights, fit_plan
from core.strategies.protocol import Report, silent

DRAWS = 10
"""Balanced subsets that are averaged, as in DFR."""
LEAST = 8
"""Cases drawn of a group where the smallest one is smaller; all of a group that has fewer."""


def why_no_marks(data: FitData) -> str | None:
    """Why there are no detectors to learn, or None."""
    if data.tokens_of is None:
        return "the dense tokens of the cases are not at hand"
    if data.cues is None and not any(
        m.verdict == "spurious" and m.region_P.any() for m in data.marks
    ):
        return "no cue has been marked as spurious yet"
    return None


@dataclass(frozen=True)
class Groups:
    """Weights under which label and rejected cues are independent."""

    name: str = "groups"
    title: str = "Balance what was marked"
    line: str = (
        "Learns to recognise what was marked as spurious, finds it in all cases, and weighs the "
        "cases so that it tells nothing about the label."
    )
    paper: str = (
        "Stable balancing weights (Zubizarreta 2015, JASA 110:910) on groups inferred as in JTT "
        "(Liu et al. 2021, arXiv 2107.09044), here from marked regions"
    )

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        return why_no_marks(data)

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        learnt, found_IR = cue_presence(data, learn_cues(data, report), report)
        report(0.7, "fitting the head on balanced groups")
        weight_I = balance(data, found_IR)
        head = fit_plan(data, Plan(weight_I, judge_I=judging(data, found_IR, weight_I)))
        groups = group_table(data, found_IR, weight_I)
        return Outcome(self.name, head, weight_I, groups, learnt.cues, found_IR, learnt.notes)


@dataclass(frozen=True)
class Subsets:
    """Heads on balanced subsets, averaged."""

    name: str = "subsets"
    title: str = "Average over balanced subsets"
    line: str = (
        "Finds what was marked as spurious in all cases, fits heads on subsets that hold as many "
        "cases with it as without it for every label, and averages them."
    )
    paper: str = "DFR: Kirichenko et al. 2023, Last layer re-training is sufficient (2204.02937)"

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        return why_no_marks(data)

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        learnt, found_IR = cue_presence(data, learn_cues(data, report), report)
        draws = subset_weights(data, found_IR)
        judge_I = judging(data, found_IR, balance(data, found_IR))
        heads = []
        for number, weight_I in enumerate(draws):
            report(0.5 + 0.5 * number / len(draws), "fitting heads on balanced subsets")
            heads.append(fit_plan(data, Plan(weight_I, judge_I=judge_I)))
        weight_I = even_weights(data, np.mean(draws, axis=0))
        groups = group_table(data, found_IR, weight_I)
        return Outcome(
            self.name, averaged(heads), weight_I, groups, learnt.cues, found_IR, learnt.notes
        )


def balance(data: FitData, found_IR: NDArray[np.bool_]) -> Float64Array:
    """Balanced weights, mean 1 over the cases to fit on, 0 on the others."""
    fit_I = ~data.held_I
    weight_I = np.zeros(len(fit_I))
    weight_I[fit_I] = balanced_weights(np.asarray(data.labels_I)[fit_I], found_IR[fit_I])
    return weight_I


def judging(data: FitData, found_IR: NDArray[np.bool_], weight_I: Float64Array) -> Float64Array:
    """The weights of the fit, and balanced ones on held-out cases: for penalty and temperature."""
    judge_I, held_I = weight_I.copy(), data.held_I
    if held_I.any():
        judge_I[held_I] = balanced_weights(np.asarray(data.labels_I)[held_I], found_IR[held_I])
    return judge_I


def subset_weights(data: FitData, found_IR: NDArray[np.bool_]) -> list[Float64Array]:
    """DRAWS weightings, each 1 on a subset with as many cases of every group of a label.

    From every group as many cases are drawn without replacement as its label's smallest group has
    (at least LEAST, where a group has them), so that one odd case does not shrink the subset to
    nothing; then labels and groups are weighed even.
    """
    fit = np.flatnonzero(~data.held_I)
    labels = np.asarray(data.labels_I)[fit]
    rows, group_I, size_G = case_groups(labels, found_IR[fit])
    draws = []
    for number in range(DRAWS):
        rng = np.random.default_rng((data.seed, number))
        weight_I = np.zeros(len(data.held_I))
        for label in np.unique(labels):
            own = np.flatnonzero(rows[:, 0] == label)
            count = max(int(size_G[own].min()), LEAST)
            for g in own:
                drawn = rng.permutation(fit[group_I == g])[:count]
                weight_I[drawn] = 1.0 / (len(own) * len(drawn))
        draws.append(even_weights(data, weight_I))
    return draws


def group_table(
    data: FitData, found_IR: NDArray[np.bool_], weight_I: Float64Array
) -> tuple[GroupRow, ...]:
    """Sizes and shares of weight of the groups (label, presence of every cue)."""
    fit_I = ~data.held_I
    labels = np.asarray(data.labels_I, dtype=np.int64)[fit_I]
    rows, group_I, size_G = case_groups(labels, found_IR[fit_I])
    mass_G = np.bincount(group_I, weights=weight_I[fit_I], minlength=len(rows))
    return tuple(
        GroupRow(
            data.classes[int(row[0])],
            tuple(bool(x) for x in row[1:]),
            int(n),
            float(mass / max(mass_G.sum(), 1e-12)),
        )
        for row, n, mass in zip(rows, size_G, mass_G, strict=True)
    )
