"""Which case comes next for this reviewer: the plan's order, or an order of their own.

Orders are never stored per person. By priority, the store finds the next open place through its
indexes; at random, the places of a keyed permutation are asked for a few dozen at a time. Both go
round: where nothing is open further on, the search starts again from the front.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dashboard.services.permute import Permutation, for_reviewer
from dashboard.services.project_settings import ProjectSettings
from dashboard.viewmodels.queue import PlaceView
from db.desk_records import ClaimRecord, PlaceRecord
from db.unit_of_work import UnitOfWork

FIRST_LOOK, LONGEST_LOOK = 32, 1024  # places asked for at once
DESKS = 2  # cases one person may have open: two tabs; what was opened before is given back


@dataclass(frozen=True)
class Stop:
    """A case on a reviewer's way through the queue."""

    position: int  # 1-based, in the reviewer's own order
    previous_id: str | None  # nearest earlier case that is open for me or has a word of mine
    next_id: str | None  # nearest later case that is open for me
    place: PlaceView


def stop(
    uow: UnitOfWork, case_id: str, reviewer_id: str, rules: ProjectSettings, now: datetime
) -> Stop:
    """Where a case stands on this reviewer's way, and the ways on and back."""
    record = uow.queue.place(case_id, reviewer_id, now=now)
    done = uow.queue.progress(record.version_id, reviewer_id)
    way = _way(uow, record.version_id, reviewer_id, rules, now, done.total)
    place = way.place(record.queue_order)
    return Stop(
        position=place + 1,
        previous_id=way.before(place),
        next_id=way.after(place) or way.at(place + 1),
        place=_place_view(record, done.mine, done.team, done.total),
    )


def first(
    uow: UnitOfWork, version_id: str, reviewer_id: str, rules: ProjectSettings, now: datetime
) -> str | None:
    """The case to begin with: one that I have open, else the first open one, else the first."""
    for lease in uow.queue.leases_of(reviewer_id, now=now):
        held = uow.queue.place(lease.case_id, reviewer_id, now=now)
        if held.version_id == version_id and not held.mine and not _put_aside(held, reviewer_id):
            return lease.case_id
    total = uow.cases.total(version_id)
    way = _way(uow, version_id, reviewer_id, rules, now, total)
    return way.after(-1) or way.at(0)


def claim(
    uow: UnitOfWork,
    case_id: str,
    reviewer_id: str,
    rules: ProjectSettings,
    now: datetime,
    *,
    or_next: bool,
) -> ClaimRecord:
    """Keep a case for a reviewer; with `or_next`, the nearest later one that is free if it is not.

    Of what the reviewer had open before, only the latest stays theirs.
    """
    seconds = 60.0 * rules.lease_minutes
    asked = granted = uow.queue.claim(
        case_id=case_id, reviewer_id=reviewer_id, seconds=seconds, now=now
    )
    if not asked.granted and or_next:
        record = uow.queue.place(case_id, reviewer_id, now=now)
        total = uow.cases.total(record.version_id)
        way = _way(uow, record.version_id, reviewer_id, rules, now, total)
        # Within this transaction an open case stays open, so one attempt is enough.
        free = way.after(way.place(record.queue_order))
        if free is not None:
            granted = uow.queue.claim(
                case_id=free, reviewer_id=reviewer_id, seconds=seconds, now=now
            )
    _give_back(uow, granted.case_id, reviewer_id, now)
    return granted if granted.granted else asked


def renew(
    uow: UnitOfWork, case_id: str, reviewer_id: str, rules: ProjectSettings, now: datetime
) -> None:
    """Something was said on a case: whoever has it open keeps it from now on as long again."""
    if any(lease.case_id == case_id for lease in uow.queue.leases_of(reviewer_id, now=now)):
        uow.queue.claim(
            case_id=case_id, reviewer_id=reviewer_id, seconds=60.0 * rules.lease_minutes, now=now
        )


def _give_back(uow: UnitOfWork, case_id: str, reviewer_id: str, now: datetime) -> None:
    others = [x for x in uow.queue.leases_of(reviewer_id, now=now) if x.case_id != case_id]
    others.sort(key=lambda lease: lease.expires_at, reverse=True)
    for lease in others[DESKS - 1 :]:
        uow.queue.release(lease.case_id, reviewer_id)


def _put_aside(record: PlaceRecord, reviewer_id: str) -> bool:
    return any(
        mark.reviewer_id == reviewer_id and mark.kind in {"skip", "escalate"}
        for mark in record.marks
    )


def _place_view(record: PlaceRecord, mine: int, team: int, total: int) -> PlaceView:
    holder = record.holders[0] if record.holders else None
    return PlaceView(
        reason=record.reason,
        held_by=holder.reviewer if holder else None,
        until=holder.expires_at if holder else None,
        wanted=record.wanted,
        reviewers=record.words,
        marks=tuple(dict.fromkeys(mark.kind for mark in record.marks if mark.kind != "resolve")),
        mine_done=mine,
        team_done=team,
        total=total,
    )


class _ByPriority:
    """The plan's order: places are those of the store."""

    def __init__(self, uow: UnitOfWork, version_id: str, reviewer_id: str, now: datetime) -> None:
        self._uow, self._now = uow, now
        self._key = (version_id, reviewer_id)

    def place(self, order: int) -> int:
        return order

    def at(self, place: int) -> str | None:
        return self._uow.queue.at(self._key[0], [place]).get(place)

    def after(self, place: int) -> str | None:
        further = self._uow.queue.next_open(*self._key, after=place, now=self._now)
        if further is None and place >= 0:  # go round
            further = self._uow.queue.next_open(*self._key, now=self._now)
            if further is not None and further.queue_order == place:
                return None
        return further.case_id if further else None

    def before(self, place: int) -> str | None:
        found = self._uow.queue.previous_open(*self._key, before=place, or_mine=True, now=self._now)
        return found.case_id if found else None


class _AtRandom:
    """A reviewer's own order: place i holds the case at place `order.at(i)` of the plan."""

    def __init__(
        self, uow: UnitOfWork, version_id: str, reviewer_id: str, now: datetime,
        order: Permutation,
    ) -> None:  # fmt: skip
        self._uow, self._now, self._order = uow, now, order
        self._key = (version_id, reviewer_id)

    def place(self, order: int) -> int:
        return self._order.place(order)

    def at(self, place: int) -> str | None:
        if not 0 <= place < self._order.n:
            return None
        where = self._order.at(place)
        return self._uow.queue.at(self._key[0], [where]).get(where)

    def after(self, place: int) -> str | None:
        start = place + 1
        if place < 0:  # all but a few of the places before this one have my word
            start = min(self._uow.queue.progress(*self._key).mine, self._order.n)
        further = self._nearest(range(start, self._order.n), or_mine=False)
        return further or self._nearest(range(max(place, start, 0)), or_mine=False, but=place)

    def before(self, place: int) -> str | None:
        return self._nearest(range(place - 1, max(-1, place - 1 - LONGEST_LOOK), -1), or_mine=True)

    def _nearest(self, places: range, *, or_mine: bool, but: int = -1) -> str | None:
        for look in _looks(places):
            wanted = [self._order.at(place) for place in look if place != but]
            found = self._uow.queue.open_among(*self._key, wanted, or_mine=or_mine, now=self._now)
            if found:
                return found[0].case_id
        return None


def _way(
    uow: UnitOfWork, version_id: str, reviewer_id: str, rules: ProjectSettings, now: datetime,
    total: int,
) -> _ByPriority | _AtRandom:  # fmt: skip
    if rules.order == "random" and total:
        order = for_reviewer(total, rules.seed, reviewer_id)
        return _AtRandom(uow, version_id, reviewer_id, now, order)
    return _ByPriority(uow, version_id, reviewer_id, now)


def _looks(places: range) -> Iterator[range]:
    """The places in order, a few at first and more at a time the longer it takes."""
    at, size = 0, FIRST_LOOK
    while at < len(places):
        yield places[at : at + size]
        at, size = at + size, min(2 * size, LONGEST_LOOK)
