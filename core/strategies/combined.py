"""Strategies that need each other: balanced weights with copies, and with columns taken out.

Shape legend: I cases; V directions.
"""

from dataclasses import dataclass, replace

import numpy as np

from core.strategies.columns import Columns, column_plan, orthonormal
from core.strategies.counterfactual import Counterfactual, make_copies
from core.strategies.cues import cue_presence, learn_cues
from core.strategies.data import FitData, Outcome
from core.strategies.directions import cue_directions
from core.strategies.fitting import Plan, fit_plan
from core.strategies.groups import balance, group_table, judging, why_no_marks
from core.strategies.protocol import Report, silent


@dataclass(frozen=True)
class GroupsCounterfactual:
    """Balanced weights, on originals and copies."""

    name: str = "groups+counterfactual"
    title: str = "Balance, fill and paste"
    line: str = (
        "Balances the cases for what was marked, and also learns from cases with it taken out and "
        "laid over others."
    )
    paper: str = "Zubizarreta 2015 (JASA 110:910); SPIRE: Plumb et al. 2022 (2106.02112)"

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        return why_no_marks(data) or Counterfactual().why_not(data)

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        learnt, found_IR = cue_presence(data, learn_cues(data, report), report)
        weight_I = balance(data, found_IR)
        copies, details = make_copies(data, learnt.cues, weight_I, report)
        judge_I = judging(data, found_IR, weight_I)
        head = fit_plan(data, Plan(weight_I, copies=copies, judge_I=judge_I))
        groups = group_table(data, found_IR, weight_I)
        return Outcome(
            self.name, head, weight_I, groups, learnt.cues, found_IR, learnt.notes, details=details
        )


@dataclass(frozen=True)
class EraseColumns:
    """Rejected columns and rejected cues, both taken out."""

    name: str = "erase+columns"
    title: str = "Take out columns and what was marked"
    line: str = "Fits a head that can see neither the rejected columns nor what was marked."
    paper: str = "LEACE: Belrose et al. 2023 (2306.03819)"

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        return why_no_marks(data) or Columns().why_not(data)

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        learnt, found_IR = cue_presence(data, learn_cues(data, report), report)
        plan, notes, details = column_plan(data)
        assert plan.erase_VN is not None
        both = np.concatenate((plan.erase_VN, cue_directions(data, found_IR)))
        plan = replace(plan, erase_VN=orthonormal(both))
        head = fit_plan(data, plan)
        groups = group_table(data, found_IR, plan.weight_I)
        return Outcome(
            self.name, head, plan.weight_I, groups, learnt.cues, found_IR,
            (*learnt.notes, *notes), details=details,
        )  # fmt: skip
