"""What is reviewed: projects, images, model versions, concepts and their relations."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db import records
from db.models.base import ID, Base, one_of


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
        one_of("kind", records.VersionKind),
        one_of("state", records.VersionState),
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
        one_of("source", records.NameSource),
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
        one_of("kind", records.RelationKind),
        Index(None, "project_id", "dictionary_hash", "parent_number"),
    )

    project_id: Mapped[str] = mapped_column(ID, primary_key=True)
    dictionary_hash: Mapped[str] = mapped_column(primary_key=True)
    child_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    weight: Mapped[float]
    support: Mapped[int] = mapped_column(BigInteger)
