"""Reading the queue: the next open case, a page, one place, progress."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, TextClause, func, select
from sqlalchemy.orm import aliased

from db.desk_records import (
    AssignmentRecord,
    CaseFacts,
    LeaseRecord,
    OpenCase,
    PlaceRecord,
    ProgressRecord,
    QueueMarkRecord,
    QueueRecord,
    QueueSlice,
    StandingMark,
)
from db.models import (
    Assignment,
    Case,
    CaseWord,
    Image,
    Lease,
    QueueMark,
    QueueProgress,
    Reviewer,
)
from db.records import utc_now
from db.repositories import queue_folds as folds
from db.repositories.base import AnySelect, Repository, batches, build, like_pattern
from db.repositories.counters import TEAM

Where = list[ColumnElement[bool] | TextClause]
QueueState = Literal["all", "open", "done", "held", "put-aside"]
_ROW = (
    Case.id.label("case_id"),
    Case.image_id,
    Image.relpath,
    Image.label,
    Image.split,
    Case.prediction,
    Case.confidence,
    Case.queue_order,
    Case.queue_reason.label("reason"),
    Case.queue_score.label("score"),
    Case.wanted,
)
_PLACE = (
    Case.id,
    Case.version_id,
    Case.queue_order,
    Case.queue_reason,
    Case.queue_score,
    Case.wanted,
)


class QueueReads(Repository):
    """The reading half of the queue repository."""

    def next_open(
        self,
        version_id: str,
        reviewer_id: str,
        *,
        after: int | None = None,
        now: datetime | None = None,
    ) -> OpenCase | None:
        """The first case open for a reviewer (strictly after a place of the queue)."""
        start = self._open_from(version_id, reviewer_id)
        if after is not None:
            start = max(start, after + 1)
        query = _places(version_id).where(
            Case.queue_order >= start, folds.is_open(reviewer_id, now or utc_now())
        )
        return self._open(query.order_by(Case.queue_order, Case.id))

    def previous_open(
        self,
        version_id: str,
        reviewer_id: str,
        *,
        before: int,
        or_mine: bool = True,
        within: int = 2000,
        now: datetime | None = None,
    ) -> OpenCase | None:
        """The nearest earlier case open for a reviewer, or (`or_mine`) with a word of theirs.

        It looks at the nearest `within` places only: what lies further back is not near.
        """
        openness = folds.is_mine_or_open if or_mine else folds.is_open
        wanted = openness(reviewer_id, now or utc_now())
        near = (Case.queue_order < before, Case.queue_order >= before - within)
        query = _places(version_id).where(*near, wanted)
        return self._open(query.order_by(Case.queue_order.desc(), Case.id.desc()))

    def open_among(
        self,
        version_id: str,
        reviewer_id: str,
        orders: Sequence[int],
        *,
        or_mine: bool = False,
        now: datetime | None = None,
    ) -> tuple[OpenCase, ...]:
        """Those of the places asked for that are open for a reviewer, in the order asked for.

        For orders of one's own (a permutation of places): ask for the next few at once.
        """
        openness = folds.is_mine_or_open if or_mine else folds.is_open
        wanted = openness(reviewer_id, now or utc_now())
        found: dict[int, OpenCase] = {}
        for batch in batches(orders):
            query = _places(version_id).where(Case.queue_order.in_(batch), wanted)
            for row in self._session.execute(query):
                found[row.queue_order] = build(OpenCase, row)
        return tuple(found[order] for order in dict.fromkeys(orders) if order in found)

    def at(self, version_id: str, orders: Sequence[int]) -> dict[int, str]:
        """Place -> case id, for those places that exist."""
        found: dict[int, str] = {}
        for batch in batches(orders):
            query = select(Case.queue_order, Case.id)
            found |= self._mapping(
                query.where(Case.version_id == version_id, Case.queue_order.in_(batch))
            )
        return found

    def place(self, case_id: str, reviewer_id: str, *, now: datetime | None = None) -> PlaceRecord:
        """What the queue says of one case, as that reviewer sees it."""
        case = self._part("case", case_id, *_PLACE)
        people = set(
            self._session.scalars(select(CaseWord.reviewer_id).where(CaseWord.case_id == case_id))
        )
        return PlaceRecord(
            case_id=case.id,
            version_id=case.version_id,
            queue_order=case.queue_order,
            reason=case.queue_reason,
            score=case.queue_score,
            wanted=case.wanted,
            words=len(people),
            mine=reviewer_id in people,
            holders=self._leases([case_id], now or utc_now(), but=reviewer_id),
            marks=self._marks([case_id]),
            assignments=self._assignments([case_id]),
        )

    def page(
        self,
        version_id: str,
        reviewer_id: str,
        *,
        state: QueueState = "all",
        reason: str | None = None,
        prediction: str | None = None,
        label: str | None = None,
        split: str | None = None,
        mark: StandingMark | None = None,
        assignee_id: str | None = None,
        search: str = "",
        limit: int = 50,
        offset: int = 0,
        now: datetime | None = None,
    ) -> QueueSlice:
        """Cases in queue order, as that reviewer sees them.

        Args:
            state: "open" for me, "done" by me, "held" by others now, "put-aside" by me.
            reason: why they stand there; exactly, or the beginning of it.
            search: within the image's name, whatever the case of letters.
        """
        now = now or utc_now()
        where = _state(state, reviewer_id, now)
        if state == "open":  # nothing is open before that place
            where.append(Case.queue_order >= self._open_from(version_id, reviewer_id))
        if prediction is not None:
            where.append(Case.prediction == prediction)
        if reason is not None:
            where.append(Case.queue_reason.like(like_pattern(reason)[1:], escape="\\"))
        if mark is not None:
            where.append(folds.standing_mark(mark))
        if assignee_id is not None:
            where.append(folds.assigned_to(assignee_id))
        of_image = _of_image(label, split, search)
        own = Case.version_id == version_id
        if not where and not of_image:  # places are dense: no need to count up to them
            places = Case.queue_order.between(offset, offset + limit - 1)
            rows = self._session.execute(_rows(own, places)).all()
            return QueueSlice(self._items(rows, reviewer_id, now), self._total(version_id))
        count = select(func.count()).select_from(Case).where(own, *where)
        if of_image:
            count = count.join(Image, Image.id == Case.image_id).where(*of_image)
        query = _rows(own, *where, *of_image).limit(limit).offset(offset)
        rows = self._session.execute(query).all()
        return QueueSlice(self._items(rows, reviewer_id, now), self._session.scalar(count) or 0)

    def progress(self, version_id: str, reviewer_id: str) -> ProgressRecord:
        """How far the review of a version is: for me, for the team, by person."""
        query = (
            select(QueueProgress.who, QueueProgress.done, Reviewer.name)
            .outerjoin(Reviewer, Reviewer.id == QueueProgress.who)
            .where(QueueProgress.version_id == version_id)
            .order_by(QueueProgress.done.desc(), Reviewer.name)
        )
        rows = self._session.execute(query).all()
        done = {row.who: row.done for row in rows}
        return ProgressRecord(
            total=self._total(version_id),
            mine=done.get(reviewer_id, 0),
            team=done.get(TEAM, 0),
            by_reviewer=tuple((row.name, row.done) for row in rows if row.who != TEAM and row.done),
        )

    def reasons(self, version_id: str) -> dict[str, int]:
        """Why cases stand where they do (up to the first ":") -> how many; most first."""
        query = select(Case.queue_reason, func.count()).where(Case.version_id == version_id)
        found: dict[str, int] = {}
        for reason, count in self._session.execute(query.group_by(Case.queue_reason)):
            word = reason.partition(":")[0]
            found[word] = found.get(word, 0) + count
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    def rows(self, version_id: str, among: Sequence[str] | None = None) -> tuple[CaseFacts, ...]:
        """Narrow rows in queue order, for planning; without explanations.

        `among`: ids of the cases asked for; None: every case.
        """
        query = (
            select(
                *_ROW,
                Image.sha256,
                Case.probabilities,
                Case.explanation.is_not(None).label("explained"),
            )
            .join(Image, Image.id == Case.image_id)
            .where(Case.version_id == version_id)
        )
        rows = self._of_cases(query, Case.id, among)
        return tuple(sorted((build(CaseFacts, row) for row in rows), key=_at))

    def leases_of(
        self, reviewer_id: str, *, now: datetime | None = None
    ) -> tuple[LeaseRecord, ...]:
        """A reviewer's leases that run now, latest first."""
        query = _leases(now or utc_now()).where(Lease.reviewer_id == reviewer_id)
        rows = self._session.execute(query.order_by(Lease.expires_at.desc(), Lease.case_id))
        return tuple(build(LeaseRecord, row.Lease, reviewer=row.reviewer_name) for row in rows)

    def _items(
        self, rows: Sequence[Row[Any]], reviewer_id: str, now: datetime
    ) -> tuple[QueueRecord, ...]:
        ids = [row.case_id for row in rows]
        words = self._words(ids)
        held = {each.case_id: each.reviewer for each in self._leases(ids, now, but=reviewer_id)}
        marks, given = self._marks(ids), self._assignments(ids)
        return tuple(
            build(
                QueueRecord,
                row,
                words=len(words.get(row.case_id, ())),
                done=reviewer_id in words.get(row.case_id, ()),
                held_by=held.get(row.case_id),
                marks=tuple(
                    dict.fromkeys(each.kind for each in marks if each.case_id == row.case_id)
                ),
                assigned_to=tuple(e.assignee for e in given if e.case_id == row.case_id),
            )
            for row in rows
        )

    def _total(self, version_id: str) -> int:
        last = select(func.max(Case.queue_order)).where(Case.version_id == version_id)
        latest = self._session.scalar(last)
        return 0 if latest is None else latest + 1

    def _open_from(self, version_id: str, reviewer_id: str) -> int:
        query = select(QueueProgress.open_from).where(
            QueueProgress.version_id == version_id, QueueProgress.who == reviewer_id
        )
        return self._session.scalar(query) or 0

    def _open(self, query: AnySelect) -> OpenCase | None:
        row = self._session.execute(query.limit(1)).one_or_none()
        return None if row is None else build(OpenCase, row)

    def _words(self, case_ids: Sequence[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for batch in batches(case_ids):
            query = select(CaseWord.case_id, CaseWord.reviewer_id)
            for row in self._session.execute(query.where(CaseWord.case_id.in_(batch))):
                found.setdefault(row.case_id, set()).add(row.reviewer_id)
        return found

    def _leases(
        self, case_ids: Iterable[str], now: datetime, *, but: str
    ) -> tuple[LeaseRecord, ...]:
        found: list[LeaseRecord] = []
        for batch in batches(case_ids):
            query = _leases(now).where(Lease.case_id.in_(batch), Lease.reviewer_id != but)
            for row in self._session.execute(query.order_by(Lease.taken_at, Lease.reviewer_id)):
                found.append(build(LeaseRecord, row.Lease, reviewer=row.reviewer_name))
        return tuple(found)

    def _marks(self, case_ids: Iterable[str]) -> tuple[QueueMarkRecord, ...]:
        found: list[QueueMarkRecord] = []
        for batch in batches(case_ids):
            query = _MARKS.where(QueueMark.case_id.in_(batch))
            for row in self._session.execute(query):
                found.append(build(QueueMarkRecord, row.QueueMark, reviewer=row.reviewer_name))
        return tuple(found)

    def _assignments(self, case_ids: Iterable[str]) -> tuple[AssignmentRecord, ...]:
        found: list[AssignmentRecord] = []
        for batch in batches(case_ids):
            query = _ASSIGNED.where(Assignment.case_id.in_(batch))
            for row in self._session.execute(query):
                found.append(assignment(row))
        return tuple(found)


def assignments() -> AnySelect:
    """Assignments with the names of both people."""
    assignee, by = aliased(Reviewer), aliased(Reviewer)
    return (
        select(Assignment, assignee.name.label("assignee"), by.name.label("by"))
        .join(assignee, assignee.id == Assignment.assignee_id)
        .join(by, by.id == Assignment.by_id)
    )


def assignment(row: Any) -> AssignmentRecord:
    """The record of such a row."""
    return build(AssignmentRecord, row.Assignment, assignee=row.assignee, by=row.by)


# Built once: they are asked for every case.
_MARKS = (
    select(QueueMark, Reviewer.name.label("reviewer_name"))
    .join(Reviewer, Reviewer.id == QueueMark.reviewer_id)
    .where(QueueMark.kind != "resolve", ~folds.resolved(QueueMark))
    .order_by(QueueMark.seq)
)
_ASSIGNED = assignments().where(*folds.standing_assignment(Assignment)).order_by(Assignment.seq)


def _leases(now: datetime) -> AnySelect:
    return (
        select(Lease, Reviewer.name.label("reviewer_name"))
        .join(Reviewer, Reviewer.id == Lease.reviewer_id)
        .where(Lease.expires_at > now)
    )


def _places(version_id: str) -> AnySelect:
    return select(Case.id.label("case_id"), Case.queue_order).where(Case.version_id == version_id)


def _state(state: QueueState, reviewer_id: str, now: datetime) -> Where:
    match state:
        case "open":
            return [folds.is_open(reviewer_id, now)]
        case "done":
            return [folds.has_word(reviewer_id)]
        case "put-aside":
            return [folds.put_aside(reviewer_id)]
        case "held":
            running = select(Lease.case_id).where(
                Lease.case_id == Case.id, Lease.expires_at > now, Lease.reviewer_id != reviewer_id
            )
            return [running.correlate(Case).exists()]
        case _:
            return []


def _of_image(label: str | None, split: str | None, search: str) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if label is not None:
        where.append(Image.label == label)
    if split is not None:
        where.append(Image.split == split)
    if search.strip():
        pattern = like_pattern(search.strip().lower())
        where.append(func.lower(Image.relpath).like(pattern, escape="\\"))
    return where


def _at(case: CaseFacts) -> tuple[int, str]:
    return case.queue_order, case.case_id


def _rows(*where: ColumnElement[bool] | TextClause) -> AnySelect:
    query = select(*_ROW).join(Image, Image.id == Case.image_id).where(*where)
    return query.order_by(Case.queue_order, Case.id)
