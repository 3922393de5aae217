"""What became better and worse from one model version to another, on the same held-out cases."""

from dataclasses import dataclass, field
from typing import Literal

Said = Literal["better", "worse", "no clear change", ""]
"""What the 95 % interval of a difference says; "" where it cannot be said."""
FlipKind = Literal["mended", "broken", "moved"]
"""wrong -> right, right -> wrong, wrong -> wrong otherwise."""
RailKey = Literal[
    "accuracy", "worst_group", "average_group", "shortcut_gap", "spurious_share", "ece"
]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FigureView:
    """One figure of both versions on one split, and their difference."""

    key: str  # accuracy, worst_group, average_group, shortcut_gap, spurious_mass, ece, brier, ...
    label: str
    unit: str  # "share": shown in %, differences in points; "score": shown as it is
    higher_is_better: bool
    help: str  # one line: what is this
    before: Estimate
    after: Estimate
    difference: Estimate  # after - before
    p: float | None  # two-sided; exact McNemar for the accuracy, else from the paired bootstrap
    said: Said
    sentence: str  # "better by 12.1 points (95 % interval +8.0 to +16.3, p = 0.001)"


@dataclass(frozen=True)
class PartView:
    """Accuracy of one class or group under both versions."""

    name: str
    n: int  # cases
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float | None  # exact McNemar, alone
    p_adjusted: float | None  # Holm, over the parts of this table
    said: Said  # by p_adjusted < .05, not by the interval alone
    counted: bool = True  # False: too few cases for the worst and average group


@dataclass(frozen=True)
class FlipRow:
    """A case that is decided differently."""

    image_id: str
    image_name: str
    case_id: str | None  # under the later version; None where it has no such case
    former_case_id: str | None  # under the former version
    label: str | None
    group: str | None
    before: str  # class
    after: str  # class
    before_confidence: float  # calibrated probability of that class, [0, 1]
    after_confidence: float
    kind: FlipKind


@dataclass(frozen=True)
class ConceptChange:
    """A concept whose weight for a class changed."""

    concept_id: str | None  # None: the store does not know it
    concept: int  # number in the later version's dictionary
    name: str
    class_name: str
    before: float  # weight relative to the mean over classes, logit per unit of activation
    after: float
    effect: float  # logit units: change of weight x mean activation in the held-out cases
    rejected: bool  # people called it spurious


@dataclass(frozen=True)
class RailView:
    """One guard rail: what may be lost, and what was."""

    split: str
    key: RailKey
    label: str
    lost: float  # share that the later version is worse by; negative: better
    low: float | None  # 95 % interval of what was lost
    high: float | None
    tolerance: float  # share that may be lost
    broken: bool  # lost > tolerance; of the calibration error, the whole interval
    sentence: str


@dataclass(frozen=True)
class GuardView:
    """Whether a version may become active without a written reason."""

    passed: bool  # False: a reason is asked for
    measured: (
        bool  # False: there was nothing to measure it on (then `passed` is True, and it says so)
    )
    tolerance: float
    sentence: str
    rails: tuple[RailView, ...] = ()
    asks: str = ""  # what is asked of who uses it all the same, one sentence; "" where nothing is

    @property
    def breaches(self) -> tuple[str, ...]:
        """A sentence for each rail that is broken."""
        return tuple(rail.sentence for rail in self.rails if rail.broken)


@dataclass(frozen=True)
class SplitView:
    """Both versions on one held-out split."""

    split: str
    n: int  # labelled cases compared
    left_out: int  # cases of the split whose verdicts taught one of the versions
    figures: tuple[FigureView, ...]
    classes: tuple[PartView, ...]
    groups: tuple[PartView, ...]
    groups_from: str  # one sentence: what the groups are
    mended: int  # wrong -> right
    broken: int  # right -> wrong
    moved: int  # wrong -> wrong otherwise
    p: float | None  # exact McNemar of mended against broken
    sentence: str  # the headline in words
    flips: tuple[FlipRow, ...] = ()  # broken first, then mended, then moved; surest first
    flips_left_out: int = 0  # beyond those listed
    notes: tuple[str, ...] = ()  # few cases, no groups, ...


@dataclass(frozen=True)
class JudgementView:
    """One version against another; the same for a run and for any two versions."""

    before_hash: str
    after_hash: str | None  # None: the run has published no version
    splits: tuple[SplitView, ...]
    guard: GuardView
    concepts: tuple[ConceptChange, ...]  # largest |effect| first
    sentence: str  # headline of all splits
    notes: tuple[str, ...] = ()
    pooled: SplitView | None = None  # all splits together, without flips; None for one split
    regions: FigureView | None = None  # spurious mass on the judged cases; None: nothing marked
    regions_n: int = 0  # how many judged cases these are
    resamples: int = 0  # bootstrap draws behind the intervals
    help: dict[str, str] = field(default_factory=dict)  # section -> one line: what is this
