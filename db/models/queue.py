"""Who works on what: marks, assignments, members, settings; leases and counters.

Append-only but for the last four, which hold nothing that is not said elsewhere: leases end by
themselves, and the counters are folds that would be too slow to work out at every key press
(`queue.recount` works them out anew).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db import desk_records as words
from db.models.base import BIG, ID, Base, one_of
from db.models.desk import Event


class QueueMark(Event, Base):
    """Skip, flag or escalate a case; resolve ends such marks."""

    __tablename__ = "queue_marks"
    __table_args__ = (
        one_of("kind", words.QueueMark),
        Index(None, "case_id", "seq"),
        Index(None, "project_id", "kind", "seq"),
    )

    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    kind: Mapped[str]
    reason: Mapped[str]


class Assignment(Base):
    """A case given to somebody, or taken away; the latest per case and assignee stands."""

    __tablename__ = "assignments"
    __table_args__ = (
        Index(None, "case_id", "assignee_id", "seq"),
        Index(None, "project_id", "assignee_id", "seq"),
    )

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    assignee_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    by_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    assigned: Mapped[bool]
    created_at: Mapped[datetime]


class Member(Base):
    """A role given to somebody; the highest revision stands."""

    __tablename__ = "members"
    __table_args__ = (
        UniqueConstraint("project_id", "reviewer_id", "revision"),
        one_of("role", words.Role),
        CheckConstraint("revision >= 1", name="revision"),
    )

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    role: Mapped[str]
    by_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    revision: Mapped[int]
    created_at: Mapped[datetime]


class ProjectSettings(Event, Base):
    """How a project is reviewed; the highest revision stands."""

    __tablename__ = "project_settings"
    __table_args__ = (
        UniqueConstraint("project_id", "revision"),
        CheckConstraint("revision >= 1", name="revision"),
    )

    settings: Mapped[dict[str, Any]]
    revision: Mapped[int]


class Lease(Base):
    """Somebody has a case open until a moment. Changes and goes."""

    __tablename__ = "leases"
    __table_args__ = (Index(None, "reviewer_id", "expires_at"), Index(None, "expires_at"))

    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"), primary_key=True)
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"), primary_key=True)
    taken_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class CaseWord(Base):
    """Counter: a reviewer has standing words on a case (no row: none)."""

    __tablename__ = "case_words"

    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"), primary_key=True)
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"), primary_key=True)
    cues: Mapped[int]  # standing verdicts
    assessed: Mapped[bool]  # a standing assessment that says something


class QueueProgress(Base):
    """Counter: how far a reviewer (or, under "team", everybody) is with a version."""

    __tablename__ = "queue_progress"

    version_id: Mapped[str] = mapped_column(ID, ForeignKey("model_versions.id"), primary_key=True)
    who: Mapped[str] = mapped_column(ID, primary_key=True)  # a reviewer's id or "team"
    done: Mapped[int]  # cases
    open_from: Mapped[int]  # every earlier place in the queue is closed for this reviewer


class ConceptTally(Base):
    """Counter: the verdicts that stand on a concept's cues."""

    __tablename__ = "concept_tallies"

    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"), primary_key=True)
    correct: Mapped[int]
    spurious: Mapped[int]
    unsure: Mapped[int]
