"""Criteria, decisions and schedules of a project."""

from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from db.errors import InvalidValue, NotFound, StaleWrite
from db.governance_records import (
    Comparator,
    CriterionRecord,
    DecisionRecord,
    DecisionSubject,
    ScheduleRecord,
)
from db.models import Criterion, Decision, Project, Reviewer, Schedule
from db.records import utc_now
from db.repositories.base import checked_id, checked_name, checked_word, cleaned
from db.repositories.event_reads import Events


class CriterionRepository(Events):
    """Append-only; the highest revision per project and measure stands."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        measure: str,
        comparator: Comparator,
        threshold: float | None,
        reason: str,
        based_on: int,
    ) -> CriterionRecord:
        """What a measure has to reach from now on; `threshold` None asks for nothing more.

        Idempotent by id. Raises StaleWrite, Conflict, NotFound, InvalidValue.
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "measure": checked_name(measure, "measure"),
            "comparator": checked_word(comparator, Comparator, "comparison"),
            "threshold": None if threshold is None else float(threshold),
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Criterion, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            standing = self._latest(
                CriterionRecord,
                Criterion,
                Criterion.project_id == project_id,
                Criterion.measure == content["measure"],
            )
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("criterion", based_on, current)
            self._insert_event(
                Criterion(id=event_id, revision=current + 1, created_at=utc_now(), **content)
            )
        return self._read(CriterionRecord, Criterion, Criterion.id == event_id)[0]

    def latest(self, project_id: str, measure: str) -> CriterionRecord | None:
        """The latest word on a measure, a withdrawal included; None where nothing was said."""
        return self._latest(
            CriterionRecord,
            Criterion,
            Criterion.project_id == project_id,
            Criterion.measure == measure,
        )

    def standing(self, project_id: str) -> tuple[CriterionRecord, ...]:
        """The criteria that are asked for, in the order of being set."""
        later = aliased(Criterion)
        superseded = exists().where(
            later.project_id == Criterion.project_id,
            later.measure == Criterion.measure,
            later.revision > Criterion.revision,
        )
        return self._read(
            CriterionRecord,
            Criterion,
            Criterion.project_id == project_id,
            Criterion.threshold.is_not(None),
            ~superseded,
        )

    def history(self, project_id: str) -> tuple[CriterionRecord, ...]:
        """Every change, oldest first."""
        return self._read(CriterionRecord, Criterion, Criterion.project_id == project_id)


class DecisionRepository(Events):
    """Append-only; a decision may take the place of an earlier one, once."""

    def add(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        subject: DecisionSubject,
        title: str,
        choice: str,
        reason: str,
        subject_id: str | None = None,
        evidence: tuple[dict[str, Any], ...] = (),
        supersedes: str | None = None,
    ) -> DecisionRecord:
        """Write a decision down; idempotent by id.

        Raises Conflict (the id came with other content, or the former decision has been
        superseded already), NotFound, InvalidValue (nothing in the title).
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "subject": checked_word(subject, DecisionSubject, "subject of a decision"),
            "subject_id": subject_id,
            "title": checked_name(title, "title"),
            "choice": cleaned(choice),
            "reason": cleaned(reason),
            "evidence": tuple(evidence),
            "supersedes": supersedes,
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Decision, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            if supersedes is not None:
                former = self._require(Decision, supersedes, "decision")
                if former.project_id != project_id:
                    raise NotFound("decision of this project with id", supersedes)
                if supersedes == event_id:
                    raise InvalidValue("a decision cannot supersede itself")
            self._insert_event(Decision(id=event_id, created_at=utc_now(), **content))
        return self.get(event_id)

    def get(self, decision_id: str) -> DecisionRecord:
        """One decision, or NotFound."""
        found = self._read(DecisionRecord, Decision, Decision.id == decision_id)
        if not found:
            raise NotFound("decision", decision_id)
        return found[0]

    def list(
        self,
        project_id: str,
        *,
        subject: DecisionSubject | None = None,
        subject_id: str | None = None,
    ) -> tuple[DecisionRecord, ...]:
        """The decisions of a project, newest first."""
        where: list[ColumnElement[bool]] = [Decision.project_id == project_id]
        if subject is not None:
            where.append(Decision.subject == subject)
        if subject_id is not None:
            where.append(Decision.subject_id == subject_id)
        return self._read(DecisionRecord, Decision, *where)[::-1]


class ScheduleRepository(Events):
    """Append-only; the highest revision per schedule stands."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        schedule_id: str,
        name: str,
        spec: dict[str, Any],
        active: bool,
        based_on: int,
    ) -> ScheduleRecord:
        """What is exported by the clock from now on; idempotent by id.

        Raises StaleWrite, Conflict, NotFound, InvalidValue.
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "schedule_id": checked_id(schedule_id),
            "name": checked_name(name, "name"),
            "spec": spec,
            "active": active,
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Schedule, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            standing = self._latest(
                ScheduleRecord, Schedule, Schedule.schedule_id == content["schedule_id"]
            )
            if standing is not None and standing.project_id != project_id:
                raise NotFound("schedule of this project with id", schedule_id)
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("schedule", based_on, current)
            self._insert_event(
                Schedule(id=event_id, revision=current + 1, created_at=utc_now(), **content)
            )
        return self._read(ScheduleRecord, Schedule, Schedule.id == event_id)[0]

    def standing(self, project_id: str | None = None) -> tuple[ScheduleRecord, ...]:
        """The latest revision of every schedule, paused ones included."""
        later = aliased(Schedule)
        superseded = exists(
            select(later.id).where(
                later.schedule_id == Schedule.schedule_id, later.revision > Schedule.revision
            )
        )
        where = [~superseded]
        if project_id is not None:
            where.append(Schedule.project_id == project_id)
        return self._read(ScheduleRecord, Schedule, *where)

    def history(self, schedule_id: str) -> tuple[ScheduleRecord, ...]:
        """Every revision, oldest first."""
        return self._read(ScheduleRecord, Schedule, Schedule.schedule_id == schedule_id)
