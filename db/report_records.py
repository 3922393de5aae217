"""Frozen records of what a report reads: the selection it speaks of, and figures in bulk."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.desk_records import AdjudicationRecord, DrawingRecord, NoteRecord
from db.feedback_records import AssessmentRecord, VerdictRecord


@dataclass(frozen=True)
class Selection:
    """Which cases and words a report speaks of; every field that is set narrows it further.

    Words are those that stood at `until` and were given at `since` or later, so that the report
    of a month stays the same afterwards.
    """

    project_id: str
    version_id: str | None = None  # None: words under every version count
    decides_id: str | None = None  # the version whose decisions are told; None without a version
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    class_name: str | None = None  # cases labelled or decided as this class
    reviewer_id: str | None = None
    case_id: str | None = None
    committed: bool = False  # only cases on which this reviewer's word on the whole case is in

    @property
    def by_words(self) -> bool:
        """Whether only cases count on which somebody spoke: a period or a person is named."""
        return self.since is not None or self.until is not None or self.reviewer_id is not None


@dataclass(frozen=True)
class CoverageCount:
    """Cases alike in what they are, and how many of them somebody judged."""

    label: str | None
    prediction: str
    split: str | None
    group: str | None  # the images' group column
    cases: int
    reviewed: int  # with a word (of the selection) on the image
    explained: int  # that were opened, so that they have cues


@dataclass(frozen=True)
class CaseWords:
    """Standing verdicts in one case."""

    case_id: str
    correct: int
    spurious: int
    unsure: int


@dataclass(frozen=True)
class ConceptWords:
    """Standing verdicts on one concept, with the mean causal effect of the judged cues."""

    concept_id: str
    dictionary_hash: str
    number: int
    name: str | None
    correct: int
    spurious: int
    unsure: int
    cases: int  # with a verdict on it
    people: int
    mean_causal_effect: float  # logit units, mean over the verdicts' cues


@dataclass(frozen=True)
class SpuriousCue:
    """A cue that people call spurious, with how many do."""

    concept_id: str
    cue_id: str
    case_id: str
    people: int
    causal_effect: float  # logit units


@dataclass(frozen=True)
class AssessmentRow:
    """A standing word on a whole case, as the figures need it."""

    case_id: str
    reviewer: str  # name
    agree: bool | None
    corrected_label: str | None
    ratings: dict[str, Any]


@dataclass(frozen=True)
class UnjudgedConcept:
    """A concept that cues show and nobody judged."""

    concept_id: str
    number: int
    name: str | None
    cues: int  # of the selection's cases
    largest_effect: float  # |causal effect|, logit units


@dataclass(frozen=True)
class PersonWords:
    """How much one person said."""

    reviewer: str  # name
    verdicts: int
    assessments: int
    cases: int


@dataclass(frozen=True)
class OpenMarkRow:
    """A flag or an escalation that nobody resolved."""

    kind: str  # flag, escalate
    case_id: str
    relpath: str
    reviewer: str  # name
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SharedWord:
    """A standing word on a cue (or a case) on which two or more people spoke."""

    item: str  # cue id, or case id
    case_id: str
    group: str  # concept id, or the predicted class
    reviewer: str  # name
    word: str | None  # a verdict; of a case the class that the word gives it


@dataclass(frozen=True)
class SnapshotHead:
    """A feedback snapshot without what it holds."""

    id: str
    hash: str
    verdicts: int


@dataclass(frozen=True)
class CaseParts:
    """What people said of one case, as a report shows it."""

    verdicts: tuple[VerdictRecord, ...] = ()
    assessments: tuple[AssessmentRecord, ...] = ()
    drawings: tuple[DrawingRecord, ...] = ()
    notes: tuple[NoteRecord, ...] = ()
    rulings: tuple[AdjudicationRecord, ...] = ()  # that stand, on the case and its cues
