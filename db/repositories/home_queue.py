"""How the queue of a version stands and who carries what, counted. It writes nothing."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select

from db.home_records import LoadCount, QueueCount
from db.models import (
    Assessment,
    Assignment,
    Case,
    CaseWord,
    Lease,
    QueueMark,
    QueueProgress,
    Reviewer,
    Verdict,
)
from db.repositories import queue_folds as folds
from db.repositories.base import AnySelect, Repository
from db.repositories.counters import TEAM


class HomeQueueReads(Repository):
    """Counts for the home screen; they move with the clock, so nobody keeps them long."""

    def health(self, version_id: str, now: datetime) -> QueueCount:
        """What the queue holds now."""
        of_version = Case.version_id == version_id
        begun = (
            select(func.count(CaseWord.case_id.distinct()))
            .join(Case, Case.id == CaseWord.case_id)
            .where(of_version)
        )
        done = select(QueueProgress.done).where(
            QueueProgress.version_id == version_id, QueueProgress.who == TEAM
        )
        oldest = self._session.execute(
            self._marks(version_id, "escalate", "flag").order_by(QueueMark.seq).limit(1)
        ).one_or_none()
        marks = {kind: self._marked(version_id, kind) for kind in ("flag", "escalate", "skip")}
        finished = self._session.scalar(done) or 0
        return QueueCount(
            total=self._count(select(func.count()).select_from(Case).where(of_version)),
            done=finished,
            begun=self._count(begun) - finished,
            held=self._leases(version_id, Lease.expires_at > now),
            stale=self._leases(version_id, Lease.expires_at <= now, ~_said()),
            flagged=marks["flag"],
            escalated=marks["escalate"],
            skipped=marks["skip"],
            oldest=oldest.created_at if oldest else None,
            oldest_case=oldest.case_id if oldest else None,
        )

    def load(self, project_id: str, version_id: str, now: datetime) -> tuple[LoadCount, ...]:
        """Everybody who was given a case of the version or gave a word in the project."""
        given = self._mapping(_given(version_id).group_by(Assignment.assignee_id))
        spoken = CaseWord.reviewer_id == Assignment.assignee_id
        word = select(literal(1)).where(CaseWord.case_id == Assignment.case_id, spoken).exists()
        open_ = self._mapping(_given(version_id).where(~word).group_by(Assignment.assignee_id))
        done = self._mapping(
            select(QueueProgress.who, QueueProgress.done).where(
                QueueProgress.version_id == version_id, QueueProgress.who != TEAM
            )
        )
        held = self._mapping(
            select(Lease.reviewer_id, func.count())
            .join(Case, Case.id == Lease.case_id)
            .where(Case.version_id == version_id, Lease.expires_at > now)
            .group_by(Lease.reviewer_id)
        )
        last = self._last_words(project_id)
        people = set(given) | {who for who, count in done.items() if count} | set(last)
        query = select(Reviewer.id, Reviewer.name).order_by(Reviewer.name)
        return tuple(
            LoadCount(
                row.id, row.name, given.get(row.id, 0), open_.get(row.id, 0), done.get(row.id, 0),
                held.get(row.id, 0), last.get(row.id),
            )
            for row in self._session.execute(query)
            if row.id in people
        )  # fmt: skip

    def _last_words(self, project_id: str) -> dict[str, datetime]:
        """Reviewer id -> latest word in the project; one step of an index for each person."""
        found: dict[str, datetime] = {}
        for who in self._session.scalars(select(Reviewer.id)).all():
            for model in (Verdict, Assessment):
                query = (
                    select(model.created_at)
                    .where(model.project_id == project_id, model.reviewer_id == who)
                    .order_by(model.seq.desc())
                    .limit(1)
                )
                at = self._session.scalar(query)
                if at is not None and (who not in found or at > found[who]):
                    found[who] = at
        return found

    def _count(self, query: AnySelect) -> int:
        return int(self._session.scalar(query) or 0)

    def _leases(self, version_id: str, *where: ColumnElement[bool]) -> int:
        query = (
            select(func.count(Lease.case_id.distinct()))
            .join(Case, Case.id == Lease.case_id)
            .where(Case.version_id == version_id, *where)
        )
        return self._count(query)

    def _marks(self, version_id: str, *kinds: str) -> AnySelect:
        return (
            select(QueueMark.case_id, QueueMark.created_at)
            .join(Case, Case.id == QueueMark.case_id)
            .where(
                Case.version_id == version_id,
                QueueMark.kind.in_(kinds),
                ~folds.resolved(QueueMark),
            )
        )

    def _marked(self, version_id: str, kind: str) -> int:
        marks = self._marks(version_id, kind).subquery("marks")
        return self._count(select(func.count(marks.c.case_id.distinct())))


def _said() -> Any:
    """Whether whoever held the case gave a word on it."""
    return (
        select(literal(1))
        .where(CaseWord.case_id == Lease.case_id, CaseWord.reviewer_id == Lease.reviewer_id)
        .exists()
    )


def _given(version_id: str) -> AnySelect:
    """Standing assignments of a version by person."""
    return (
        select(Assignment.assignee_id, func.count())
        .join(Case, Case.id == Assignment.case_id)
        .where(Case.version_id == version_id, *folds.standing_assignment(Assignment))
    )
