"""Records of what a team lead decides and hands out: criteria, decisions, schedules, exports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Comparator = Literal[">=", "<="]
DecisionSubject = Literal["threshold", "criterion", "version", "run", "report", "drift", "other"]
ExportKind = Literal["report", "data", "card", "archive", "extract"]


@dataclass(frozen=True)
class CriterionRecord:
    """What a measure of a project has to reach; `threshold` None: no longer asked for."""

    id: str
    project_id: str
    reviewer_id: str
    measure: str
    comparator: Comparator
    threshold: float | None
    reason: str
    revision: int
    created_at: datetime
    reviewer: str  # name


@dataclass(frozen=True)
class DecisionRecord:
    """A choice and why it was made."""

    id: str
    project_id: str
    reviewer_id: str
    subject: DecisionSubject
    subject_id: str | None
    title: str
    choice: str
    reason: str
    evidence: tuple[dict[str, Any], ...]
    supersedes: str | None  # the decision that this one takes the place of
    created_at: datetime
    reviewer: str  # name


@dataclass(frozen=True)
class ScheduleRecord:
    """A revision of a schedule; `schedule_id` stays the same over its revisions."""

    id: str
    project_id: str
    reviewer_id: str
    schedule_id: str
    name: str
    spec: dict[str, Any]
    active: bool
    revision: int
    created_at: datetime
    reviewer: str  # name


@dataclass(frozen=True)
class ExportRecord:
    """A file that left the app."""

    id: str
    project_id: str
    reviewer_id: str | None  # None: the program itself, by a schedule
    kind: ExportKind
    format: str
    scope: dict[str, Any]
    sha256: str
    size: int  # bytes
    path: str | None  # inside the workspace, where it was kept there
    version_hash: str | None
    schedule_id: str | None
    created_at: datetime
    reviewer: str | None  # name
