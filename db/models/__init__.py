"""The tables (SQLAlchemy 2). Nothing outside `db` sees these: repositories return records.

What people say is append-only (APPEND_ONLY below): triggers made by the migrations refuse
UPDATE and DELETE. Relationships never load by themselves (`lazy="raise"`).
"""

from db.models.audit import ChainEntry, ChainHead, Redaction, Retention
from db.models.base import BIG, ID, Base
from db.models.cases import Case, Cue, Reviewer
from db.models.catalogue import Concept, ConceptName, Image, ModelVersion, Project, Relation
from db.models.desk import (
    Adjudication,
    ClassVerdict,
    Collection,
    ColumnVerdict,
    Drawing,
    Event,
    Note,
    Pin,
    TrainingAnswer,
)
from db.models.governance import Criterion, Decision, Export, Schedule
from db.models.hierarchy import ConceptMark, Proposal, ProposalDecision
from db.models.queue import (
    Assignment,
    CaseWord,
    ConceptTally,
    Lease,
    Member,
    ProjectSettings,
    QueueMark,
    QueueProgress,
)
from db.models.runs import AuditEntry, FeedbackSnapshot, Run, RunPoint, VersionEvent
from db.models.verdicts import Assessment, Verdict

APPEND_ONLY: tuple[type[Base], ...] = (
    Verdict,
    ConceptName,
    Assessment,
    AuditEntry,
    Drawing,
    Note,
    ClassVerdict,
    ConceptMark,
    Proposal,
    ProposalDecision,
    QueueMark,
    Assignment,
    Member,
    ProjectSettings,
    Adjudication,
    Collection,
    Pin,
    TrainingAnswer,
    ColumnVerdict,
    VersionEvent,
    Criterion,
    Decision,
    Schedule,
    Export,
    Redaction,
    Retention,
    ChainEntry,
)
CHAINED: tuple[type[Base], ...] = tuple(model for model in APPEND_ONLY if model is not ChainEntry)
"""The tables whose every row has an entry in the audit chain."""

__all__ = [
    "APPEND_ONLY",
    "BIG",
    "CHAINED",
    "ID",
    "Adjudication",
    "Assessment",
    "Assignment",
    "AuditEntry",
    "Base",
    "Case",
    "CaseWord",
    "ChainEntry",
    "ChainHead",
    "ClassVerdict",
    "Collection",
    "ColumnVerdict",
    "Concept",
    "ConceptMark",
    "ConceptName",
    "ConceptTally",
    "Criterion",
    "Cue",
    "Decision",
    "Drawing",
    "Event",
    "Export",
    "FeedbackSnapshot",
    "Image",
    "Lease",
    "Member",
    "ModelVersion",
    "Note",
    "Pin",
    "Project",
    "ProjectSettings",
    "Proposal",
    "ProposalDecision",
    "QueueMark",
    "QueueProgress",
    "Redaction",
    "Relation",
    "Retention",
    "Reviewer",
    "Run",
    "RunPoint",
    "Schedule",
    "TrainingAnswer",
    "Verdict",
    "VersionEvent",
]
