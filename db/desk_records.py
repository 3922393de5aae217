"""Frozen records of the review desk: drawings, notes, queue, people, settings, studies.

What people said of the concept hierarchy is in hierarchy_records.py.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from db.records import Scope, VerdictValue

DrawingKind = Literal["missed", "wrong-part", "here", "spurious"]
Shape = Literal["box", "lasso"]
NoteKind = Literal["note", "what-if", "hypothesis"]
QueueMark = Literal["skip", "flag", "escalate", "resolve"]
StandingMark = Literal["skip", "flag", "escalate"]
Role = Literal["expert", "annotator", "lead", "removed"]
Subject = Literal["cue", "case"]
CollectionKind = Literal["study", "hypothesis"]
ActKind = Literal["verdict", "assessment", "drawing"]


@dataclass(frozen=True)
class DrawingRecord:
    """A place that a reviewer drew on a case, or the row that erases or undoes one."""

    seq: int
    id: str
    project_id: str
    case_id: str
    cue_id: str | None  # the cue it speaks of; None for the whole case
    reviewer_id: str
    reviewer: str  # name
    kind: DrawingKind
    shape: Shape
    points: tuple[tuple[float, float], ...]  # (x, y) in fractions of the image; a box has two
    note: str
    removes: str | None  # id of the drawing that this row erases
    undoes: str | None  # id of the drawing or erasing that this row takes back
    created_at: datetime


@dataclass(frozen=True)
class NoteRecord:
    """A remark on a case or a concept (or on neither: on the project)."""

    seq: int
    id: str
    project_id: str
    case_id: str | None
    concept_id: str | None
    reviewer_id: str
    reviewer: str  # name
    kind: NoteKind
    text: str
    payload: dict[str, Any]
    removes: str | None  # id of the note that this row removes
    created_at: datetime


@dataclass(frozen=True)
class ActRecord:
    """One act of a reviewer's undo stack, or (from `undo`) the row that took it back."""

    kind: ActKind
    id: str
    seq: int
    project_id: str
    case_id: str
    cue_id: str | None
    reviewer_id: str
    reviewer: str  # name
    undoes: str | None  # set on what `undo` returns: the act that was taken back
    value: str | None  # verdict: what stands now; None for other kinds
    created_at: datetime


@dataclass(frozen=True)
class PeerRecord:
    """What another reviewer's verdict on a cue says."""

    cue_id: str
    reviewer_id: str
    reviewer: str  # name
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    created_at: datetime


@dataclass(frozen=True)
class QueuePlace:
    """Where a case is to stand: given to `queue.plan` in the order wanted."""

    case_id: str
    reason: str  # why it stands there, in words
    score: float = 0.0  # of the strategy that gave the reason
    wanted: int = 1  # how many people are to judge it


@dataclass(frozen=True)
class CaseFacts:
    """A case without its explanation: what planning the queue needs."""

    case_id: str
    image_id: str
    sha256: str  # of the image file
    relpath: str
    label: str | None
    split: str | None
    prediction: str
    confidence: float
    probabilities: tuple[tuple[str, float], ...]
    queue_order: int
    wanted: int
    explained: bool


@dataclass(frozen=True)
class QueueMarkRecord:
    """A mark on a case's place in the queue (or the row that resolves marks)."""

    seq: int
    id: str
    project_id: str
    case_id: str
    reviewer_id: str
    reviewer: str  # name
    kind: QueueMark
    reason: str
    created_at: datetime


@dataclass(frozen=True)
class AssignmentRecord:
    """A case given to somebody (or taken away again)."""

    seq: int
    id: str
    project_id: str
    case_id: str
    assignee_id: str
    assignee: str  # name
    by_id: str
    by: str  # name
    assigned: bool
    created_at: datetime


@dataclass(frozen=True)
class LeaseRecord:
    """Somebody has a case open until a moment."""

    case_id: str
    reviewer_id: str
    reviewer: str  # name
    taken_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ClaimRecord:
    """The answer to a claim: granted, or refused because others hold or did the case."""

    case_id: str
    granted: bool
    lease: LeaseRecord | None  # mine, where granted
    holders: tuple[LeaseRecord, ...]  # others' leases that run now
    words: int  # people other than me with a standing word on it
    wanted: int
    assigned: bool  # to me


@dataclass(frozen=True)
class OpenCase:
    """A case that is open for a reviewer."""

    case_id: str
    queue_order: int  # 0-based place


@dataclass(frozen=True)
class QueueRecord:
    """One case of the queue with all that a row of the list shows."""

    case_id: str
    image_id: str
    relpath: str
    label: str | None
    split: str | None
    prediction: str
    confidence: float
    queue_order: int
    reason: str
    score: float
    wanted: int
    words: int  # people with a standing word on it
    done: bool  # the asking reviewer is one of them
    held_by: str | None  # name of another who has it open now
    marks: tuple[StandingMark, ...]
    assigned_to: tuple[str, ...]  # names


@dataclass(frozen=True)
class QueueSlice:
    """One page of the queue and how many cases match in all."""

    items: tuple[QueueRecord, ...]
    total: int


@dataclass(frozen=True)
class PlaceRecord:
    """What the queue says of one case."""

    case_id: str
    version_id: str
    queue_order: int
    reason: str
    score: float
    wanted: int
    words: int  # people with a standing word on it
    mine: bool  # the asking reviewer is one of them
    holders: tuple[LeaseRecord, ...]  # others' leases that run now
    marks: tuple[QueueMarkRecord, ...]  # that stand, oldest first
    assignments: tuple[AssignmentRecord, ...]  # that stand


@dataclass(frozen=True)
class ProgressRecord:
    """How far the review of a version is."""

    total: int
    mine: int  # cases with a standing word of this reviewer
    team: int  # cases on which as many people as wanted gave a word
    by_reviewer: tuple[tuple[str, int], ...]  # name, cases; most first


@dataclass(frozen=True)
class MemberRecord:
    """Somebody's role in a project, as of one event; the highest revision stands."""

    seq: int
    id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    role: Role
    by_id: str
    by: str  # name
    revision: int
    created_at: datetime


@dataclass(frozen=True)
class SettingsRecord:
    """A project's settings as of one event; the highest revision stands."""

    seq: int
    id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    settings: dict[str, Any]
    revision: int
    created_at: datetime


@dataclass(frozen=True)
class ClassVerdictRecord:
    """An expert's word on what a concept has to say in a class; the highest revision stands."""

    seq: int
    id: str
    project_id: str
    concept_id: str
    class_name: str
    reviewer_id: str
    reviewer: str  # name
    value: VerdictValue
    reason: str | None
    comment: str
    revision: int
    created_at: datetime


@dataclass(frozen=True)
class AdjudicationRecord:
    """What was decided where people disagreed; the highest revision per subject stands."""

    seq: int
    id: str
    project_id: str
    subject: Subject
    subject_id: str  # a cue or a case
    case_id: str
    reviewer_id: str
    reviewer: str  # name
    value: str  # cue: a verdict value; case: a class. "withdrawn" takes the decision back
    reason: str
    revision: int
    created_at: datetime


@dataclass(frozen=True)
class CollectionRecord:
    """A browsable set of pinned cases."""

    seq: int
    id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    title: str
    about: str
    kind: CollectionKind
    pins: int  # that stand
    created_at: datetime


@dataclass(frozen=True)
class PinRecord:
    """A case in a collection, frozen as it was shown (or the row that takes one out)."""

    seq: int
    id: str
    project_id: str
    collection_id: str
    case_id: str
    reviewer_id: str
    reviewer: str  # name
    note: str
    frozen: dict[str, Any] = field(repr=False)
    removes: str | None
    created_at: datetime
    people: dict[str, str] = field(default_factory=dict)  # reviewer id -> name, of those in frozen


@dataclass(frozen=True)
class TrainingRecord:
    """One answered pin of one attempt at a collection."""

    seq: int
    id: str
    project_id: str
    collection_id: str
    pin_id: str
    reviewer_id: str
    reviewer: str  # name
    attempt: int  # 1-based
    answers: dict[str, Any]
    score: float
    created_at: datetime


@dataclass(frozen=True)
class JudgedCue:
    """A standing verdict as agreement figures need it."""

    cue_id: str
    case_id: str
    concept_id: str
    concept: int
    prediction: str
    reviewer_id: str
    reviewer: str  # name
    value: VerdictValue  # never "withdrawn"
    scope: Scope
    reason: str | None
    comment: str
    created_at: datetime


@dataclass(frozen=True)
class JudgedCase:
    """A standing assessment as agreement figures need it."""

    case_id: str
    prediction: str
    reviewer_id: str
    reviewer: str  # name
    agree: bool | None
    corrected_label: str | None
    comment: str
    created_at: datetime
