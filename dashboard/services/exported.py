"""Every file that leaves the app is written down: who took it, what it covers, its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from db.governance_records import ExportKind, ExportRecord
from db.records import ReviewerRecord
from db.unit_of_work import UnitOfWork

PROGRAM = "insight"  # who did it where nobody did: a schedule
CHUNK = 1 << 20  # bytes


def digest(content: Path | bytes) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of a file or of bytes; a file is read in pieces."""
    found = hashlib.sha256()
    if isinstance(content, bytes):
        found.update(content)
        return found.hexdigest(), len(content)
    size = 0
    with content.open("rb") as handle:
        while piece := handle.read(CHUNK):
            found.update(piece)
            size += len(piece)
    return found.hexdigest(), size


def record_export(
    uow: UnitOfWork,
    *,
    export_id: str,
    project_id: str,
    person: ReviewerRecord | None,
    kind: ExportKind,
    format: str,
    scope: dict[str, Any],
    content: Path | bytes,
    version_hash: str | None,
    path: str | None = None,
    schedule_id: str | None = None,
) -> ExportRecord:
    """Write the export and its audit line in this transaction; idempotent by `export_id`.

    Args:
        person: None where a schedule made the file.
        content: what left, for its hash and size.
        path: where it was kept, inside the workspace.
    """
    sha256, size = digest(content)
    known = any(each.id == export_id for each in uow.exports.by_hash(sha256))
    row = uow.exports.add(
        id=export_id,
        project_id=project_id,
        reviewer_id=None if person is None else person.id,
        kind=kind,
        format=format,
        scope=scope,
        sha256=sha256,
        size=size,
        path=path,
        version_hash=version_hash,
        schedule_id=schedule_id,
    )
    if not known:
        uow.audit.append(
            actor=PROGRAM if person is None else person.name,
            action="export",
            entity="export",
            entity_id=row.id,
            project_id=project_id,
            detail={"kind": kind, "format": format, "scope": scope, "sha256": sha256},
        )
    return row
