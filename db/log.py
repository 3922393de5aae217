"""Everything that people said in a project, as plain records that can be said again elsewhere.

The log is the truth: replayed over the same catalogue (images, versions, concepts, cases, cues,
reviewers) it gives the same screens. Events of one `subject` keep their order; events of
different subjects may arrive in any order, and an event that arrives twice is kept once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from db.errors import Conflict, StaleWrite
from db.models import (
    Adjudication,
    Assessment,
    Assignment,
    Base,
    ClassVerdict,
    Collection,
    ColumnVerdict,
    Concept,
    ConceptMark,
    ConceptName,
    Criterion,
    Decision,
    Drawing,
    Export,
    Member,
    ModelVersion,
    Note,
    Pin,
    ProjectSettings,
    Proposal,
    ProposalDecision,
    QueueMark,
    Redaction,
    Retention,
    Schedule,
    TrainingAnswer,
    Verdict,
    VersionEvent,
)
from db.repositories.base import Repository, same_content
from db.repositories.recount import Recount
from db.repositories.redactions import RedactionRepository
from db.repositories.version_events import VersionEventRepository


@dataclass(frozen=True)
class LoggedEvent:
    """One row of an event table, without its `seq` (the place it has in one database)."""

    table: str
    id: str
    subject: str  # events of the same subject keep their order
    values: dict[str, Any] = field(repr=False)  # every column but id and seq


@dataclass(frozen=True)
class _Kind:
    model: Any
    subject: Callable[[Any], str]
    chain: tuple[str, ...] = ()  # columns within which revisions follow one another


# Acts that a reviewer can undo keep the reviewer's order: it is the undo stack.
_KINDS: dict[str, _Kind] = {
    kind.model.__tablename__: kind
    for kind in (
        _Kind(ConceptName, lambda row: f"name {row.concept_id}", ("concept_id",)),
        _Kind(Member, lambda row: f"member {row.reviewer_id}", ("project_id", "reviewer_id")),
        _Kind(ProjectSettings, lambda row: "settings", ("project_id",)),
        _Kind(Verdict, lambda row: f"acts {row.reviewer_id}", ("cue_id", "reviewer_id")),
        _Kind(Assessment, lambda row: f"acts {row.reviewer_id}", ("case_id", "reviewer_id")),
        _Kind(Drawing, lambda row: f"acts {row.reviewer_id}"),
        _Kind(Note, lambda row: f"notes {row.reviewer_id}"),
        _Kind(
            ClassVerdict,
            lambda row: f"class {row.concept_id} {row.reviewer_id}",
            ("concept_id", "class_name", "reviewer_id"),
        ),
        _Kind(
            ColumnVerdict,
            lambda row: f"column {row.column_name} {row.reviewer_id}",
            ("project_id", "column_name", "reviewer_id"),
        ),
        _Kind(VersionEvent, lambda row: "versions"),
        _Kind(ConceptMark, lambda row: f"mark {row.concept_id}", ("concept_id", "kind")),
        _Kind(Proposal, lambda row: f"hierarchy {row.dictionary_hash}"),
        _Kind(ProposalDecision, lambda row: f"hierarchy {row.dictionary_hash}", ("proposal_id",)),
        _Kind(QueueMark, lambda row: f"queue {row.case_id}"),
        _Kind(Assignment, lambda row: f"queue {row.case_id}"),
        _Kind(
            Adjudication,
            lambda row: f"adjudication {row.subject} {row.subject_id}",
            ("subject", "subject_id"),
        ),
        _Kind(Collection, lambda row: f"collection {row.id}"),
        _Kind(Pin, lambda row: f"collection {row.collection_id}"),
        _Kind(TrainingAnswer, lambda row: f"collection {row.collection_id}"),
        _Kind(Criterion, lambda row: f"criterion {row.measure}", ("project_id", "measure")),
        _Kind(Decision, lambda row: "decisions"),
        _Kind(Schedule, lambda row: f"schedule {row.schedule_id}", ("schedule_id",)),
        _Kind(Export, lambda row: "exports"),
        _Kind(Redaction, lambda row: f"redaction {row.person_id}"),
        _Kind(Retention, lambda row: "retentions"),
    )
}


class Log(Repository):
    """Reads and replays; one transaction, like every repository."""

    def read(self, project_id: str) -> tuple[LoggedEvent, ...]:
        """Every event of a project, in the order in which the store took them.

        Names have no place in that order: they come first, in their own.
        """
        found: list[tuple[int, LoggedEvent]] = []
        for kind in _KINDS.values():
            model = kind.model
            query = select(model)
            if model is ConceptName:
                query = query.join(Concept, Concept.id == ConceptName.concept_id)
                query = query.where(Concept.project_id == project_id)
                query = query.order_by(ConceptName.concept_id, ConceptName.revision)
            else:
                query = query.where(model.project_id == project_id)
            found += [
                (getattr(row, "seq", 0), _event(kind, row)) for row in self._session.scalars(query)
            ]
        return tuple(event for _seq, event in sorted(found, key=lambda each: each[0]))

    def replay(self, events: Iterable[LoggedEvent]) -> int:
        """Take events from elsewhere and say how many were new.

        Counters and the states of versions are worked out anew.

        Raises Conflict where an id is known with other content, StaleWrite where an event does
        not follow what stands, NotFound where the catalogue lacks what it speaks of.
        """
        projects: set[str] = set()
        new = 0
        for event in events:
            projects.add(self._project(event))
            new += self._take(event)
        for project_id in sorted(projects):
            versions = select(ModelVersion.id).where(ModelVersion.project_id == project_id)
            for version_id in sorted(self._session.scalars(versions)):
                Recount(self._session).everything(version_id)
            VersionEventRepository(self._session).refold(project_id)
            RedactionRepository(self._session).refold(project_id)
        return new

    def _take(self, event: LoggedEvent) -> bool:
        kind = _KINDS[event.table]
        known = self._session.scalars(
            select(kind.model).where(kind.model.id == event.id)
        ).one_or_none()
        if known is not None:
            if not same_content(known, event.values):
                raise Conflict(f"event {event.id} is known with other content")
            return False
        if kind.chain:
            self._refuse_gap(kind, event)
        row = kind.model(id=event.id, **event.values)
        if event.table == ConceptName.__tablename__:
            self._insert(row)
        else:
            self._insert_event(row)
        return True

    def _refuse_gap(self, kind: _Kind, event: LoggedEvent) -> None:
        model = kind.model
        same = [getattr(model, name) == event.values[name] for name in kind.chain]
        query = select(model.revision).where(*same).order_by(model.revision.desc()).limit(1)
        latest = self._session.scalar(query) or 0
        if event.values["revision"] != latest + 1:
            name = event.table.removesuffix("s").replace("_", " ")
            raise StaleWrite(name, event.values["revision"] - 1, latest)

    def _project(self, event: LoggedEvent) -> str:
        if event.table == ConceptName.__tablename__:
            return self._require(Concept, event.values["concept_id"], "concept").project_id
        return str(event.values["project_id"])


def _event(kind: _Kind, row: Base) -> LoggedEvent:
    columns = [column.name for column in row.__table__.columns]
    values = {name: getattr(row, name) for name in columns if name not in ("id", "seq")}
    return LoggedEvent(
        table=row.__tablename__,
        id=row.id,  # type: ignore[attr-defined]
        subject=kind.subject(row),
        values=values,
    )


def by_subject(events: Sequence[LoggedEvent]) -> dict[str, tuple[LoggedEvent, ...]]:
    """Subject -> its events in order."""
    found: dict[str, list[LoggedEvent]] = {}
    for event in events:
        found.setdefault(event.subject, []).append(event)
    return {subject: tuple(own) for subject, own in found.items()}
