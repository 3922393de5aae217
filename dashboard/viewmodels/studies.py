"""Pinned cases for teaching, and a newcomer's attempts at them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dashboard.viewmodels.agreement import CoefficientView
from dashboard.viewmodels.desk import RegionView
from dashboard.viewmodels.words import Scope

CollectionKind = Literal["study", "hypothesis"]
Source = Literal["adjudicated", "majority", "one person"]


@dataclass(frozen=True)
class CollectionView:
    """A collection of pinned cases."""

    id: str
    title: str
    about: str
    kind: CollectionKind
    pins: int
    by: str
    at: datetime


@dataclass(frozen=True)
class PinnedWordView:
    """What somebody had said of a cue when the case was pinned."""

    reviewer: str
    value: str
    scope: Scope
    reason: str | None
    comment: str


@dataclass(frozen=True)
class PinnedCueView:
    """A cue as it was when the case was pinned."""

    id: str
    letter: str
    name: str
    contribution: float  # logit units
    causal_effect: float  # logit units
    grid: tuple[int, int]
    map_u8: bytes = field(repr=False)
    regions: tuple[RegionView, ...]
    words: tuple[PinnedWordView, ...]
    reference: str | None  # the right answer; None where there is none
    source: Source | None  # where the reference comes from


@dataclass(frozen=True)
class PinView:
    """A case in a collection, frozen as it was shown."""

    id: str
    collection_id: str
    case_id: str
    note: str
    by: str
    at: datetime
    image_id: str
    image_name: str
    label: str | None
    prediction: str
    confidence: float  # calibrated probability of the prediction, [0, 1]
    narrative: str
    version_hash: str
    cues: tuple[PinnedCueView, ...]
    reference_label: str | None  # the true class, as adjudicated, agreed on or given
    frozen_hash: str  # SHA-256 of what was frozen
    hidden: frozenset[str] = frozenset()  # what the project hides until one's own word is in

    @property
    def questions(self) -> int:
        """Cues with a reference."""
        return sum(cue.reference is not None for cue in self.cues)


@dataclass(frozen=True)
class StudyView:
    """A collection with its pins, oldest first."""

    collection: CollectionView
    pins: tuple[PinView, ...]
    open: bool = True  # notes and answers are shown at once: this person knows them already


@dataclass(frozen=True)
class AnswerView:
    """What a newcomer said of one cue beside the reference."""

    cue_id: str
    letter: str
    name: str
    said: str | None  # None: left out
    reference: str | None
    right: bool | None  # None where there is no reference


@dataclass(frozen=True)
class AnsweredPinView:
    """One case of an attempt, answered."""

    pin_id: str
    image_name: str
    note: str
    answers: tuple[AnswerView, ...]
    label_said: str | None
    label_reference: str | None
    right: int
    asked: int


@dataclass(frozen=True)
class AttemptView:
    """One attempt at a collection."""

    number: int  # 1-based
    reviewer: str
    answered: int  # cases
    cases: int
    right: int  # questions: cues with a reference, and labels
    asked: int
    at: datetime
    finished: bool


@dataclass(frozen=True)
class TrainingView:
    """Where a newcomer is in an attempt: the next case, or the result."""

    collection: CollectionView
    attempt: int
    position: int  # 1-based, of the next case
    total: int
    question: PinView | None  # without references, words, label and note; None when done
    classes: tuple[str, ...]
    last: AnsweredPinView | None  # the case answered just before
    answered: tuple[AnsweredPinView, ...]
    kappa: CoefficientView | None  # agreement with the reference, when done
    history: tuple[AttemptView, ...]  # newest first
