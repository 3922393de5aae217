"""The names of concepts: an append-only history whose latest event stands."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select
from sqlalchemy.orm import aliased

from db.errors import Conflict, NotFound, StaleWrite
from db.models import Concept, ConceptName, Reviewer
from db.records import ConceptRecord, NameRecord, NameSource, RenameRecord, utc_now
from db.repositories.base import (
    AnySelect,
    Repository,
    build,
    checked_id,
    checked_name,
    checked_word,
    cleaned,
    same_content,
)
from db.repositories.folds import latest_name, name_revision


class ConceptNames(Repository):
    """The part of the concept repository that is about names."""

    def get(self, concept_id: str) -> ConceptRecord:
        """The concept of that id with the name that stands, or NotFound."""
        query = self._with_names().where(Concept.id == concept_id)
        row = self._session.execute(query).one_or_none()
        if row is None:
            raise NotFound("concept", concept_id)
        return build(ConceptRecord, row.Concept, name=row.shown, revision=row.revision)

    def add_name(
        self,
        *,
        id: str,
        concept_id: str,
        name: str,
        based_on: int,
        source: NameSource = "person",
        reviewer_id: str | None = None,
        reason: str = "",
        created_at: datetime | None = None,
    ) -> NameRecord:
        """Append a name; it stands from now on.

        Args:
            based_on: the revision the writer saw (ConceptRecord.revision; 0 = no event yet).
            created_at: when it was given (imports); by default now.

        Raises StaleWrite where a newer name stands, Conflict where the id came with other
        content; the same id with the same content returns the stored event.
        """
        content: dict[str, Any] = {
            "concept_id": concept_id,
            "name": checked_name(name, "concept name"),
            "source": checked_word(source, NameSource, "source of a name"),
            "reviewer_id": reviewer_id,
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        self._require(Concept, concept_id, "concept", lock=True)
        stored = self._session.get(ConceptName, event_id)
        if stored is not None:
            if not same_content(stored, content):
                raise Conflict(f"name event {event_id} is known with other content")
            return self._name_event(event_id)
        highest = select(func.max(ConceptName.revision)).where(ConceptName.concept_id == concept_id)
        current = self._session.scalar(highest) or 0
        if based_on != current:
            raise StaleWrite("concept name", based_on, current)
        self._insert(
            ConceptName(
                id=event_id, revision=current + 1, created_at=created_at or utc_now(), **content
            )
        )
        return self._name_event(event_id)

    def name_history(self, concept_id: str) -> tuple[NameRecord, ...]:
        """Every name event of a concept, oldest first; NotFound for no such concept."""
        self._require(Concept, concept_id, "concept")
        query = _events().where(ConceptName.concept_id == concept_id)
        rows = self._session.execute(query.order_by(ConceptName.revision))
        return tuple(_name_record(row) for row in rows)

    def name_events(
        self, project_id: str, dictionary_hash: str
    ) -> dict[int, tuple[NameRecord, ...]]:
        """Number -> every name event, oldest first; without the concepts that have none."""
        query = (
            _events()
            .add_columns(Concept.number)
            .join(Concept, Concept.id == ConceptName.concept_id)
            .where(Concept.project_id == project_id, Concept.dictionary_hash == dictionary_hash)
            .order_by(Concept.number, ConceptName.revision)
        )
        found: dict[int, list[NameRecord]] = {}
        for row in self._session.execute(query):
            found.setdefault(row.number, []).append(_name_record(row))
        return {number: tuple(events) for number, events in found.items()}

    def renames(self, project_id: str) -> tuple[RenameRecord, ...]:
        """What people renamed in a project, newest first, with the name before."""
        former = aliased(ConceptName)
        before = and_(
            former.concept_id == ConceptName.concept_id,
            former.revision == ConceptName.revision - 1,
        )
        query = (
            _events()
            .add_columns(
                Concept.number,
                func.coalesce(former.name, Concept.model_name).label("former"),
            )
            .join(Concept, Concept.id == ConceptName.concept_id)
            .outerjoin(former, before)
            .where(Concept.project_id == project_id, ConceptName.source == "person")
            .order_by(ConceptName.created_at.desc(), ConceptName.id)
        )
        return tuple(
            RenameRecord(row.number, row.former, _name_record(row))
            for row in self._session.execute(query)
        )

    def names(
        self,
        project_id: str,
        dictionary_hash: str,
        *,
        person_only: bool = False,
        numbers: Collection[int] | None = None,
    ) -> dict[int, str]:
        """Number -> name that stands, for named concepts; or only those a person named.

        Args:
            numbers: only these (a case needs a few of thousands).
        """
        if person_only:
            return self._persons_names(project_id, dictionary_hash, numbers)
        query = select(Concept.number, latest_name().label("shown")).where(
            Concept.project_id == project_id,
            Concept.dictionary_hash == dictionary_hash,
            latest_name().is_not(None),
            *_of_numbers(numbers),
        )
        return {row.number: row.shown for row in self._session.execute(query)}

    def _persons_names(
        self, project_id: str, dictionary_hash: str, numbers: Collection[int] | None
    ) -> dict[int, str]:
        query = (
            select(Concept.number, ConceptName.name)
            .join(Concept, Concept.id == ConceptName.concept_id)
            .where(
                Concept.project_id == project_id,
                Concept.dictionary_hash == dictionary_hash,
                ConceptName.source == "person",
                ConceptName.revision == name_revision(),
                *_of_numbers(numbers),
            )
        )
        return self._mapping(query)

    def _with_names(self) -> AnySelect:
        return select(Concept, latest_name().label("shown"), name_revision().label("revision"))

    def _name_event(self, event_id: str) -> NameRecord:
        row = self._session.execute(_events().where(ConceptName.id == event_id)).one()
        return _name_record(row)


def _of_numbers(numbers: Collection[int] | None) -> tuple[ColumnElement[bool], ...]:
    return () if numbers is None else (Concept.number.in_(numbers),)


def _events() -> AnySelect:
    reviewer = Reviewer.name.label("reviewer")
    return select(ConceptName, reviewer).outerjoin(Reviewer, Reviewer.id == ConceptName.reviewer_id)


def _name_record(row: Row[Any]) -> NameRecord:
    return build(NameRecord, row.ConceptName, reviewer=row.reviewer)
