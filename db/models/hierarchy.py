"""What people said of the hierarchy of concepts. Append-only."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db import hierarchy_records as words
from db import records
from db.models.base import ID, Base, one_of
from db.models.desk import Event


class Proposal(Event, Base):
    """A change that an expert proposes."""

    __tablename__ = "proposals"
    __table_args__ = (
        one_of("kind", words.ProposalKind),
        one_of("relation_kind", records.RelationKind),
        CheckConstraint("kind <> 'merge' OR target_id IS NOT NULL", name="target"),
        Index(None, "project_id", "dictionary_hash", "seq"),
        Index(None, "concept_id"),
        Index(None, "target_id"),
    )

    dictionary_hash: Mapped[str]
    kind: Mapped[str]
    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    target_id: Mapped[str | None] = mapped_column(ID, ForeignKey("concepts.id"))
    relation_kind: Mapped[str | None]
    parts: Mapped[tuple[Any, ...]]
    reason: Mapped[str]


class ProposalDecision(Event, Base):
    """A proposal accepted or declined; the highest revision stands.

    `place` counts the decisions of a dictionary: it is the order of the fold, and the unique
    key over it refuses the second of two decisions that saw the same hierarchy.
    """

    __tablename__ = "proposal_decisions"
    __table_args__ = (
        UniqueConstraint("proposal_id", "revision"),
        UniqueConstraint("project_id", "dictionary_hash", "place"),
        CheckConstraint("revision >= 1 AND place >= 1", name="revision"),
    )

    proposal_id: Mapped[str] = mapped_column(ID, ForeignKey("proposals.id"))
    dictionary_hash: Mapped[str]
    accepted: Mapped[bool]
    reason: Mapped[str]
    revision: Mapped[int]
    place: Mapped[int]


class ConceptMark(Event, Base):
    """A concept marked (or no longer marked) as artefact or locked; the latest stands."""

    __tablename__ = "concept_marks"
    __table_args__ = (
        UniqueConstraint("concept_id", "kind", "revision"),
        one_of("kind", words.ConceptMarkKind),
        CheckConstraint("revision >= 1", name="revision"),
        Index(None, "project_id", "kind"),
    )

    concept_id: Mapped[str] = mapped_column(ID, ForeignKey("concepts.id"))
    kind: Mapped[str]
    value: Mapped[bool]
    reason: Mapped[str]
    revision: Mapped[int]
