"""What people put beside verdicts, and the order of work. Append-only but for the leases.

Every event has `seq` (see db.repositories.base: one count over all event tables), an id made
by the client, and who did it when.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db import desk_records as words
from db import records
from db.models.base import BIG, ID, Base, one_of


class Event:
    """The columns of every event."""

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True, sort_order=-9)
    id: Mapped[str] = mapped_column(ID, unique=True, sort_order=-8)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"), sort_order=-7)
    reviewer_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"), sort_order=-6)
    created_at: Mapped[datetime] = mapped_column(sort_order=9)


class Drawing(Event, Base):
    """A place that a reviewer drew; or, by `removes` or `undoes`, the end of one."""

    __tablename__ = "drawings"
    __table_args__ = (
        one_of("kind", words.DrawingKind),
        one_of("shape", words.Shape),
        CheckConstraint("removes IS NULL OR undoes IS NULL", name="one_act"),
        Index(None, "case_id", "reviewer_id"),
        Index(None, "project_id", "reviewer_id", "seq"),
        Index(None, "removes"),
    )

    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    cue_id: Mapped[str | None] = mapped_column(ID, ForeignKey("cues.id"))
    kind: Mapped[str]
    shape: Mapped[str]
    points: Mapped[tuple[Any, ...]]
    note: Mapped[str]
    removes: Mapped[str | None] = mapped_column(ID, ForeignKey("drawings.id"))
    undoes: Mapped[str | None] = mapped_column(ID, ForeignKey("drawings.id"), unique=True)


class Note(Event, Base):
    """A remark on a case or a concept; `removes` takes one away."""

    __tablename__ = "notes"
    __table_args__ = (
        one_of("kind", words.NoteKind),
        Index(None, "case_id", "seq"),
        Index(None, "concept_id", "seq"),
        Index(None, "project_id", "kind", "seq"),
    )

    case_id: Mapped[str | None] = mapped_column(ID, ForeignKey("cases.id"))
    concept_id: Mapped[str | None] = mapped_column(ID, ForeignKey("concepts.id"))
    kind: Mapped[str]
    text: Mapped[str]
    payload: Mapped[dict[str, Any]]
    removes: Mapped[str | None] = mapped_column(ID, ForeignKey("notes.id"), unique=True)


class ClassVerdict(Event, Base):
    """A word on a concept in a class; the highest revision stands."""

    __tablename__ = "class_verdicts"
    __table_args__ = (
        UniqueConstraint("concept_id", "class_name", "reviewer_id", "revision"),
        one_of("value", records.VerdictValue),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "class_name", "concept_id"),
    )

    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    class_name: Mapped[str]
    value: Mapped[str]
    reason: Mapped[str | None]
    comment: Mapped[str]
    revision: Mapped[int]


class ColumnVerdict(Event, Base):
    """A word on a metadata column as a whole; the highest revision stands."""

    __tablename__ = "column_verdicts"
    __table_args__ = (
        UniqueConstraint("project_id", "column_name", "reviewer_id", "revision"),
        one_of("value", records.VerdictValue),
        CheckConstraint("revision >= 1", name="revision"),
    )

    column_name: Mapped[str]
    value: Mapped[str]
    reason: Mapped[str | None]
    comment: Mapped[str]
    revision: Mapped[int]


class Adjudication(Event, Base):
    """What was decided where people disagreed; the highest revision stands."""

    __tablename__ = "adjudications"
    __table_args__ = (
        UniqueConstraint("subject", "subject_id", "revision"),
        one_of("subject", words.Subject),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "subject", "subject_id", "revision"),
    )

    subject: Mapped[str]
    subject_id: Mapped[str] = mapped_column(ID)
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    value: Mapped[str]
    reason: Mapped[str]
    revision: Mapped[int]


class Collection(Event, Base):
    """A set of pinned cases. Insert-only."""

    __tablename__ = "collections"
    __table_args__ = (one_of("kind", words.CollectionKind), Index(None, "project_id", "kind"))

    title: Mapped[str]
    about: Mapped[str]
    kind: Mapped[str]


class Pin(Event, Base):
    """A case in a collection, frozen as it was shown; `removes` takes one out."""

    __tablename__ = "pins"
    __table_args__ = (Index(None, "collection_id", "seq"), Index(None, "case_id"))

    collection_id: Mapped[str] = mapped_column(ID, ForeignKey("collections.id"))
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    note: Mapped[str]
    frozen: Mapped[dict[str, Any]]
    removes: Mapped[str | None] = mapped_column(ID, ForeignKey("pins.id"), unique=True)


class TrainingAnswer(Event, Base):
    """One answered pin of one attempt."""

    __tablename__ = "training_answers"
    __table_args__ = (
        UniqueConstraint("reviewer_id", "collection_id", "attempt", "pin_id"),
        CheckConstraint("attempt >= 1", name="attempt"),
        Index(None, "collection_id", "seq"),
    )

    collection_id: Mapped[str] = mapped_column(ID, ForeignKey("collections.id"))
    pin_id: Mapped[str] = mapped_column(ID, ForeignKey("pins.id"))
    attempt: Mapped[int]
    answers: Mapped[dict[str, Any]]
    score: Mapped[float]
