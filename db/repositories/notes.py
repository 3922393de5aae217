"""Notes: remarks on a case, a concept or the project."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from db.desk_records import NoteKind, NoteRecord
from db.errors import Conflict, InvalidValue, NotFound
from db.models import Case, Concept, Note, Project, Reviewer
from db.records import utc_now
from db.repositories.base import AnySelect, Repository, build, checked_id, checked_word, cleaned


class NoteRepository(Repository):
    """Append-only: removing appends a row that says so."""

    def add(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        kind: NoteKind,
        text: str,
        payload: dict[str, Any] | None = None,
        case_id: str | None = None,
        concept_id: str | None = None,
        created_at: datetime | None = None,
    ) -> NoteRecord:
        """Append a note; the same id and content again returns the stored one.

        Args:
            created_at: when it was written (imports); by default now.

        Raises InvalidValue for one that says nothing, NotFound for a case or concept of another
        project, Conflict where the id came with other content.
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "case_id": case_id,
            "concept_id": concept_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, NoteKind, "kind of note"),
            "text": cleaned(text).strip(),
            "payload": payload or {},
            "removes": None,
        }
        if not content["text"] and not payload:
            raise InvalidValue("a note must say something")
        self._require(Project, project_id, "project")
        for model, key in ((Case, case_id), (Concept, concept_id)):
            if key is not None:
                name = model.__tablename__.removesuffix("s")
                if self._require(model, key, name).project_id != project_id:  # type: ignore[attr-defined]
                    raise NotFound(f"{name} of this project with id", key)
        return self._append(id, content, created_at)

    def remove(self, *, id: str, note_id: str, reviewer_id: str) -> NoteRecord:
        """Take a note of one's own away; returns the row that says so.

        Raises NotFound, InvalidValue for somebody else's, Conflict where it is gone already.
        """
        note = self.get(note_id)
        if note.removes is not None:
            raise NotFound("note", note_id)
        if note.reviewer_id != reviewer_id:
            raise InvalidValue("a note can only be removed by the one who wrote it")
        content: dict[str, Any] = {
            "project_id": note.project_id,
            "case_id": note.case_id,
            "concept_id": note.concept_id,
            "reviewer_id": reviewer_id,
            "kind": note.kind,
            "text": "",
            "payload": {},
            "removes": note_id,
        }
        known = self._known(Note, checked_id(id), content)
        gone = select(Note.seq).where(Note.removes == note_id)
        if known is None and self._session.scalar(gone) is not None:
            raise Conflict("this note was removed already")
        return self._append(id, content)

    def get(self, note_id: str) -> NoteRecord:
        """The event of that id, or NotFound."""
        found = self._read(Note.id == note_id)
        if not found:
            raise NotFound("note", note_id)
        return found[0]

    def of_case(self, case_id: str) -> tuple[NoteRecord, ...]:
        """The notes on a case that stand, oldest first."""
        return self._read(Note.case_id == case_id, *_standing())

    def of_concept(self, concept_id: str) -> tuple[NoteRecord, ...]:
        """The notes on a concept that stand, oldest first."""
        return self._read(Note.concept_id == concept_id, *_standing())

    def list(self, project_id: str, *, kind: NoteKind | None = None) -> tuple[NoteRecord, ...]:
        """The notes of a project that stand, oldest first."""
        where = () if kind is None else (Note.kind == kind,)
        return self._read(Note.project_id == project_id, *where, *_standing())

    def _append(
        self, event_id: str, content: dict[str, Any], at: datetime | None = None
    ) -> NoteRecord:
        clean = checked_id(event_id)
        row = self._known(Note, clean, content)
        if row is None:
            self._require(Reviewer, content["reviewer_id"], "reviewer")
            row = self._insert_event(Note(id=clean, created_at=at or utc_now(), **content))
        return self.get(row.id)

    def _read(self, *where: ColumnElement[bool]) -> tuple[NoteRecord, ...]:
        rows = self._session.execute(_events().where(*where).order_by(Note.seq))
        return tuple(build(NoteRecord, row.Note, reviewer=row.reviewer_name) for row in rows)


def _events() -> AnySelect:
    name = Reviewer.name.label("reviewer_name")
    return select(Note, name).join(Reviewer, Reviewer.id == Note.reviewer_id)


def _standing() -> tuple[ColumnElement[bool], ...]:
    remover = aliased(Note)
    return Note.removes.is_(None), ~exists().where(remover.removes == Note.id)
