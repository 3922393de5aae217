"""Notes on cases and concepts: remarks, what-ifs as they were set, hypotheses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from dashboard.services.prose import clean_prose
from dashboard.viewmodels import NoteView
from dashboard.viewmodels.marks import NoteKind
from db.desk_records import NoteRecord
from db.errors import NotFound
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_TEXT = 2000  # characters


class NoteService:
    """Appends and reads notes; nothing is ever changed in place."""

    def __init__(self, uow_factory: UnitOfWorkFactory) -> None:
        self._uow = uow_factory

    def write(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        kind: NoteKind,
        text: str,
        payload: Mapping[str, Any] | None = None,
        case_id: str | None = None,
        concept_id: str | None = None,
    ) -> NoteView:
        """Keeps a note; the same id again changes nothing.

        Raises ConfigError for a text that is empty or too long, NotFound for a case or concept of
        another project, Conflict where the id came with other content.
        """
        clean = clean_prose(text, "the note", limit=MAX_TEXT)
        if not clean:
            raise ConfigError("the note is empty")
        with self._uow() as uow:
            fresh = not _known(uow, id)
            row = uow.notes.add(
                id=id, project_id=project_id, reviewer_id=reviewer_id, kind=kind, text=clean,
                payload=dict(payload or {}), case_id=case_id, concept_id=concept_id,
            )  # fmt: skip
            if fresh:
                _audit(uow, row, "note.written")
            uow.commit()
        return note_view(row)

    def remove(self, *, id: str, note_id: str, reviewer_id: str) -> None:
        """Takes a note of one's own away; the same id again changes nothing.

        Raises NotFound, InvalidValue for somebody else's, Conflict where it is gone already.
        """
        with self._uow() as uow:
            fresh = not _known(uow, id)
            row = uow.notes.remove(id=id, note_id=note_id, reviewer_id=reviewer_id)
            if fresh:
                _audit(uow, row, "note.removed")
            uow.commit()

    def of_case(self, case_id: str) -> tuple[NoteView, ...]:
        """The notes on a case that stand, oldest first."""
        with self._uow(read_only=True) as uow:
            return tuple(note_view(row) for row in uow.notes.of_case(case_id))

    def of_concept(self, concept_id: str) -> tuple[NoteView, ...]:
        """The notes on a concept that stand, oldest first."""
        with self._uow(read_only=True) as uow:
            return tuple(note_view(row) for row in uow.notes.of_concept(concept_id))


def note_view(row: NoteRecord) -> NoteView:
    """A note as shown."""
    return NoteView(row.id, row.kind, row.text, row.payload, row.reviewer, row.created_at)


def _known(uow: UnitOfWork, note_id: str) -> bool:
    try:
        uow.notes.get(note_id)
    except NotFound:
        return False
    return True


def _audit(uow: UnitOfWork, row: NoteRecord, action: str) -> None:
    detail = {
        "kind": row.kind, "case": row.case_id, "concept": row.concept_id, "removes": row.removes,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action=action, entity="note", entity_id=row.id, detail=detail,
        project_id=row.project_id,
    )  # fmt: skip
