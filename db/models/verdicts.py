"""What experts said: verdicts and assessments. Append-only."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db import records
from db.models.base import BIG, ID, Base, one_of
from db.models.cases import Reviewer


class Verdict(Base):
    """An expert's word on a cue. Append-only; the highest revision stands.

    case, concept and project repeat what the cue says, so that folds need no joins.
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("cue_id", "reviewer_id", "revision"),
        one_of("value", records.VerdictValue),
        one_of("scope", records.Scope),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "cue_id", "reviewer_id", "revision"),
        Index(None, "project_id", "reviewer_id", "seq"),
        Index(None, "case_id", "reviewer_id"),
        Index(None, "concept_id", "cue_id", "reviewer_id", "revision"),
    )

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    cue_id: Mapped[str] = mapped_column(ID, ForeignKey("cues.id"))
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    value: Mapped[str]
    scope: Mapped[str]
    reason: Mapped[str | None]
    comment: Mapped[str]
    revision: Mapped[int]
    undoes: Mapped[str | None] = mapped_column(ID, ForeignKey("verdicts.id"), unique=True)
    created_at: Mapped[datetime]

    reviewer: Mapped[Reviewer] = relationship(lazy="raise")


class Assessment(Base):
    """An expert's word on the whole case. Append-only; the highest revision stands."""

    __tablename__ = "assessments"
    __table_args__ = (
        UniqueConstraint("case_id", "reviewer_id", "revision"),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "case_id", "reviewer_id", "revision"),
        Index(None, "project_id", "reviewer_id", "seq"),
        Index("uq_assessments_undoes", "undoes", unique=True),
    )

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(ID, unique=True)
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    agree: Mapped[bool | None]
    corrected_label: Mapped[str | None]
    ratings: Mapped[dict[str, Any]]
    comment: Mapped[str]
    blank: Mapped[bool]  # says nothing: takes the former word back
    blind: Mapped[bool] = mapped_column(default=False)  # given before the reveal
    undoes: Mapped[str | None] = mapped_column(ID, ForeignKey("assessments.id"))
    revision: Mapped[int]
    created_at: Mapped[datetime]

    reviewer: Mapped[Reviewer] = relationship(lazy="raise")
