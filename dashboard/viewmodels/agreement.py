"""How far people agree, where they do not, and what was decided there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dashboard.viewmodels.desk import RegionView
from dashboard.viewmodels.words import Scope

Subject = Literal["cue", "case"]


@dataclass(frozen=True)
class CoefficientView:
    """A chance-corrected agreement: 1 is perfect, 0 is chance, below 0 worse than chance."""

    name: str
    value: float | None  # [-1, 1]; None where it is not defined
    bootstrap: tuple[float, float] | None  # 95 % interval
    analytic: tuple[float, float] | None  # 95 % interval
    observed: float | None  # share of pairs of words that agree, [0, 1]
    items: int  # cues or cases that two or more judged
    cases: int  # that these lie in: what the intervals are drawn over
    note: str = ""  # why there is no value, or why to be careful with it


@dataclass(frozen=True)
class PairView:
    """Two people and how far they agree."""

    first: str
    second: str
    cohen: CoefficientView


@dataclass(frozen=True)
class ConceptAgreementView:
    """Agreement on the cues of one concept, or on the cases of one predicted class."""

    id: str  # concept id, or the class
    name: str
    items: int
    disputed: int  # items on which people differ
    open: int  # of these, not yet decided
    alpha: CoefficientView


@dataclass(frozen=True)
class RaterView:
    """One person's words beside everybody's."""

    name: str
    words: int  # standing, on shared items
    abstained: int  # "unsure"
    with_majority: float | None  # share of the items with a majority where they say the same
    right: tuple[tuple[str, float, int], ...]  # word, estimated share right where it is true,
    # words said on such items (rounded); by Dawid and Skene


@dataclass(frozen=True)
class ConsensusView:
    """The majority beside Dawid and Skene's consensus."""

    words: tuple[str, ...]
    majority: tuple[int, ...]  # items per word
    ties: int  # items without a majority
    consensus: tuple[int, ...]  # items per word
    even: int  # items that the consensus leaves undecided
    settled: int  # ties that the consensus decides
    differ: int  # items where both decide, and differently
    anchored: int  # items held fixed because they were decided by a person
    converged: bool


@dataclass(frozen=True)
class AgreementView:
    """The agreement of a project's reviewers on its cues, or on its cases."""

    subject: Subject
    words: tuple[str, ...]  # that are told apart
    items: int  # judged by two or more
    cases: int
    reviewers: int
    disputed: int
    open: int  # disputed and not yet decided
    overall: tuple[CoefficientView, ...]
    pairs: tuple[PairView, ...]
    concepts: tuple[ConceptAgreementView, ...]  # most disputed first
    raters: tuple[RaterView, ...]
    consensus: ConsensusView | None  # None without items


@dataclass(frozen=True)
class WordView:
    """What one person said."""

    reviewer: str
    value: str
    scope: Scope | None
    reason: str | None
    comment: str
    at: datetime


@dataclass(frozen=True)
class RulingView:
    """One decision on a disagreement; "withdrawn" takes the one before back."""

    value: str
    reason: str
    by: str
    at: datetime
    revision: int


@dataclass(frozen=True)
class DisputeRow:
    """One cue or case on which people differ."""

    id: str  # cue id or case id
    case_id: str
    group: str  # concept id, or the predicted class
    about: str  # name of the concept, or the predicted class
    said: tuple[tuple[str, int], ...]  # word, people
    majority: str | None  # None at a tie
    consensus: str | None
    probability: float | None  # of the consensus, [0, 1]
    decided: str | None  # what a person decided, if anyone did


@dataclass(frozen=True)
class DisputeView:
    """A disagreement with all that is needed to decide it."""

    row: DisputeRow
    subject: Subject
    position: int  # 1-based among those listed
    total: int
    previous_id: str | None
    next_id: str | None
    image_id: str
    image_name: str
    label: str | None
    prediction: str
    confidence: float  # calibrated probability of the prediction, [0, 1]
    contribution: float | None  # logit units; None for a case
    causal_effect: float | None  # logit units; None for a case
    grid: tuple[int, int] | None
    map_u8: bytes = field(repr=False)  # empty for a case
    regions: tuple[RegionView, ...]
    words: tuple[WordView, ...]
    choices: tuple[str, ...]  # what may be decided
    rulings: tuple[RulingView, ...]  # oldest first
    revision: int  # give it back as `based_on`
