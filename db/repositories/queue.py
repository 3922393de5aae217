"""The review queue: its order, claims that expire, marks, assignments. Reading: queue_reads.py."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from db import desk_records as words
from db.desk_records import (
    AssignmentRecord,
    ClaimRecord,
    LeaseRecord,
    QueueMarkRecord,
    QueuePlace,
)
from db.errors import InvalidValue, NotFound
from db.models import Assignment, Case, Lease, ModelVersion, QueueMark, Reviewer
from db.records import utc_now
from db.repositories import queue_folds as folds
from db.repositories.base import batches, build, checked_id, checked_word, cleaned
from db.repositories.counters import Counters
from db.repositories.plan_reads import is_begun
from db.repositories.queue_reads import QueueReads, assignment, assignments
from db.repositories.recount import Recount

_PLACE = (Case.project_id, Case.version_id, Case.queue_order)


class QueueRepository(QueueReads):
    """Who works on what, and in which order."""

    def plan(self, version_id: str, places: Sequence[QueuePlace]) -> int:
        """Put the queue into that order and say how many cases it has.

        Cases that are not named keep their order and come after those that are. Raises NotFound
        for a case of another version, InvalidValue for one named twice.
        """
        self._lock_cases(version_id)
        self._require(ModelVersion, version_id, "model version", lock=True)
        own = self._in_order(version_id)
        self._check_places(places, set(own))
        rows = [
            {
                "id": place.case_id,
                "queue_order": order,
                "queue_reason": cleaned(place.reason),
                "queue_score": place.score,
                "wanted": place.wanted,
            }
            for order, place in enumerate(places)
        ]
        named = {place.case_id for place in places}
        rest = [case_id for case_id in own if case_id not in named]
        tail = [{"id": each, "queue_order": order} for order, each in enumerate(rest, len(rows))]
        for part in (rows, tail):
            if part:
                self._session.execute(update(Case), part)
        self._flush()
        Recount(self._session).progress(version_id)
        return len(own)

    def reorder(
        self, version_id: str, places: Sequence[QueuePlace], *, now: datetime | None = None
    ) -> int:
        """Give cases, in that order, the places that they hold together; how many moved.

        Every other case keeps its place, and so do those that somebody has begun (a word, or a
        lease that runs) or is about to: on a server, a case that another transaction has locked.
        `wanted` stays as it is. Raises InvalidValue for a case named twice.
        """
        self._require(ModelVersion, version_id, "model version", lock=True)
        ids = [place.case_id for place in places]
        if len(set(ids)) != len(ids):
            raise InvalidValue("a case can stand in the queue only once")
        held = self._movable(version_id, ids, now or utc_now())
        moving = [place for place in places if place.case_id in held]
        orders = sorted(held[place.case_id][0] for place in moving)
        changed = {
            place.case_id: (order, cleaned(place.reason), place.score)
            for order, place in zip(orders, moving, strict=True)
            if held[place.case_id] != (order, cleaned(place.reason), place.score)
        }
        if not changed:
            return 0
        rows = [
            {"id": case_id, "queue_order": order, "queue_reason": reason, "queue_score": score}
            for case_id, (order, reason, score) in changed.items()
        ]
        self._session.execute(update(Case), rows)
        self._flush()
        Counters(self._session).opened(version_id, min(order for order, _, _ in changed.values()))
        return sum(held[case_id][0] != order for case_id, (order, _, _) in changed.items())

    def claim(
        self, *, case_id: str, reviewer_id: str, seconds: float, now: datetime | None = None
    ) -> ClaimRecord:
        """Open a case for a reviewer until `seconds` from now, or renew it.

        Granted where they have a word on it, hold it, were given it, or a place is left; so no
        two people meet on a case by accident, and as many as wanted do on purpose. A lease
        that is not renewed ends by itself.
        """
        now = now or utc_now()
        case = self._part("case", case_id, Case.version_id, Case.wanted, lock=True)
        reviewer = self._require(Reviewer, reviewer_id, "reviewer")
        self._session.execute(
            delete(Lease).where(Lease.case_id == case_id, Lease.expires_at <= now)
        )
        mine = self._session.get(Lease, (case_id, reviewer_id), populate_existing=True)
        asked = folds.said(folds.CLAIM, reviewer_id, now).bindparams(case=case_id)
        said, given, taken = self._session.execute(asked).one()
        granted = mine is not None or bool(said) or bool(given) or taken < case.wanted
        if granted:
            if mine is None:
                mine = Lease(case_id=case_id, reviewer_id=reviewer_id, taken_at=now)
                self._session.add(mine)
            mine.expires_at = now + timedelta(seconds=seconds)
            self._flush()
            Recount(self._session).advance(case.version_id, reviewer_id)
        lease = None if mine is None else build(LeaseRecord, mine, reviewer=reviewer.name)
        others = self._words([case_id]).get(case_id, set()) - {reviewer_id}
        return ClaimRecord(
            case_id=case_id,
            granted=granted,
            lease=lease,
            holders=self._leases([case_id], now, but=reviewer_id),
            words=len(others),
            wanted=case.wanted,
            assigned=bool(given),
        )

    def release(self, case_id: str, reviewer_id: str) -> None:
        """Give a case back; harmless where it is not held."""
        self._session.execute(
            delete(Lease).where(Lease.case_id == case_id, Lease.reviewer_id == reviewer_id)
        )

    def mark(
        self, *, id: str, case_id: str, reviewer_id: str, kind: words.QueueMark, reason: str = ""
    ) -> QueueMarkRecord:
        """Skip, flag or escalate a case, or resolve what was marked; idempotent by id.

        "resolve" ends everybody's flags and escalations of the case and one's own skip.
        """
        content: dict[str, Any] = {
            "case_id": case_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, words.QueueMark, "mark"),
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        case = self._part("case", case_id, *_PLACE, lock=True)
        reviewer = self._require(Reviewer, reviewer_id, "reviewer")
        row = self._known(QueueMark, event_id, content)
        if row is None:
            row = self._insert_event(
                QueueMark(id=event_id, project_id=case.project_id, created_at=utc_now(), **content)
            )
            if kind == "resolve":
                Counters(self._session).opened(case.version_id, case.queue_order)
        return build(QueueMarkRecord, row, reviewer=reviewer.name)

    def assign(
        self, *, id: str, case_id: str, assignee_id: str, by_id: str, assigned: bool = True
    ) -> AssignmentRecord:
        """Give a case to somebody, or take it away; idempotent by id."""
        content = {
            "case_id": case_id,
            "assignee_id": assignee_id,
            "by_id": by_id,
            "assigned": assigned,
        }
        event_id = checked_id(id)
        case = self._part("case", case_id, *_PLACE, lock=True)
        for person in (assignee_id, by_id):
            self._require(Reviewer, person, "reviewer")
        if self._known(Assignment, event_id, content) is None:
            self._insert_event(
                Assignment(id=event_id, project_id=case.project_id, created_at=utc_now(), **content)
            )
            Counters(self._session).opened(case.version_id, case.queue_order)
        query = assignments().where(Assignment.id == event_id)
        return assignment(self._session.execute(query).one())

    def recount(self, version_id: str) -> None:
        """Work out the counters of a version anew from what was said (after bulk writing)."""
        Recount(self._session).everything(version_id)

    def _movable(
        self, version_id: str, case_ids: Sequence[str], now: datetime
    ) -> dict[str, tuple[int, str, float]]:
        """Case id -> place, reason and score, of those that nobody has begun; they are locked.

        Whoever opens a case locks its row first and the version after it; what is locked is
        passed over here, so neither ever waits for the other in a circle.
        """
        free = select(Case.id, Case.queue_order, Case.queue_reason, Case.queue_score).where(
            Case.version_id == version_id, ~is_begun(now)
        )
        found: dict[str, tuple[int, str, float]] = {}
        for batch in batches(case_ids):
            query = free.where(Case.id.in_(batch)).with_for_update(skip_locked=True, of=Case)
            for row in self._session.execute(query):
                found[row.id] = (row.queue_order, row.queue_reason, row.queue_score)
        return found

    def _lock_cases(self, version_id: str) -> None:
        """Wait for whoever is opening or judging a case, and hold all of them.

        Cases first and the version after them, as everybody who works on a case does; in the
        order of their ids, so that two plans do not wait for each other either.
        """
        query = select(Case.id).where(Case.version_id == version_id).order_by(Case.id)
        self._session.execute(query.with_for_update(key_share=True)).all()

    def _in_order(self, version_id: str) -> list[str]:
        query = select(Case.id).where(Case.version_id == version_id)
        return list(self._session.scalars(query.order_by(Case.queue_order, Case.id)))

    def _check_places(self, places: Sequence[QueuePlace], own: set[str]) -> None:
        named = {place.case_id for place in places}
        if len(named) != len(places):
            raise InvalidValue("a case can stand in the queue only once")
        if named - own:
            raise NotFound("case of this version with id", min(named - own))
        if any(place.wanted < 1 for place in places):
            raise InvalidValue("at least one person is to judge a case")
