"""Metadata columns that people reject as a whole: a camera's exposure, a scanner, a site.

A global cue has no region, and where it gives the label away hardly any case is left that breaks
the bond: weighing the cases cannot work with five of them. But a column is known for all images,
labelled or not. So what it does to the codes is measured where labels play no part, and taken out:

1. mean codes of every level, over all development images (`FitData.around`); their differences
   span at most L - 1 directions, which the head may not depend on (LEACE, Belrose et al. 2023,
   arXiv 2306.03819, and INLP, Ravfogel et al. 2020, arXiv 2004.07667, erase such directions; sites
   are harmonised by their means in ComBat, Johnson et al. 2007, Biostatistics 8:118);
2. concepts weigh by their spread within levels: prior 1 / (s_n + SOFT mean s);
3. the penalty is chosen from a wider grid, as erased codes are weaker.

The head stays one linear head on raw codes, and no column is needed to predict.

Shape legend: I labelled cases; J cases around; N concepts; L levels; V directions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from core.case_weights import balanced_weights
from core.errors import FeedbackError
from core.heads import Float64Array
from core.strategies.column_values import UNKNOWN, Levels, levels_of
from core.strategies.data import FitData, GroupRow, Notice, Outcome
from core.strategies.fitting import Plan, even_weights, fit_plan
from core.strategies.protocol import Report, silent

LEAST = 0.5
"""Probability above which a column counts as rejected."""
MIN_LEVEL = 5
"""Cases that a level needs for its mean to count."""
SOFT = 0.3
"""Share of the mean spread that is added to each concept's spread."""
GRID = (1.0, 10.0, 100.0, 1000.0)
CONFOUNDED, ONE = 0.5, 0.95
"""Cramer's V of label and column among the labelled cases: above the first a notice is given where
there is nothing around to learn from; from the second on the column is taken for the label."""


@dataclass(frozen=True, eq=False)
class Erased:
    """What a column does to the codes: directions [V, N] and the spread within levels [N]."""

    direction_VN: Float64Array
    spread_N: Float64Array
    levels: int
    cases: int


@dataclass(frozen=True)
class Columns:
    """Erases the effect of rejected columns."""

    name: str = "columns"
    title: str = "Take a column out"
    line: str = (
        "Measures on all images what a rejected column (exposure, scanner, site) does to the "
        "concepts, and fits a head that cannot see it."
    )
    paper: str = (
        "LEACE (Belrose et al. 2023, 2306.03819); INLP (Ravfogel et al. 2020, 2004.07667); ComBat "
        "(Johnson et al. 2007)"
    )

    def why_not(self, data: FitData) -> str | None:
        """See Strategy.why_not."""
        if not rejected_columns(data):
            return "no metadata column has been rejected"
        return None

    def fit(self, data: FitData, report: Report = silent) -> Outcome:
        """See Strategy.fit."""
        report(0.1, "measuring what the rejected columns change")
        plan, notes, details = column_plan(data)
        report(0.4, "fitting a head that cannot see them")
        head = fit_plan(data, plan)
        groups = column_groups(data, plan.weight_I)
        return Outcome(self.name, head, plan.weight_I, groups=groups, notes=notes, details=details)


def rejected_columns(data: FitData) -> tuple[str, ...]:
    """Columns that count as rejected, in the order of their names."""
    return tuple(sorted(name for name, p in data.rejected_columns.items() if p > LEAST))


def column_plan(data: FitData) -> tuple[Plan, tuple[Notice, ...], dict[str, Any]]:
    """The fit that cannot see the rejected columns, notices, and figures of what was erased.

    Raises FeedbackError where no rejected column has two levels with MIN_LEVEL cases.
    """
    notes: list[Notice] = []
    parts: dict[str, Erased] = {}
    for name in rejected_columns(data):
        erased = _measured(data, name, notes)
        if erased is not None:
            parts[name] = erased
    if not parts:
        raise FeedbackError(" ".join(f"{note.text} {note.advice}" for note in notes))
    stacked = np.concatenate([part.direction_VN for part in parts.values()])
    spread_N = np.min([part.spread_N for part in parts.values()], axis=0)
    weight_I = even_weights(data)
    plan = Plan(
        weight_I, erase_VN=orthonormal(stacked), prior_N=spread_prior(spread_N), grid=GRID,
        cautious=False, judge_I=_judging(data, tuple(parts)), stratum_I=_strata(data, tuple(parts)),
    )  # fmt: skip
    details = {
        "columns": [
            {"column": name, "levels": part.levels, "directions": len(part.direction_VN),
             "cases": part.cases}
            for name, part in parts.items()
        ]
    }  # fmt: skip
    return plan, tuple(notes), details


def erase(codes_JN: csr_array, levels: Levels) -> Erased | None:
    """Directions between the mean codes of the levels and the spread within them.

    Levels with fewer than MIN_LEVEL cases do not count; None where fewer than two are left.
    """
    numbers, sizes = np.unique(levels.level_I[levels.level_I != UNKNOWN], return_counts=True)
    kept = [int(k) for k, size in zip(numbers, sizes, strict=True) if size >= MIN_LEVEL]
    if len(kept) < 2:
        return None
    means, variances, cases = [], [], 0
    for level in kept:
        own = codes_JN[np.flatnonzero(levels.level_I == level)]
        mean_N = np.asarray(own.mean(axis=0)).ravel()
        means.append(mean_N)
        variances.append(np.asarray(own.power(2).mean(axis=0)).ravel() - mean_N**2)
        cases += own.shape[0]
    mean_LN = np.stack(means)
    spread_N = np.sqrt(np.maximum(np.stack(variances), 0)).mean(axis=0)
    return Erased(orthonormal(mean_LN - mean_LN.mean(axis=0)), spread_N, len(kept), cases)


def orthonormal(rows_VN: Float64Array) -> Float64Array:
    """An orthonormal basis of the rows' span, by SVD; directions under 1e-6 of the largest go."""
    _, size_V, basis_VN = np.linalg.svd(rows_VN, full_matrices=False)
    return np.asarray(basis_VN[size_V > 1e-6 * max(float(size_V.max(initial=0.0)), 1e-30)])


def spread_prior(spread_N: Float64Array) -> Float64Array:
    """1 / (s_n + SOFT mean s); 1 where nothing spreads."""
    mean = float(spread_N.mean())
    if mean <= 0:
        return np.ones_like(spread_N)
    return np.asarray(mean / (spread_N + SOFT * mean), dtype=np.float64)


def column_groups(data: FitData, weight_I: Float64Array) -> tuple[GroupRow, ...]:
    """Sizes and shares of weight of the groups (label, level) of the rejected columns."""
    fit_I, rows = ~data.held_I, []
    labels = np.asarray(data.labels_I)
    total = max(float(weight_I[fit_I].sum()), 1e-12)
    for name in rejected_columns(data):
        levels = levels_of(data.columns[name])
        for k, label in enumerate(data.classes):
            for number, level in enumerate(levels.names):
                own = fit_I & (labels == k) & (levels.level_I == number)
                if own.any():
                    mass = float(weight_I[own].sum()) / total
                    rows.append(GroupRow(label, (), int(own.sum()), mass, f"{name} {level}"))
    return tuple(rows)


def _measured(data: FitData, name: str, notes: list[Notice]) -> Erased | None:
    """What one column does to the codes; None, and a notice, where that cannot be told."""
    levels, fit_I = levels_of(data.columns[name]), ~data.held_I
    bond = bond_of(np.asarray(data.labels_I)[fit_I], levels.level_I[fit_I])
    if bond >= ONE:
        text = (
            f"The column {name} goes with the label in nearly every case (Cramer's V {bond:.2f}): "
            "without it nothing of the label would be left, so it was set aside."
        )
        notes.append(Notice("warning", text, "Add labelled cases that break the bond."))
        return None
    if data.around is not None and name in data.around.columns:
        codes_JN = csr_array(data.around.pooled_JN).astype(np.float64)
        found = erase(codes_JN, levels_of(data.around.columns[name]))
    else:
        own = np.where(data.held_I, UNKNOWN, levels.level_I)
        codes_IN = csr_array(data.pooled_IN).astype(np.float64)
        found = erase(codes_IN, Levels(own, levels.names))
        if bond > CONFOUNDED:
            text = (
                f"The column {name} nearly gives the label away in the labelled cases, and no "
                "other images with known values are at hand: what it changes cannot be told from "
                "the label."
            )
            notes.append(Notice("warning", text, "Add images without labels, of all its values."))
    if found is None:
        text = f"The column {name} has fewer than two values with {MIN_LEVEL} images."
        notes.append(Notice("warning", text, "It was set aside: give its values for more images."))
    return found


def bond_of(label_I: Any, level_I: Any) -> float:
    """Cramer's V of label and level, [0, 1]; 0 where either has one value. Unknown levels go."""
    known = np.asarray(level_I) != UNKNOWN
    table = np.zeros((int(np.max(label_I, initial=0)) + 1, int(np.max(level_I, initial=0)) + 1))
    np.add.at(table, (np.asarray(label_I)[known], np.asarray(level_I)[known]), 1.0)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    square = float(((table - expected) ** 2 / expected).sum() / table.sum())
    return float(np.sqrt(square / (min(table.shape) - 1)))


def column_shown(data: FitData, names: tuple[str, ...]) -> Any:
    """Levels of several columns side by side, bool [I, sum of L]."""
    return np.concatenate([levels_of(data.columns[name]).shown_IL() for name in names], axis=1)


def _judging(data: FitData, names: tuple[str, ...]) -> Float64Array:
    """Weights under which labels and levels are independent, apart for fit and held-out cases."""
    shown_IL, labels = column_shown(data, names), np.asarray(data.labels_I)
    judge_I = np.zeros(len(labels))
    for part in (~data.held_I, data.held_I):
        if part.any():
            judge_I[part] = balanced_weights(labels[part], shown_IL[part])
    return judge_I


def _strata(data: FitData, names: tuple[str, ...]) -> Any:
    """A number per combination of levels."""
    shown_IL = column_shown(data, names)
    return np.unique(shown_IL, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
