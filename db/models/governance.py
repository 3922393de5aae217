"""What a team lead decides and hands out: criteria, decisions, schedules, exports. Append-only."""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db import governance_records as words
from db.models.base import ID, Base, one_of
from db.models.desk import Event


class Criterion(Event, Base):
    """What a measure has to reach; the highest revision per measure stands."""

    __tablename__ = "criteria"
    __table_args__ = (
        UniqueConstraint("project_id", "measure", "revision"),
        one_of("comparator", words.Comparator),
        CheckConstraint("revision >= 1", name="revision"),
    )

    measure: Mapped[str]
    comparator: Mapped[str]
    threshold: Mapped[float | None]  # None: withdrawn
    reason: Mapped[str]
    revision: Mapped[int]


class Decision(Event, Base):
    """A choice, why it was made, and what it rests on."""

    __tablename__ = "decisions"
    __table_args__ = (
        one_of("subject", words.DecisionSubject),
        Index(None, "project_id", "subject", "seq"),
        Index(None, "project_id", "subject_id"),
    )

    subject: Mapped[str]
    subject_id: Mapped[str | None]
    title: Mapped[str]
    choice: Mapped[str]
    reason: Mapped[str]
    evidence: Mapped[tuple[Any, ...]]
    supersedes: Mapped[str | None] = mapped_column(ID, ForeignKey("decisions.id"), unique=True)


class Schedule(Event, Base):
    """A revision of what is exported by the clock; the highest per schedule stands."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("schedule_id", "revision"),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "seq"),
    )

    schedule_id: Mapped[str] = mapped_column(ID)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    active: Mapped[bool]
    revision: Mapped[int]


class Export(Event, Base):
    """A file that left the app. Nobody may be named: then a schedule made it."""

    __tablename__ = "exports"
    __table_args__ = (
        one_of("kind", words.ExportKind),
        CheckConstraint("size >= 0", name="size"),
        Index(None, "project_id", "kind", "seq"),
        Index(None, "sha256"),
        Index(None, "schedule_id", "seq"),
    )

    kind: Mapped[str]
    format: Mapped[str]
    scope: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str | None]
    version_hash: Mapped[str | None]
    schedule_id: Mapped[str | None] = mapped_column(ID)
    reviewer_id: Mapped[str | None] = mapped_column(  # type: ignore[assignment]
        ID, ForeignKey("reviewers.id"), sort_order=-6
    )
