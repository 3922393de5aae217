"""Redaction and retention: what may be forgotten, by whom, and what stays.

A person's name is replaced in the one table that holds names; all that they said stays theirs,
under the pseudonym. Old audit lines may go, and nothing else: their entries in the chain stay.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from core.errors import ConfigError
from dashboard.services.names import clean_name
from dashboard.services.settings_of import require
from dashboard.viewmodels.audit import MentionRow, RedactionView, RetentionView
from db.chain_records import Mention
from db.people import person_key
from db.records import ReviewerRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

MAX_REASON = 500
OUTSIDE = "Files that were exported before still hold the name"


class ForgetService:
    """Acts of a lead. Each is one transaction, in the log and in the chain like any other."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    def redact(
        self, *, id: str, project_id: str, reviewer_id: str, person: str, reason: str,
        pseudonym: str = "", dry_run: bool = False,
    ) -> RedactionView:  # fmt: skip
        """Replace a person's name by a pseudonym in every project.

        Args:
            reviewer_id: who does it: a lead in every project in which the person took part.
            pseudonym: "" makes one, such as "Person 7f3a".
            dry_run: only say what would happen, and where else the name stands.

        Raises Forbidden, ConfigError (nobody of that name, no reason), Conflict (somebody else has
        that pseudonym).
        """
        why = clean_name(reason, "the reason", limit=MAX_REASON)
        with self._uow(read_only=dry_run) as uow:
            known = _person(uow, person)
            if known.name.casefold() in why.casefold():
                raise ConfigError("the reason must not hold the name: it is kept for ever")
            chosen = clean_name(pseudonym) if pseudonym else _pseudonym(uow, known.id)
            if chosen == known.name:
                raise ConfigError("the pseudonym is the name itself")
            projects = tuple(sorted({project_id, *uow.redactions.projects_of(known.id)}))
            for each in projects:
                require(uow, each, reviewer_id, "lead")
            mentions = uow.redactions.mentions(known.name)
            if not dry_run:
                for each in projects:
                    _redact(uow, id, each, reviewer_id, known.id, chosen, why)
                uow.commit()
        return _redacted(known, chosen, projects, mentions, done=not dry_run)

    def retain(
        self, *, id: str, project_id: str | None, reviewer_id: str, days: int, reason: str,
        dry_run: bool = False,
    ) -> RetentionView:  # fmt: skip
        """Keep the audit lines of the last so many days; older ones go. Leads only.

        Args:
            project_id: None for the lines that belong to no project (sign-ins): then a lead of
                every project is needed.

        Raises Forbidden, ConfigError.
        """
        if days < 1:
            raise ConfigError("the lines of at least 1 day are kept")
        why = clean_name(reason, "the reason", limit=MAX_REASON)
        limit = utc_now() - timedelta(days=days)
        with self._uow(read_only=dry_run) as uow:
            leads = [project_id] if project_id else [row.id for row in uow.projects.list()]
            for each in leads:
                require(uow, each, reviewer_id, "lead")
            count = uow.retentions.count(project_id, limit)
            if count and not dry_run:
                uow.retentions.apply(
                    id=id, project_id=project_id, reviewer_id=reviewer_id, older_than=limit,
                    reason=why,
                )  # fmt: skip
                uow.audit.append(
                    actor=uow.reviewers.get(reviewer_id).name, action="audit.retained",
                    entity="retention", entity_id=id, project_id=project_id,
                    detail={"older_than": limit.isoformat(), "count": count, "reason": why},
                )  # fmt: skip
                uow.commit()
        return _retained(limit, count, done=bool(count) and not dry_run)


def _redact(
    uow: UnitOfWork, id: str, project_id: str, reviewer_id: str, person_id: str, pseudonym: str,
    reason: str,
) -> None:  # fmt: skip
    """One event per project: each chain tells of it."""
    row = uow.redactions.append(
        id=str(uuid5(UUID(id), project_id)), project_id=project_id, reviewer_id=reviewer_id,
        person_id=person_id, pseudonym=pseudonym, reason=reason,
    )  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="person.redacted", entity="reviewer", entity_id=person_id,
        project_id=project_id, detail={"person": person_key(person_id), "reason": reason},
    )  # fmt: skip


def _person(uow: UnitOfWork, name: str) -> ReviewerRecord:
    found = uow.reviewers.by_name(name)
    if found is None:
        raise ConfigError(f"nobody called {name!r} ever signed in here")
    return found


def _pseudonym(uow: UnitOfWork, person_id: str) -> str:
    """ "Person 7f3a": the start of a hash of the id, as long as nobody else has it."""
    digits = hashlib.sha256(person_id.encode()).hexdigest()
    names = (f"Person {digits[:length]}" for length in range(4, len(digits) + 1))
    return next(name for name in names if uow.reviewers.by_name(name) is None)


def _redacted(
    person: ReviewerRecord, pseudonym: str, projects: tuple[str, ...],
    mentions: tuple[Mention, ...], *, done: bool,
) -> RedactionView:  # fmt: skip
    rows = tuple(MentionRow(each.table, each.column, each.count, each.rows) for each in mentions)
    total = sum(each.count for each in rows)
    verb = "is now" if done else "would become"
    stays = (
        f"; {total} {'row of text holds' if total == 1 else 'rows of text hold'} the name and "
        f"{'stays' if total == 1 else 'stay'} as written (what was said is never changed)"
        if total
        else ""
    )
    many = "1 project" if len(projects) == 1 else f"{len(projects)} projects"
    sentence = f"{person.name} {verb} {pseudonym} in {many}{stays}. {OUTSIDE}."
    return RedactionView(person.id, pseudonym, projects, rows, done, sentence)


def _retained(limit: datetime, count: int, *, done: bool) -> RetentionView:
    verb = "were removed" if done else "would be removed"
    lines = "1 line" if count == 1 else f"{count} lines"
    day = limit.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    sentence = f"{lines} of before {day} UTC {verb}; their entries in the chain stay"
    return RetentionView(limit, count, done, sentence if count else f"no line of before {day} UTC")
