"""Runs, the feedback they used, and the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db import records, run_records
from db.models.base import BIG, ID, Base, one_of
from db.models.desk import Event


class FeedbackSnapshot(Base):
    """The frozen, hashed set of verdicts that a run used."""

    __tablename__ = "feedback_snapshots"
    __table_args__ = (UniqueConstraint("project_id", "hash"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    hash: Mapped[str]
    payload: Mapped[dict[str, Any]]
    verdicts: Mapped[int]
    created_at: Mapped[datetime]


class Run(Base):
    """A piece of long work with its progress and outcome."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("kind", records.RunKind),
        one_of("state", records.RunState),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        Index(None, "project_id", "created_at"),
        Index(None, "state", "heartbeat_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    kind: Mapped[str]
    state: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    config: Mapped[dict[str, Any]]
    progress: Mapped[float]
    stage: Mapped[str]
    message: Mapped[str]
    base_version_id: Mapped[str | None] = mapped_column(ID, ForeignKey("model_versions.id"))
    result_version_id: Mapped[str | None] = mapped_column(ID, ForeignKey("model_versions.id"))
    snapshot_id: Mapped[str | None] = mapped_column(ID, ForeignKey("feedback_snapshots.id"))
    metrics: Mapped[dict[str, Any]]
    workflow_id: Mapped[str | None]
    requested_by: Mapped[str | None] = mapped_column(ID, ForeignKey("reviewers.id"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]


class RunPoint(Base):
    """A point of a live curve; a run that resumes writes the same ones again."""

    __tablename__ = "run_points"

    run_id: Mapped[str] = mapped_column(ID, ForeignKey("runs.id"), primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    value: Mapped[float]


class VersionEvent(Event, Base):
    """A decision on a version: active, active again, discarded. Append-only.

    Nobody may be named: then the program itself did it.
    """

    __tablename__ = "version_events"
    __table_args__ = (
        one_of("kind", run_records.VersionAct),
        Index(None, "project_id", "seq"),
        Index(None, "version_id", "seq"),
    )

    version_id: Mapped[str] = mapped_column(ID, ForeignKey("model_versions.id"))
    former_id: Mapped[str | None] = mapped_column(ID, ForeignKey("model_versions.id"))
    run_id: Mapped[str | None] = mapped_column(ID, ForeignKey("runs.id"))
    kind: Mapped[str]
    reason: Mapped[str]
    reviewer_id: Mapped[str | None] = mapped_column(  # type: ignore[assignment]
        ID, ForeignKey("reviewers.id"), sort_order=-6
    )


class AuditEntry(Base):
    """One line of the audit log. Append-only."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index(None, "entity", "entity_id", "id"),
        Index(None, "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    uid: Mapped[str] = mapped_column(ID, unique=True)  # the same in every store
    project_id: Mapped[str | None] = mapped_column(ID, ForeignKey("projects.id"))
    at: Mapped[datetime]
    actor: Mapped[str]  # "person:<reviewer id>" (see db.people), or the program that did it
    action: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[str]
    detail: Mapped[dict[str, Any]]
