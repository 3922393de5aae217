"""The three questions an expert comes with: diagnose, validate, discover."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dashboard.viewmodels.marks import NoteView
from dashboard.viewmodels.words import VerdictValue

Outcome = Literal["error", "near miss", "right", "no label"]
Word = Literal["correct", "spurious", "unsure"]
Way = Literal["removed", "added"]


@dataclass(frozen=True)
class TroubleRow:
    """A case that went wrong, or nearly."""

    case_id: str
    image_name: str
    label: str
    prediction: str
    runner_up: str
    confidence: float  # calibrated probability of the decision, [0, 1]
    lead: float  # probability by which the decision led the runner-up, [0, 1]
    outcome: Outcome
    split: str | None


@dataclass(frozen=True)
class TroubleView:
    """Errors (surest first), then near misses (closest first)."""

    rows: tuple[TroubleRow, ...]
    errors: int
    near_misses: int
    labelled: int  # cases with a true label
    margin: float  # lead in probability below which a right decision is a near miss
    confusions: tuple[tuple[str, str, int], ...]  # label, decision, cases; most first
    withheld: int = 0  # left out because the project is blind and my word is not in


@dataclass(frozen=True)
class PullView:
    """How far one concept pulls from one class to another."""

    concept_id: str
    concept: int
    name: str
    activation: float  # pooled, encoder units
    pull: float  # logit units by which it favours the decision over the rival


@dataclass(frozen=True)
class StepView:
    """One concept taken out, or raised, on the way to another decision."""

    concept_id: str
    concept: int
    name: str
    before: float  # activation, encoder units
    after: float
    gain: float  # logit units that the rival wins by it


@dataclass(frozen=True)
class PathView:
    """The fewest concepts to take away, or to add, after which the model decides for the rival."""

    way: Way
    steps: tuple[StepView, ...]
    lead: float  # logit units by which the rival then leads
    reread: str | None  # decision when they are taken out and the image is read anew


@dataclass(frozen=True)
class DifferenceView:
    """A concept that is stronger in one of two cases."""

    concept: int
    name: str
    here: float  # activation, encoder units
    there: float
    pull: float  # logit units by which that favours the rival there, more than here


@dataclass(frozen=True)
class AlikeView:
    """A case of the true class that looks alike to the model and went right."""

    case_id: str
    image_id: str
    image_name: str
    label: str
    prediction: str
    confidence: float
    likeness: float  # cosine of the pooled codes, [0, 1]
    differences: tuple[DifferenceView, ...]


@dataclass(frozen=True)
class DiagnosisView:
    """Why one case was decided as it was, and not for the rival."""

    case_id: str
    image_id: str
    image_name: str
    outcome: Outcome
    label: str | None
    prediction: str
    rival: str  # the true label after an error, else the runner-up
    confidence: float
    lead: float  # logit units by which the decision leads the rival
    bias: float  # the part of it that no concept gives, logit units
    pulls: tuple[PullView, ...]  # largest |pull| first
    other: float  # pull of all concepts not listed, logit units
    paths: tuple[PathView, ...]  # at most one of each way
    alike: tuple[AlikeView, ...]
    note: str = ""  # what could not be worked out, in words


@dataclass(frozen=True)
class ClassWordView:
    """A reviewer's standing word on a concept as a reason for a class."""

    value: VerdictValue
    reason: str | None
    comment: str
    revision: int
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class ReasonRow:
    """One concept as a reason for the decisions for one class."""

    concept_id: str
    concept: int
    name: str
    named: bool
    share: float  # of the decisions for the class, [0, 1]: its part of the sum of |contribution|
    direction: float  # mean contribution where it fires, logit units; the sign is for or against
    fires: float  # share of the class's cases in which it fires, [0, 1]
    elsewhere: float  # the same among the other cases
    correct: int | None  # standing verdicts on its cues in these cases; None until my word is in
    spurious: int | None
    unsure: int | None
    mine: ClassWordView | None
    others: tuple[ClassWordView, ...]  # empty until my word is in
    word: Word | None  # what stands: mine, else the others' majority, else that of the verdicts
    artefact: bool = False


@dataclass(frozen=True)
class ExamplePicture:
    """A case in which a concept fires strongly."""

    case_id: str
    image_id: str
    image_name: str
    label: str | None
    prediction: str
    activation: float  # pooled, encoder units
    grid: tuple[int, int] = (1, 1)
    map_u8: bytes = field(default=b"\x00", repr=False)  # 0..255 of the map's own maximum


@dataclass(frozen=True)
class FragileView:
    """A right decision that does not hold without the concepts called spurious."""

    case_id: str
    image_id: str
    image_name: str
    confidence: float
    without: str  # decision without them


@dataclass(frozen=True)
class ClassView:
    """What the decisions for one class rest on, and what people said of that."""

    name: str
    cases: int  # decided for it
    reviewed: int  # of them, with anybody's word
    labelled: int  # of them, with a true label
    right: int  # of those, decided as labelled
    rows: tuple[ReasonRow, ...]  # largest share first
    rest: float  # share of all concepts not listed, [0, 1]
    judged: tuple[tuple[Word, float], ...]  # share of the decisions by what was said of them
    fragile: tuple[FragileView, ...]  # surest first
    fragile_count: int

    @property
    def covered(self) -> float:
        """Share of the decisions that rests on concepts with a word on them, [0, 1]."""
        return sum(share for _, share in self.judged)


@dataclass(frozen=True)
class CandidateRow:
    """A concept that tells classes apart and has no trusted word."""

    concept_id: str
    concept: int
    name: str
    why: Literal["unnamed", "unknown to the vocabulary"]
    class_name: str  # that it tells best from the others
    auc: float  # [0, 1]: how well it alone tells that class from the others; .5 is chance
    interval: tuple[float, float]  # 95 %
    toward: bool  # whether more of it speaks for the class (else against it)
    share: float  # of all decisions, [0, 1]
    images: int  # in which it fires
    total: int
    hypotheses: int  # notes on it
    score: float  # what they are ranked by, [0, 1]


@dataclass(frozen=True)
class CandidateView:
    """One candidate: what it might be."""

    row: CandidateRow
    words: tuple[tuple[str, float], ...]  # nearest words, cosine; none was near enough
    by_class: tuple[tuple[str, int, int], ...]  # label, images in which it fires, of how many
    inside: tuple[ExamplePicture, ...]  # strongest in the class it tells
    outside: tuple[ExamplePicture, ...]  # strongest in other classes: what speaks against
    notes: tuple[NoteView, ...]  # hypotheses, oldest first


@dataclass(frozen=True)
class DiscoverView:
    """All candidates, strongest first."""

    rows: tuple[CandidateRow, ...]
    concepts: int  # that fire in at least one image
    labelled: int  # images with a label, which the figures rest on
