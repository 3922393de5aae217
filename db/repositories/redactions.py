"""Replacing a person's name for good, and letting old audit lines go. The chain stays whole."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, String, cast, delete, func, or_, select
from sqlalchemy.orm import aliased

from db.chain_records import Mention, RedactionRecord, RetentionRecord
from db.columns import TupleJSON
from db.errors import Conflict, InvalidValue
from db.models import AuditEntry, Base, Project, Redaction, Retention, Reviewer
from db.records import utc_now
from db.repositories.base import Repository, build, checked_id, checked_name, cleaned, like_pattern
from db.repositories.event_reads import Events

NAMED = 20  # ids that a mention lists
# What the engine writes, and what is worked out from the rest: no person writes text there.
_NO_TEXT = frozenset(
    {"cases", "cues", "concepts", "relations", "run_points", "chain_entries", "chain_heads",
     "reviewers", "model_versions", "queue_progress"}
)  # fmt: skip


class RedactionRepository(Events):
    """Append-only; what it changes is the one name in `reviewers`."""

    def append(
        self, *, id: str, project_id: str, reviewer_id: str, person_id: str, pseudonym: str,
        reason: str,
    ) -> RedactionRecord:  # fmt: skip
        """Replace a name by a pseudonym, everywhere at once; idempotent by id.

        Raises Conflict where somebody else has that name, NotFound, InvalidValue.
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "person_id": person_id,
            "pseudonym": checked_name(pseudonym, "pseudonym"),
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Redaction, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            self._rename(person_id, content["pseudonym"])
            self._insert_event(Redaction(id=event_id, created_at=utc_now(), **content))
        return self._read(RedactionRecord, Redaction, Redaction.id == event_id)[0]

    def list(self, project_id: str) -> tuple[RedactionRecord, ...]:
        """The redactions of a project, oldest first."""
        return self._read(RedactionRecord, Redaction, Redaction.project_id == project_id)

    def refold(self, project_id: str) -> None:
        """Give people the pseudonyms that the redactions tell (after a replay)."""
        last = {row.person_id: row.pseudonym for row in self.list(project_id)}
        for person, pseudonym in sorted(last.items()):
            self._rename(person, pseudonym)

    def projects_of(self, person_id: str) -> tuple[str, ...]:
        """Ids of the projects in which a person said or did anything, or has a part."""
        found: set[str] = set()
        for table in Base.metadata.sorted_tables:
            if "project_id" not in table.c:
                continue
            people = [c for c in table.c if any(k.column.table.name == "reviewers"
                                                for k in c.foreign_keys)]  # fmt: skip
            if people:
                query = select(table.c.project_id).where(or_(*(c == person_id for c in people)))
                found |= {each for each in self._session.scalars(query.distinct()) if each}
        return tuple(sorted(found))

    def mentions(self, name: str) -> tuple[Mention, ...]:
        """Where a name stands in text that people wrote or that was frozen; never touched."""
        found = []
        for table in Base.metadata.sorted_tables:
            if table.name in _NO_TEXT:
                continue
            known = [table.c[each] for each in ("uid", "id") if each in table.c]
            for column, where in _holds(table, name) if known else ():
                key = known[0]
                count = self._session.scalar(select(func.count()).where(where)) or 0
                if count:
                    rows = self._session.scalars(
                        select(key).where(where).order_by(key).limit(NAMED)
                    )
                    found.append(Mention(table.name, column, tuple(map(str, rows)), count))
        return tuple(found)

    def _rename(self, person_id: str, pseudonym: str) -> None:
        person = self._require(Reviewer, person_id, "reviewer", lock=True)
        taken = select(Reviewer.id).where(Reviewer.name == pseudonym, Reviewer.id != person_id)
        if self._session.scalar(taken) is not None:
            raise Conflict(f"somebody else is called {pseudonym!r}: choose another pseudonym")
        person.name = pseudonym
        self._flush()


class RetentionRepository(Repository):
    """Append-only. Lets audit lines go that are older than a moment; nothing else ever goes."""

    def count(self, project_id: str | None, older_than: datetime) -> int:
        """How many lines `apply` would remove."""
        query = select(func.count()).select_from(AuditEntry)
        return self._session.scalar(query.where(*_old(project_id, older_than))) or 0

    def apply(
        self, *, id: str, project_id: str | None, reviewer_id: str, older_than: datetime,
        reason: str,
    ) -> RetentionRecord:  # fmt: skip
        """Remove the audit lines of a project that were written before a moment.

        Their entries in the chain stay, so that the check can say what is gone and why.

        Args:
            project_id: None for the lines that belong to no project.

        Raises Conflict (the id came with other content, or lines went meanwhile), NotFound,
        InvalidValue (a moment that has not come yet, no reason).
        """
        now = utc_now()
        if older_than > now:
            raise InvalidValue("only lines of the past can be removed")
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "older_than": older_than,
            "reason": checked_name(reason, "reason"),
        }
        event_id = checked_id(id)
        if project_id is not None:
            self._require(Project, project_id, "project", lock=True)
        if self._known(Retention, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer", lock=True)
            count = self.count(project_id, older_than)
            self._insert_event(Retention(id=event_id, count=count, created_at=now, **content))
            gone: Any = self._session.execute(
                delete(AuditEntry).where(*_old(project_id, older_than)),
                execution_options={"synchronize_session": False},
            )
            if gone.rowcount != count:
                raise Conflict("other lines were removed meanwhile: look again")
        return next(row for row in self.list(project_id) if row.id == event_id)

    def list(self, project_id: str | None) -> tuple[RetentionRecord, ...]:
        """The retentions of a project, oldest first."""
        by = aliased(Reviewer)
        query = (
            select(Retention, by.name.label("by"))
            .join(by, by.id == Retention.reviewer_id)
            .where(Retention.project_id == project_id)
            .order_by(Retention.seq)
        )
        rows = self._session.execute(query)
        return tuple(build(RetentionRecord, row.Retention, reviewer=row.by) for row in rows)


def _old(project_id: str | None, older_than: datetime) -> Sequence[ColumnElement[bool]]:
    return AuditEntry.project_id == project_id, AuditEntry.at < older_than


def _holds(table: Any, name: str) -> Iterator[tuple[str, ColumnElement[bool]]]:
    """(column, condition) for each column of a table in which text may hold the name."""
    escaped = json.dumps(name)[1:-1]  # as JSON columns keep it
    for column in table.c:
        if isinstance(column.type, (JSON, TupleJSON)):
            text = cast(column, String)
            forms = {name, escaped}
            yield column.name, or_(*(text.ilike(like_pattern(f), escape="\\") for f in forms))
        elif isinstance(column.type, String) and not column.foreign_keys:
            yield column.name, column.ilike(like_pattern(name), escape="\\")
