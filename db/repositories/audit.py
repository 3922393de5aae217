"""The audit log."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from db.chain_records import AuditLine
from db.errors import Conflict
from db.feedback_records import AuditRecord
from db.models import AuditEntry, Reviewer
from db.people import PROGRAMS, named, people_in, person_key
from db.records import new_id, utc_now
from db.repositories.base import BATCH, Repository, batches, build, checked_id, cleaned, values_of


class AuditRepository(Repository):
    """Who did what to what, in order. Append-only.

    People are stored by id, in `actor` and wherever `detail` names one by `db.people.person_key`;
    `list` gives their names back. `read` and `adopt` carry the lines as they are stored.
    """

    def append(
        self,
        *,
        actor: str,
        action: str,
        entity: str,
        entity_id: str,
        detail: dict[str, Any] | None = None,
        project_id: str | None = None,
    ) -> AuditRecord:
        """Write one line.

        Args:
            actor: a reviewer's name, or the program that did it (db.people.PROGRAMS).
            project_id: None only for what belongs to the whole workspace (a sign-in).
        """
        row = AuditEntry(
            uid=new_id(),
            project_id=project_id,
            at=utc_now(),
            actor=self._actor(cleaned(actor)),
            action=action,
            entity=entity,
            entity_id=entity_id,
            detail=detail or {},
        )
        return _record(self._insert(row), {})

    def list(
        self,
        *,
        entity: str | None = None,
        entity_id: str | None = None,
        project_id: str | None = None,
        reviewer_id: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[AuditRecord, ...]:
        """Lines, newest first.

        Args:
            action: the whole action, or its first word with the dot ("verdict.").
            since, before: the first moment and the first one after the period.
        """
        where = _where(entity, entity_id, project_id, reviewer_id, action, since, before)
        query = select(AuditEntry).where(*where).order_by(AuditEntry.id.desc())
        rows = self._session.scalars(query.limit(limit).offset(offset)).all()
        names = self._names([row.actor for row in rows], [row.detail for row in rows])
        return tuple(_record(row, names) for row in rows)

    def actions(self, project_id: str) -> tuple[str, ...]:
        """The different actions in the lines of a project, sorted."""
        query = select(AuditEntry.action).where(AuditEntry.project_id == project_id).distinct()
        return tuple(sorted(self._session.scalars(query)))

    def entities(self, project_id: str) -> tuple[str, ...]:
        """What the lines of a project speak of, sorted."""
        query = select(AuditEntry.entity).where(AuditEntry.project_id == project_id).distinct()
        return tuple(sorted(self._session.scalars(query)))

    def people(self, project_id: str) -> dict[str, str]:
        """Reviewer id -> name, of the people who did anything in a project."""
        query = select(AuditEntry.actor).where(AuditEntry.project_id == project_id).distinct()
        return self._names(self._session.scalars(query).all())

    def read(self, project_id: str | None) -> Iterator[AuditLine]:
        """The lines of a project (None: of the workspace) as they are stored, oldest first."""
        after = 0
        while True:
            query = (
                select(AuditEntry)
                .where(AuditEntry.project_id == project_id, AuditEntry.id > after)
                .order_by(AuditEntry.id)
                .limit(BATCH)
                .execution_options(populate_existing=True)
            )
            found = self._session.scalars(query).all()
            yield from (build(AuditLine, row) for row in found)
            if len(found) < BATCH:
                return
            after = found[-1].id

    def adopt(self, line: AuditLine) -> bool:
        """Take a line from elsewhere as it is; returns whether it is new.

        Raises Conflict where the line is known with other content.
        """
        uid = checked_id(line.uid)
        known = self._session.scalars(select(AuditEntry).where(AuditEntry.uid == uid)).one_or_none()
        if known is None:
            self._insert(AuditEntry(**values_of(line)))
            return True
        if build(AuditLine, known) != line:
            raise Conflict(f"audit line {uid} is known with other content")
        return False

    def _actor(self, name: str) -> str:
        if name in PROGRAMS:
            return name
        query = select(Reviewer.id).where(Reviewer.name == name.strip())
        found = self._session.scalar(query)
        return name if found is None else person_key(found)

    def _names(self, *values: Any) -> dict[str, str]:
        return names_of(self, people_in(values))


def names_of(repository: Repository, people: Iterable[str]) -> dict[str, str]:
    """Reviewer id -> the name that they have now."""
    found: dict[str, str] = {}
    for ids in batches(sorted(set(people))):
        query = select(Reviewer.id, Reviewer.name).where(Reviewer.id.in_(ids))
        found |= repository._mapping(query)
    return found


def _record(row: AuditEntry, names: Mapping[str, str]) -> AuditRecord:
    return build(AuditRecord, row, actor=named(row.actor, names), detail=named(row.detail, names))


def _where(
    entity: str | None, entity_id: str | None, project_id: str | None, reviewer_id: str | None,
    action: str | None, since: datetime | None, before: datetime | None,
) -> list[ColumnElement[bool]]:  # fmt: skip
    equal = (
        (AuditEntry.entity, entity),
        (AuditEntry.entity_id, entity_id),
        (AuditEntry.project_id, project_id),
        (AuditEntry.actor, None if reviewer_id is None else person_key(reviewer_id)),
    )
    where: list[ColumnElement[bool]] = [
        column == value for column, value in equal if value is not None
    ]
    if action is not None and action.endswith("."):
        where.append(AuditEntry.action.startswith(action, autoescape=True))
    elif action is not None:
        where.append(AuditEntry.action == action)
    if since is not None:
        where.append(AuditEntry.at >= since)
    if before is not None:
        where.append(AuditEntry.at < before)
    return where
