"""The audit chain, and the two acts that a chain must survive: redaction and retention."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import ID, Base
from db.models.desk import Event


class ChainEntry(Base):
    """An entry of a project's hash chain (see db.chain). Append-only."""

    __tablename__ = "chain_entries"
    __table_args__ = (UniqueConstraint("table_name", "row_id"),)

    project_id: Mapped[str] = mapped_column(ID, primary_key=True)  # or "workspace"
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    table_name: Mapped[str]
    row_id: Mapped[str] = mapped_column(ID)
    row_hash: Mapped[str]
    hash: Mapped[str]
    behind: Mapped[int]
    at: Mapped[datetime]


class ChainHead(Base):
    """Where a chain ends. Moves with every entry; writers of one project wait for it in turn."""

    __tablename__ = "chain_heads"

    project_id: Mapped[str] = mapped_column(ID, primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]
    top_event: Mapped[int] = mapped_column(BigInteger)  # highest seq in the chain
    top_line: Mapped[int] = mapped_column(BigInteger)  # highest number of an audit line in it


class Redaction(Event, Base):
    """A person's name replaced by a pseudonym. Append-only; the name itself is not kept."""

    __tablename__ = "redactions"
    __table_args__ = (Index(None, "person_id"),)

    person_id: Mapped[str] = mapped_column(ID, ForeignKey("reviewers.id"))
    pseudonym: Mapped[str]
    reason: Mapped[str]


class Retention(Event, Base):
    """Audit lines older than a moment may go; a trigger lets no other row go, ever. Append-only."""

    __tablename__ = "retentions"
    __table_args__ = (
        CheckConstraint("count >= 0", name="count"),
        Index(None, "project_id", "older_than"),
    )

    project_id: Mapped[str | None] = mapped_column(  # type: ignore[assignment]
        ID, ForeignKey("projects.id"), sort_order=-7
    )  # None: lines that belong to no project
    older_than: Mapped[datetime]
    reason: Mapped[str]
    count: Mapped[int]
