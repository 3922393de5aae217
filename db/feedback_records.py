"""Frozen records of what experts said, of runs and of the audit log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from db.desk_records import DrawingKind, Shape
from db.records import RunKind, RunState, Scope, VerdictValue


@dataclass(frozen=True)
class VerdictRecord:
    """One verdict event; the highest revision per (cue, reviewer) stands."""

    seq: int  # order in which the store took events, over all projects
    id: str
    cue_id: str
    case_id: str
    concept_id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    revision: int
    undoes: str | None  # id of the verdict that this one took back
    created_at: datetime


@dataclass(frozen=True)
class VerdictCounts:
    """Verdicts of a project, all reviewers."""

    events: int  # rows ever written
    standing: int  # that stand and are not withdrawn
    correct: int
    spurious: int
    unsure: int


@dataclass(frozen=True)
class VerdictExport:
    """A verdict with everything that names it outside this database."""

    id: str
    project: str
    image: str  # relpath
    image_sha256: str
    version_hash: str
    dictionary_hash: str
    concept: int
    concept_name: str | None
    prediction: str
    label: str | None
    reviewer: str
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    revision: int
    undoes: str | None
    created_at: datetime


@dataclass(frozen=True)
class MarkRecord:
    """A standing verdict with the region it speaks of: what a reweighting run needs."""

    verdict_id: str
    revision: int
    cue_id: str
    reviewer_id: str
    reviewer: str
    value: VerdictValue  # never "withdrawn"
    scope: Scope
    reason: str | None
    image_id: str
    image_sha256: str
    prediction: str
    version_hash: str
    dictionary_hash: str
    concept: int
    grid_rows: int
    grid_cols: int
    region_bits: bytes = field(repr=False)  # packed, ceil(rows*cols/8) bytes


@dataclass(frozen=True)
class DrawingMark:
    """A drawing that stands, with the image it lies on and the concept it speaks of."""

    drawing_id: str
    reviewer_id: str
    reviewer: str
    image_sha256: str
    prediction: str
    concept: int | None  # None: of no cue
    dictionary_hash: str | None  # of that concept
    kind: DrawingKind
    shape: Shape
    points: tuple[tuple[float, float], ...]  # (x, y) in fractions of the image


@dataclass(frozen=True)
class AssessmentRecord:
    """One assessment event; the highest revision per (case, reviewer) stands."""

    seq: int
    id: str
    case_id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    agree: bool | None
    corrected_label: str | None
    ratings: dict[str, Any]
    comment: str
    revision: int
    created_at: datetime
    blind: bool = False  # given before the model's word was shown
    undoes: str | None = None  # id of the assessment that this one took back


@dataclass(frozen=True)
class AssessmentCounts:
    """Standing assessments of a project, all reviewers."""

    standing: int
    agree: int
    disagree: int


@dataclass(frozen=True)
class SnapshotRecord:
    """The frozen set of verdicts that a run used."""

    id: str
    project_id: str
    hash: str
    payload: dict[str, Any]
    verdicts: int
    created_at: datetime


@dataclass(frozen=True)
class NewRun:
    """A run asked for; `id` is made by the client, so that asking twice is harmless."""

    id: str
    kind: RunKind
    seed: int
    config: dict[str, Any] = field(default_factory=dict)
    base_version_id: str | None = None
    snapshot_id: str | None = None
    requested_by: str | None = None  # reviewer id


@dataclass(frozen=True)
class RunRecord:
    """A run with its progress and outcome."""

    id: str
    project_id: str
    kind: RunKind
    state: RunState
    seed: int
    config: dict[str, Any]
    progress: float  # [0, 1]
    stage: str
    message: str
    base_version_id: str | None
    result_version_id: str | None
    snapshot_id: str | None
    metrics: dict[str, Any]
    workflow_id: str | None
    requested_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None


@dataclass(frozen=True)
class AuditRecord:
    """One line of the audit log; people by the name that they have now."""

    id: int
    at: datetime
    actor: str
    action: str
    entity: str
    entity_id: str
    detail: dict[str, Any]
    uid: str
    project_id: str | None  # None: it belongs to the whole workspace
