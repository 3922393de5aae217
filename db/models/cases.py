"""Cases, their cues, and the people who review them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.columns import ZlibBytes
from db.models.base import ID, Base
from db.models.catalogue import Concept, Image, ModelVersion


class Case(Base):
    """One image under one model version."""

    __tablename__ = "cases"
    __table_args__ = (
        UniqueConstraint("image_id", "version_id"),
        # With `wanted`: looking for open cases never reads the wide rows themselves.
        Index(None, "version_id", "queue_order", "id", "wanted"),
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
    queue_order: Mapped[int]  # dense: 0 to n-1 within a version
    queue_reason: Mapped[str] = mapped_column(default="")  # why it stands there, in words
    queue_score: Mapped[float] = mapped_column(default=0.0)
    wanted: Mapped[int] = mapped_column(default=1)  # how many people are to judge it
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
