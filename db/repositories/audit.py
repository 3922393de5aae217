"""The audit log."""

from typing import Any

from sqlalchemy import select

from db.feedback_records import AuditRecord
from db.models import AuditEntry
from db.records import utc_now
from db.repositories.base import Repository, build, cleaned


class AuditRepository(Repository):
    """Who did what to what, in order. Append-only."""

    def append(
        self,
        *,
        actor: str,
        action: str,
        entity: str,
        entity_id: str,
        detail: dict[str, Any] | None = None,
    ) -> AuditRecord:
        """Write one line."""
        row = AuditEntry(
            at=utc_now(),
            actor=cleaned(actor),
            action=action,
            entity=entity,
            entity_id=entity_id,
            detail=detail or {},
        )
        return build(AuditRecord, self._insert(row))

    def list(
        self,
        *,
        entity: str | None = None,
        entity_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[AuditRecord, ...]:
        """Lines, newest first."""
        query = select(AuditEntry)
        if entity is not None:
            query = query.where(AuditEntry.entity == entity)
        if entity_id is not None:
            query = query.where(AuditEntry.entity_id == entity_id)
        query = query.order_by(AuditEntry.id.desc()).limit(limit).offset(offset)
        return tuple(build(AuditRecord, row) for row in self._session.scalars(query))
