"""How a version fares in the groups that a column of the data makes."""

from dataclasses import dataclass
from typing import Literal

from dashboard.viewmodels.judgement import Estimate

ColumnKind = Literal["words", "numbers"]


@dataclass(frozen=True)
class ColumnRow:
    """A column that groups can be made from."""

    column: str
    label: str  # as shown: "Label", "Group", or the column's own name
    kind: ColumnKind
    values: int  # distinct values
    cases: int  # images that have one
    missing: int
    usable: bool
    why_not: str = ""


@dataclass(frozen=True)
class GroupRow:
    """One value of the column."""

    value: str
    n: int  # labelled cases
    accuracy: Estimate  # Wilson interval (bootstrap where cases belong together)
    balanced: (
        float | None
    )  # mean over labels of the accuracy within: not moved by the mix of labels
    ece: Estimate  # calibration error
    overconfidence: Estimate  # mean confidence - accuracy; > 0: too sure
    reliance: Estimate  # share of the contributions on rejected concepts
    p: float | None  # accuracy against all other cases, Fisher's exact test
    p_adjusted: float | None  # Holm, over the rows
    differs: bool  # p_adjusted < .05
    small: bool  # too few cases to say much
    sentence: str
    image_ids: tuple[str, ...] = ()  # a few wrong decisions, surest first
    case_ids: tuple[str, ...] = ()  # beside them


@dataclass(frozen=True)
class GroupsView:
    """A version by one column."""

    column: ColumnRow
    version: str  # hash
    splits: tuple[str, ...]  # which cases
    rows: tuple[GroupRow, ...]  # lowest accuracy first, those with few cases last
    overall: GroupRow
    p: float | None  # permutation test: do the groups differ in accuracy at all
    spread: float | None  # highest - lowest accuracy of the rows that are not small
    sentence: str
    multiplicity: str  # one sentence on how many groups were looked at
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnScan:
    """One column in the overview of all."""

    column: ColumnRow
    groups: int
    lowest: str  # value
    lowest_accuracy: float | None
    highest: str
    highest_accuracy: float | None
    p: float | None  # permutation test within labels
    p_adjusted: float | None  # Benjamini-Hochberg, over the columns
    differs: bool
