"""Feedback snapshots."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from db.errors import Conflict
from db.feedback_records import SnapshotRecord
from db.models import FeedbackSnapshot, Project
from db.records import new_id, utc_now
from db.repositories.base import Repository, batches, build, same_content


class SnapshotRepository(Repository):
    """Frozen sets of verdicts, addressed by their content."""

    def add(
        self, project_id: str, *, hash: str, payload: dict[str, Any], verdicts: int
    ) -> SnapshotRecord:
        """Store a snapshot; the same hash again returns the stored one.

        Raises Conflict where that hash is known with another payload.
        """
        self._require(Project, project_id, "project", lock=True)
        known = self.by_hash(project_id, hash)
        if known is not None:
            if not same_content(known, {"payload": payload, "verdicts": verdicts}):
                raise Conflict(f"feedback snapshot {hash} is known with other content")
            return known
        row = FeedbackSnapshot(
            id=new_id(),
            project_id=project_id,
            hash=hash,
            payload=payload,
            verdicts=verdicts,
            created_at=utc_now(),
        )
        return build(SnapshotRecord, self._insert(row))

    def get(self, snapshot_id: str) -> SnapshotRecord:
        """The snapshot of that id, or NotFound."""
        row = self._require(FeedbackSnapshot, snapshot_id, "feedback snapshot")
        return build(SnapshotRecord, row)

    def by_hash(self, project_id: str, hash: str) -> SnapshotRecord | None:
        """The snapshot of that hash, if the project has it."""
        query = select(FeedbackSnapshot).where(
            FeedbackSnapshot.project_id == project_id, FeedbackSnapshot.hash == hash
        )
        row = self._session.scalars(query).one_or_none()
        return None if row is None else build(SnapshotRecord, row)

    def by_ids(self, ids: Iterable[str]) -> dict[str, SnapshotRecord]:
        """The snapshots of those ids that exist."""
        found: dict[str, SnapshotRecord] = {}
        for batch in batches(set(ids)):
            query = select(FeedbackSnapshot).where(FeedbackSnapshot.id.in_(batch))
            found |= {row.id: build(SnapshotRecord, row) for row in self._session.scalars(query)}
        return found
