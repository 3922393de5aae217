"""Erase what a rejected cue does to the codes.

Balancing spends cases: where 95 % of a label show the cue, the few without it carry half the
weight. Erasing spends directions instead. For every rejected cue the mean code of the cases with it
minus the mean code of those without it, within labels, is what the cue does to a whole image,
wherever it lies; the head may not depend on it (LEACE, Belrose et al. 2023, arXiv 2306.03819: for a
linear head, equal means are all that is needed to be blind to a concept on average). Within labels,
so that the label's own signs are not erased with it:

    v_r = sum_c h_c (mean(z | c, r) - mean(z | c, no r)) / sum_c h_c,   h_c = n n' / (n + n')

h_c is the weight with the least variance. On phantoms this loses fewer ordinary cases than
balancing, and both together do best (docs/decisions/0030).

Shape legend: I cases; N concepts; C classes; R rejected cues.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from core.errors import FeedbackError
from core.heads import Float64Array, Pooled
from core.strategies.columns import orthonormal
from core.strategies.cues import cue_presence, learn_cues
from core.strategies.data import FitData, Outcome
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.groups import balance, group_table, judging, why_no_marks
from core.strategies.protocol import Report, silent


@dataclass(frozen=True)
class Erase:
    """A head that cannot see what the rejected cues do to a whole image."""

    name: str = "erase"
    title: str = "Erase what was marked"
    line: str = (
        "Finds what was marked as spurious in all cases, measures what it does to the concepts, "
        "and fits a head that cannot see it."
    )
    paper: str = "LEACE: Belrose et al. 2023 (2306.03819); mean difference within labels"
    balanced: bool = False

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        return why_no_marks(data)

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        learnt, found_IR = cue_presence(data, learn_cues(data, report), report)
        report(0.6, "erasing what the rejected cues change")
        direction_VN = cue_directions(data, found_IR)
        even_I, balanced_I = even_weights(data), balance(data, found_IR)
        weight_I = balanced_I if self.balanced else even_I
        judge_I = judging(data, found_IR, balanced_I)
        head = fit_plan(data, Plan(weight_I, erase_VN=direction_VN, judge_I=judge_I))
        groups = group_table(data, found_IR, weight_I)
        details = {"erased_directions": len(direction_VN)}
        return Outcome(
            self.name, head, weight_I, groups, learnt.cues, found_IR, learnt.notes, details=details
        )


def cue_directions(data: FitData, found_IR: NDArray[np.bool_]) -> Float64Array:
    """Orthonormal directions [V, N] that span what the cues do to the codes, V <= R.

    Raises FeedbackError where no label has cases both with and without some cue.
    """
    fit_I = ~data.held_I
    codes_IN = csr_array(data.pooled_IN)[np.flatnonzero(fit_I)]
    labels = np.asarray(data.labels_I, dtype=np.int64)[fit_I]
    found = [within_labels(codes_IN, labels, shown_I) for shown_I in found_IR[fit_I].T]
    known = [row for row in found if row is not None]
    if not known:
        raise FeedbackError(
            "no label has cases with and without what was marked: there is nothing to compare. "
            "Add cases without it, or choose another strategy"
        )
    return orthonormal(np.stack(known))


def within_labels(
    codes_IN: Pooled, labels_I: NDArray[np.int64], shown_I: NDArray[np.bool_]
) -> Float64Array | None:
    """v of the module's formula, float64 [N]; None where no label has both kinds of cases."""
    total, mass = np.zeros(codes_IN.shape[1]), 0.0
    for label in np.unique(labels_I):
        up = np.flatnonzero((labels_I == label) & shown_I)
        down = np.flatnonzero((labels_I == label) & ~shown_I)
        if len(up) and len(down):
            weight = len(up) * len(down) / (len(up) + len(down))
            gap = np.asarray(codes_IN[up].mean(axis=0) - codes_IN[down].mean(axis=0))
            total += weight * gap.ravel()
            mass += weight
    return total / mass if mass else None


BALANCED = Erase(
    name="groups+erase",
    title="Balance and erase what was marked",
    line=(
        "Weighs the cases so that what was marked tells nothing about the label, and fits a head "
        "that cannot see what it does to the concepts."
    ),
    paper="Zubizarreta 2015 (JASA 110:910); LEACE: Belrose et al. 2023 (2306.03819)",
    balanced=True,
)
