"""The files that left the app, for good."""

from typing import Any

from sqlalchemy import ColumnElement, select

from db.errors import NotFound
from db.governance_records import ExportKind, ExportRecord
from db.models import Export, Project, Reviewer
from db.records import utc_now
from db.repositories.base import Repository, build, checked_id, checked_word, cleaned


class ExportRepository(Repository):
    """Append-only: who took what out, when, and the hash of what they got."""

    def add(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        kind: ExportKind,
        format: str,
        scope: dict[str, Any],
        sha256: str,
        size: int,
        path: str | None = None,
        version_hash: str | None = None,
        schedule_id: str | None = None,
    ) -> ExportRecord:
        """Write an export down; idempotent by id. Raises Conflict, NotFound, InvalidValue."""
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, ExportKind, "kind of export"),
            "format": cleaned(format),
            "scope": scope,
            "sha256": sha256,
            "size": size,
            "path": path,
            "version_hash": version_hash,
            "schedule_id": schedule_id,
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project")
        if self._known(Export, event_id, content) is None:
            if reviewer_id is not None:
                self._require(Reviewer, reviewer_id, "reviewer")
            self._insert_event(Export(id=event_id, created_at=utc_now(), **content))
        return self.get(event_id)

    def get(self, export_id: str) -> ExportRecord:
        """One export, or NotFound."""
        found = self._read(Export.id == export_id)
        if not found:
            raise NotFound("export", export_id)
        return found[0]

    def list(
        self, project_id: str, *, kind: ExportKind | None = None, limit: int = 100
    ) -> tuple[ExportRecord, ...]:
        """The exports of a project, newest first."""
        where: list[ColumnElement[bool]] = [Export.project_id == project_id]
        if kind is not None:
            where.append(Export.kind == kind)
        return self._read(*where, limit=limit)

    def by_hash(self, sha256: str) -> tuple[ExportRecord, ...]:
        """Every export whose file had that hash, newest first."""
        return self._read(Export.sha256 == sha256)

    def last_of(self, schedule_id: str) -> ExportRecord | None:
        """The newest export that a schedule made."""
        found = self._read(Export.schedule_id == schedule_id, limit=1)
        return found[0] if found else None

    def _read(
        self, *where: ColumnElement[bool], limit: int | None = None
    ) -> tuple[ExportRecord, ...]:
        query = (
            select(Export, Reviewer.name.label("reviewer_name"))
            .outerjoin(Reviewer, Reviewer.id == Export.reviewer_id)
            .where(*where)
            .order_by(Export.seq.desc())
            .limit(limit)
        )
        rows = self._session.execute(query)
        return tuple(build(ExportRecord, row[0], reviewer=row.reviewer_name) for row in rows)
