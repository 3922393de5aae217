"""The tables (SQLAlchemy 2). Nothing outside `db` sees these: repositories return records.

verdicts, assessments, concept_names and audit_log are append-only; triggers made by the
migration refuse UPDATE and DELETE. Relationships never load by themselves (`lazy="raise"`).
"""

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db import records
from db.columns import TupleJSON, UtcDateTime, ZlibBytes

ID = String(36)
BIG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only INTEGER keys


class Base(DeclarativeBase):
    """Declarative base; the naming convention lets migrations name every constraint."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  read once by SQLAlchemy
        datetime: UtcDateTime(),
        float: Double(),
        dict[str, Any]: JSON(none_as_null=True),
        tuple[Any, ...]: TupleJSON(),
    }


def _one_of(column: str, words: Any) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in get_args(words))
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Project(Base):
    """A dataset, label set, vocabulary and settings."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    root: Mapped[str]
    classes: Mapped[tuple[Any, ...]]
    vocabulary: Mapped[dict[str, Any]]
    notice: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    active_version_id: Mapped[str | None] = mapped_column(
        ID, ForeignKey("model_versions.id", use_alter=True)
    )
    created_at: Mapped[datetime]


class Image(Base):
    """An ingested image; the file stays where it is."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("project_id", "relpath"),
        UniqueConstraint("project_id", "sha256"),
        Index(None, "project_id", "split", "label"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    relpath: Mapped[str]
    sha256: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    label: Mapped[str | None]
    split: Mapped[str | None]
    group_name: Mapped[str | None]
    mask_path: Mapped[str | None]
    meta: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ModelVersion(Base):
    """An immutable, content-addressed bundle; only its state moves."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("project_id", "hash"),
        _one_of("kind", records.VersionKind),
        _one_of("state", records.VersionState),
        Index(
            "uq_model_versions_one_active",
            "project_id",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    hash: Mapped[str]
    parent_hash: Mapped[str | None]
    kind: Mapped[str]
    state: Mapped[str]
    dictionary_hash: Mapped[str]
    encoder_spec: Mapped[str]
    encoder_hash: Mapped[str]
    folder: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    classes: Mapped[tuple[Any, ...]]
    metrics: Mapped[dict[str, Any]]
    snapshot_id: Mapped[str | None] = mapped_column(ID, ForeignKey("feedback_snapshots.id"))
    run_id: Mapped[str | None] = mapped_column(ID, ForeignKey("runs.id", use_alter=True))
    code_version: Mapped[str]
    created_at: Mapped[datetime]


class Concept(Base):
    """A latent of a dictionary; shared by every version with that dictionary."""

    __tablename__ = "concepts"
    __table_args__ = (UniqueConstraint("project_id", "dictionary_hash", "number"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    dictionary_hash: Mapped[str]
    number: Mapped[int]
    level: Mapped[int]
    frequency: Mapped[float]
    model_name: Mapped[str | None]
    score: Mapped[float]
    margin: Mapped[float]
    runners_up: Mapped[tuple[Any, ...]]


class ConceptName(Base):
    """An event of a concept's name history. Append-only."""

    __tablename__ = "concept_names"
    __table_args__ = (
        UniqueConstraint("concept_id", "revision"),
        _one_of("source", records.NameSource),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    revision: Mapped[int]
    name: Mapped[str]
    source: Mapped[str]
    reviewer_id: Mapped[str | None] = mapped_column(ID, ForeignKey("reviewers.id"))
    reason: Mapped[str]
    created_at: Mapped[datetime]


class Relation(Base):
    """A directed edge between two concepts of one dictionary."""

    __tablename__ = "relations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "dictionary_hash", "child_number"],
            ["concepts.project_id", "concepts.dictionary_hash", "concepts.number"],
            name="fk_relations_child_concepts",
        ),
        ForeignKeyConstraint(
            ["project_id", "dictionary_hash", "parent_number"],
            ["concepts.project_id", "concepts.dictionary_hash", "concepts.number"],
            name="fk_relations_parent_concepts",
        ),
        _one_of("kind", records.RelationKind),
        Index(None, "project_id", "dictionary_hash", "parent_number"),
    )

    project_id: Mapped[str] = mapped_column(ID, primary_key=True)
    dictionary_hash: Mapped[str] = mapped_column(primary_key=True)
    child_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    weight: Mapped[float]
    support: Mapped[int] = mapped_column(BigInteger)


class Case(Base):
    """One image under one model version."""

    __tablename__ = "cases"
    __table_args__ = (
        UniqueConstraint("image_id", "version_id"),
        Index(None, "version_id", "queue_order", "id"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(ID, ForeignKey("projects.id"))
    image_id: Mapped[str] = mapped_column(ID, ForeignKey("images.id"))
    version_id: Mapped[str] = mapped_column(ID, ForeignKey("model_versions.id"))
    prediction: Mapped[str]
    confidence: Mapped[float]
    logit: Mapped[float]
    bias: Mapped[float]
    probabilities: Mapped[tuple[Any, ...]]
    queue_order: Mapped[int]
    explanation: Mapped[dict[str, Any] | None]

    image: Mapped[Image] = relationship(lazy="raise")
    version: Mapped[ModelVersion] = relationship(lazy="raise")


class Cue(Base):
    """One concept in one case."""

    __tablename__ = "cues"
    __table_args__ = (
        UniqueConstraint("case_id", "concept_id"),
        Index(None, "concept_id", "activation"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    case_id: Mapped[str] = mapped_column(ID, ForeignKey("cases.id"))
    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    rank: Mapped[int]
    activation: Mapped[float]
    contribution: Mapped[float]
    causal_effect: Mapped[float]
    grid_rows: Mapped[int]
    grid_cols: Mapped[int]
    map_u8: Mapped[bytes] = mapped_column(ZlibBytes())
    region_bits: Mapped[bytes] = mapped_column(LargeBinary)
    regions: Mapped[tuple[Any, ...]]

    case: Mapped[Case] = relationship(lazy="raise")
    concept: Mapped[Concept] = relationship(lazy="raise")


class Reviewer(Base):
    """A person who reviews."""

    __tablename__ = "reviewers"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Verdict(Base):
    """An expert's word on a cue. Append-only; the highest revision stands.

    case, concept and project repeat what the cue says, so that folds need no joins.
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        UniqueConstraint("cue_id", "reviewer_id", "revision"),
        _one_of("value", records.VerdictValue),
        _one_of("scope", records.Scope),
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
    revision: Mapped[int]
    created_at: Mapped[datetime]

    reviewer: Mapped[Reviewer] = relationship(lazy="raise")


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
        _one_of("kind", records.RunKind),
        _one_of("state", records.RunState),
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


class AuditEntry(Base):
    """One line of the audit log. Append-only."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "entity", "entity_id", "id"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[str]
    detail: Mapped[dict[str, Any]]
