"""Collections of pinned cases, and newcomers' answers to them."""

from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import aliased

from db.desk_records import CollectionKind, CollectionRecord, PinRecord, TrainingRecord
from db.errors import Conflict, InvalidValue, NotFound
from db.models import Case, Collection, Pin, Project, Reviewer, TrainingAnswer
from db.people import people_in
from db.records import utc_now
from db.repositories.audit import names_of
from db.repositories.base import build, checked_id, checked_name, checked_word, cleaned
from db.repositories.event_reads import Events


class StudyRepository(Events):
    """Collections and answers are insert-only; taking a pin out appends a row that says so."""

    def create(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        title: str,
        about: str = "",
        kind: CollectionKind = "study",
    ) -> CollectionRecord:
        """A new, empty collection; the same id and content again returns the stored one."""
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "title": checked_name(title, "title"),
            "about": cleaned(about),
            "kind": checked_word(kind, CollectionKind, "kind of collection"),
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Collection, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            self._insert_event(Collection(id=event_id, created_at=utc_now(), **content))
        return self.get(event_id)

    def get(self, collection_id: str) -> CollectionRecord:
        """The collection of that id, or NotFound."""
        found = self._collections(Collection.id == collection_id)
        if not found:
            raise NotFound("collection", collection_id)
        return found[0]

    def list(
        self, project_id: str, kind: CollectionKind | None = None
    ) -> tuple[CollectionRecord, ...]:
        """The collections of a project (of one kind), oldest first."""
        of_kind = () if kind is None else (Collection.kind == kind,)
        return self._collections(Collection.project_id == project_id, *of_kind)

    def pin(
        self,
        *,
        id: str,
        collection_id: str,
        case_id: str,
        reviewer_id: str,
        note: str,
        frozen: dict[str, Any],
    ) -> PinRecord:
        """Put a case into a collection, with what is frozen of it.

        The same id again returns the stored pin, with what was frozen then. Raises Conflict
        where the case stands in the collection already, NotFound for a case of another project.
        """
        content: dict[str, Any] = {
            "collection_id": collection_id,
            "case_id": case_id,
            "reviewer_id": reviewer_id,
            "note": cleaned(note),
            "removes": None,
        }
        event_id = checked_id(id)
        collection = self.get(collection_id)
        # Writers to one project's collections wait for each other.
        self._require(Project, collection.project_id, "project", lock=True)
        if self._known(Pin, event_id, content) is None:
            if self._require(Case, case_id, "case").project_id != collection.project_id:
                raise NotFound("case of this project with id", case_id)
            if self._pins(Pin.collection_id == collection_id, Pin.case_id == case_id, *_stands()):
                raise Conflict("this case is in that collection already")
            self._append(event_id, collection.project_id, content, frozen)
        return self.pin_of(event_id)

    def unpin(self, *, id: str, pin_id: str, reviewer_id: str) -> PinRecord:
        """Take a pin out; returns the row that says so. Conflict where it is out already."""
        pin = self.pin_of(pin_id)
        if pin.removes is not None:
            raise InvalidValue("only a pin can be taken out")
        content: dict[str, Any] = {
            "collection_id": pin.collection_id,
            "case_id": pin.case_id,
            "reviewer_id": reviewer_id,
            "note": "",
            "removes": pin_id,
        }
        event_id = checked_id(id)
        self._require(Project, pin.project_id, "project", lock=True)
        if self._known(Pin, event_id, content) is None:
            if not self._pins(Pin.id == pin_id, *_stands()):
                raise Conflict("this case was taken out already")
            self._append(event_id, pin.project_id, content, {})
        return self.pin_of(event_id)

    def pin_of(self, pin_id: str) -> PinRecord:
        """The pin event of that id, or NotFound."""
        found = self._pins(Pin.id == pin_id)
        if not found:
            raise NotFound("pin", pin_id)
        return found[0]

    def pins(self, collection_id: str) -> tuple[PinRecord, ...]:
        """The pins that stand in a collection, oldest first."""
        return self._pins(Pin.collection_id == collection_id, *_stands())

    def answer(
        self,
        *,
        id: str,
        collection_id: str,
        pin_id: str,
        reviewer_id: str,
        attempt: int,
        answers: dict[str, Any],
        score: float,
    ) -> TrainingRecord:
        """Keep the answers to one pin of one attempt, for ever.

        Raises Conflict where this pin was answered in this attempt, or the id came with other
        content; InvalidValue for an attempt below 1.
        """
        content: dict[str, Any] = {
            "collection_id": collection_id,
            "pin_id": pin_id,
            "reviewer_id": reviewer_id,
            "attempt": attempt,
            "answers": answers,
            "score": score,
        }
        event_id = checked_id(id)
        if attempt < 1:
            raise InvalidValue("attempts are counted from 1")
        if self.pin_of(pin_id).collection_id != collection_id:
            raise NotFound("pin of this collection with id", pin_id)
        self._require(Reviewer, reviewer_id, "reviewer", lock=True)
        if self._known(TrainingAnswer, event_id, content) is None:
            if self._answered(pin_id, reviewer_id, attempt):
                raise Conflict("this case was answered in this attempt already")
            project_id = self.get(collection_id).project_id
            self._insert_event(
                TrainingAnswer(id=event_id, project_id=project_id, created_at=utc_now(), **content)
            )
        return self._read(TrainingRecord, TrainingAnswer, TrainingAnswer.id == event_id)[0]

    def answers(
        self, collection_id: str, reviewer_id: str | None = None
    ) -> tuple[TrainingRecord, ...]:
        """Every answer to a collection (of one reviewer), oldest first."""
        where = [TrainingAnswer.collection_id == collection_id]
        if reviewer_id is not None:
            where.append(TrainingAnswer.reviewer_id == reviewer_id)
        return self._read(TrainingRecord, TrainingAnswer, *where)

    def _answered(self, pin_id: str, reviewer_id: str, attempt: int) -> bool:
        query = select(TrainingAnswer.seq).where(
            TrainingAnswer.pin_id == pin_id,
            TrainingAnswer.reviewer_id == reviewer_id,
            TrainingAnswer.attempt == attempt,
        )
        return self._session.scalar(query) is not None

    def _append(
        self, event_id: str, project_id: str, content: dict[str, Any], frozen: dict[str, Any]
    ) -> None:
        self._require(Reviewer, content["reviewer_id"], "reviewer")
        self._insert_event(
            Pin(id=event_id, project_id=project_id, frozen=frozen, created_at=utc_now(), **content)
        )

    def _pins(self, *where: ColumnElement[bool]) -> tuple[PinRecord, ...]:
        rows = self._session.execute(self._events(Pin).where(*where).order_by(Pin.seq)).all()
        names = names_of(self, people_in([row[0].frozen for row in rows]))
        return tuple(
            build(PinRecord, row[0], reviewer=row.reviewer_name, people=names) for row in rows
        )

    def _collections(self, *where: ColumnElement[bool]) -> tuple[CollectionRecord, ...]:
        pins = (
            select(func.count())
            .select_from(Pin)
            .where(Pin.collection_id == Collection.id, *_stands())
            .correlate(Collection)
            .scalar_subquery()
        )
        query = self._events(Collection).add_columns(pins.label("pins"))
        rows = self._session.execute(query.where(*where).order_by(Collection.seq))
        return tuple(
            build(CollectionRecord, row[0], reviewer=row.reviewer_name, pins=row.pins)
            for row in rows
        )


def _stands() -> tuple[ColumnElement[bool], ...]:
    remover = aliased(Pin)
    return Pin.removes.is_(None), ~exists().where(remover.removes == Pin.id)
