"""The queue: planned by a stated priority, claimed by leases that expire, marked and assigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID, uuid5

from core.errors import ConfigError, InsightError
from dashboard.services import queue_plan, queue_scores, queue_walk
from dashboard.services import queue_planning as planning
from dashboard.services.names import clean_name
from dashboard.services.permute import for_reviewer
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.queue_rows import queue_rows, told_filters
from dashboard.services.settings_of import require, settings_in
from dashboard.viewmodels.queue import (
    ClaimView,
    FacetsView,
    PlanView,
    ProgressView,
    QueueFilter,
    QueuePage,
)
from db.desk_records import QueueMark, QueuePlace, QueueRecord, QueueSlice
from db.people import person_key
from db.records import VersionRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

PAGE = 25  # rows
MAX_ASSIGNED = 500  # cases with one act
STATES: dict[str, Literal["all", "open", "done", "held", "put-aside"]] = {
    "open": "open", "mine": "done", "held": "held", "skipped": "put-aside",
}  # fmt: skip
MARKED: dict[str, Literal["flag", "escalate"]] = {"flagged": "flag", "escalated": "escalate"}


class QueueService:
    """Who reviews which case, in which order and why."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        codes: queue_scores.Codes | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Without `codes` the plan goes by what the store alone knows."""
        self._uow = uow
        self._codes = codes
        self._now = now

    def plan(self, project_id: str, by: str | None = None) -> PlanView:
        """Orders the active version's cases by the project's stated priority. Leads only.

        The same facts and the same settings give the same order. `by` None is the engine itself
        (a version was published or activated).

        Raises Forbidden, or InsightError where there is no version yet.
        """
        with self._uow(read_only=True) as uow:
            if by is not None:
                require(uow, project_id, by, "lead")
            version = uow.versions.active(project_id)
        if version is None:
            raise InsightError("this project has no model version to plan a queue for yet")
        return self.plan_version(version.id, by)

    def plan_version(
        self, version_id: str, by: str | None = None, *, keep: int = 0, begun: bool = False
    ) -> PlanView:
        """As `plan`, of any version; nobody is asked whether they may.

        Args:
            keep: cases at the front that stay where they are (those that were there before new
                images came in): people are on their way through them.
            begun: cases with a word, or in somebody's hands, come first as they stand instead.
        """
        kept: Sequence[QueuePlace | QueueRecord] = ()
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            rules = settings_in(uow, version.project_id)
            facts = queue_scores.read(uow, version)
            said = uow.plan.said(version.project_id)
            if begun:
                kept = uow.plan.begun(version_id, self._now())
            elif keep:
                kept = uow.queue.page(version_id, by or "", limit=keep).items
        places, notes = planning.places(facts, version, rules, self._codes, kept=kept)
        with self._uow() as uow:
            uow.queue.plan(version_id, places)
            uow.audit.append(
                actor=uow.reviewers.get(by).name if by is not None else "engine",
                action=planning.PLANNED, entity="version", entity_id=version_id,
                project_id=version.project_id,
                detail={
                    "seed": rules.seed, "weights": rules.as_json()["weights"],
                    "control_share": rules.control_share, "cases": len(places), "kept": len(kept),
                    "said": said, "notes": list(notes),
                },
            )  # fmt: skip
            uow.commit()
        return self.plan_of(version.project_id, version=version)

    def published(self, version_id: str, before: int) -> None:
        """Plans the new cases of a version behind those that were there before."""
        self.plan_version(version_id, keep=before)

    def activated(self, version_id: str) -> None:
        """Plans the queue of a version that just became the active one.

        Unless somebody works on it already: then their order stays until a lead plans anew.
        """
        with self._uow(read_only=True) as uow:
            begun = bool(uow.queue.progress(version_id, "").by_reviewer)
        if not begun:
            self.plan_version(version_id)

    def after_run(self, project_id: str) -> None:
        """Orders the open cases of the active version anew by what would teach the next run most.

        A run has used what was said so far. Cases with a word, and those that somebody has open,
        stay in front as they are; nothing happens where the project has no version.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
        if version is not None:
            self.plan_version(version.id, begun=True)

    def catch_up(self, project_id: str, *, at_most: int | None = None) -> bool:
        """Plans a queue that never was: of a workspace from before there were plans.

        Args:
            at_most: longer queues are left alone (somebody is waiting); None plans any.

        Returns whether it planned.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return False
            total = uow.cases.total(version.id)
            first = uow.queue.at(version.id, [0]).get(0)
            if first is None or (at_most is not None and total > at_most):
                return False
            reason = uow.queue.place(first, "", now=self._now()).reason
        if reason.partition(":")[0] in queue_plan.REASONS:
            return False
        self.plan_version(version.id)
        return True

    def plan_of(self, project_id: str, *, version: VersionRecord | None = None) -> PlanView:
        """The plan that stands: cases by reason, who made it and what it could not use."""
        with self._uow(read_only=True) as uow:
            rules = settings_in(uow, project_id)
            version = version or uow.versions.active(project_id)
            if version is None:
                return PlanView(0, (), rules.seed)
            reasons = uow.queue.reasons(version.id)
            made = [
                row
                for row in uow.audit.list(entity="version", entity_id=version.id)
                if row.action == planning.PLANNED
            ]
            total = uow.cases.total(version.id)
        counts = dict.fromkeys(queue_plan.REASONS, 0)
        counts |= {key: count for key, count in reasons.items() if key in counts}
        last = max(made, key=lambda row: row.id, default=None)
        return PlanView(
            total=total,
            counts=tuple((key, queue_plan.REASONS[key], count) for key, count in counts.items()),
            seed=int(last.detail["seed"]) if last else rules.seed,
            by=last.actor if last else "",
            at=last.at if last else None,
            notes=tuple(last.detail.get("notes", ())) if last else (),
        )

    def page(self, project_id: str, reviewer_id: str, filters: QueueFilter) -> QueuePage:
        """One page of the queue as a reviewer may see it, in the order in which they meet it.

        Filters by what the project hides are not used: they would tell it.
        """
        with self._uow(read_only=True) as uow:
            rules = settings_in(uow, project_id)
            version = uow.versions.active(project_id)
            if version is None:
                return QueuePage((), 0, 1, 1, PAGE, rules.blind, rules.order)
            told = told_filters(filters, rules)
            total = uow.cases.total(version.id)
            if rules.order == "random" and total:
                found, at = self._shuffled(uow, version.id, reviewer_id, told, rules, total)
            else:
                found, at = self._slice(uow, version.id, reviewer_id, told, told.page)
            rows = queue_rows(uow, found, reviewer_id, rules, total)
        pages = max(1, -(-found.total // PAGE))
        return QueuePage(rows, found.total, at, pages, PAGE, rules.blind, rules.order)

    def facets(self, project_id: str) -> FacetsView:
        """What the queue can be filtered by."""
        with self._uow(read_only=True) as uow:
            project = uow.projects.get(project_id)
            counts = uow.images.counts(project_id)
        classes = tuple((name, name) for name in project.classes)
        splits = sorted(name for name in counts.by_split if name is not None)
        labels = sorted(name for name in counts.by_label if name is not None)
        return FacetsView(
            reasons=tuple(queue_plan.REASONS.items()),
            predictions=classes,
            labels=tuple((name, name) for name in labels),
            splits=tuple((name, name) for name in splits),
        )

    def progress(self, project_id: str, reviewer_id: str) -> ProgressView:
        """How far I am and how far the team is, on the active version."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return ProgressView(0, 0, 0)
            done = uow.queue.progress(version.id, reviewer_id)
        return ProgressView(done.mine, done.team, done.total, done.by_reviewer)

    def claim(self, case_id: str, reviewer_id: str, or_next: bool = False) -> ClaimView:
        """Keeps an opened case for a reviewer until they stop acting on it for a while.

        Refused, not raised, where as many people as wanted have it or are done with it; with
        `or_next` the nearest later case that is free is taken instead. Opening it again renews it;
        a lease nobody renews ends by itself.
        """
        now = self._now()
        with self._uow() as uow:
            rules = settings_in(uow, uow.cases.get(case_id).project_id)
            found = queue_walk.claim(uow, case_id, reviewer_id, rules, now, or_next=or_next)
            uow.commit()
        lease = found.lease or (found.holders[0] if found.holders else None)
        return ClaimView(
            case_id=found.case_id,
            ok=found.granted,
            held_by=found.holders[0].reviewer if found.holders and not found.granted else None,
            until=lease.expires_at if lease else None,
        )

    def release(self, case_id: str, reviewer_id: str) -> None:
        """Gives a case back before its lease ends; harmless where it is not held."""
        with self._uow() as uow:
            uow.queue.release(case_id, reviewer_id)
            uow.commit()

    def mark(
        self, *, id: str, case_id: str, reviewer_id: str, kind: QueueMark, reason: str = ""
    ) -> None:
        """Skips, flags or escalates a case, or resolves that; a repeat changes nothing.

        A skipped or escalated case is not offered to me again until that is resolved.
        """
        if kind not in get_args(QueueMark):
            raise ConfigError(f"a mark is one of {', '.join(get_args(QueueMark))}, not {kind!r}")
        text = clean_name(reason, "the reason", limit=500) if reason.strip() else ""
        with self._uow() as uow:
            row = uow.queue.mark(
                id=id, case_id=case_id, reviewer_id=reviewer_id, kind=kind, reason=text
            )
            if not uow.audit.list(entity="queue mark", entity_id=row.id):
                uow.audit.append(
                    actor=row.reviewer, action=f"case.{kind}", entity="queue mark",
                    entity_id=row.id, detail={"case": case_id, "reason": text},
                    project_id=row.project_id,
                )  # fmt: skip
            if kind in {"skip", "escalate"}:
                uow.queue.release(case_id, reviewer_id)
            uow.commit()

    def assign(
        self, *, id: str, case_id: str, assignee_id: str, by_id: str, assigned: bool = True
    ) -> None:
        """Gives a case to somebody, or takes it away. Leads only; a repeat changes nothing."""
        with self._uow() as uow:
            require(uow, uow.cases.get(case_id).project_id, by_id, "lead")
            _assign(uow, id, case_id, assignee_id, by_id, assigned)
            uow.commit()

    def assign_next(
        self, *, id: str, project_id: str, assignee_id: str, by_id: str, count: int
    ) -> int:
        """Gives the first cases that are open for somebody to them; returns how many.

        Leads only. A repeat with the same id gives no further cases.
        """
        if not 1 <= count <= MAX_ASSIGNED:
            raise ConfigError(f"between 1 and {MAX_ASSIGNED} cases can be assigned at once")
        with self._uow() as uow:
            require(uow, project_id, by_id, "lead")
            done = uow.audit.list(entity="assignment", entity_id=id)
            if done:
                return int(done[0].detail["cases"])
            version = uow.versions.active(project_id)
            if version is None:
                raise InsightError("there are no cases to assign yet")
            cases = _unassigned(uow, version.id, assignee_id, count, self._now())
            for case_id in cases:
                one = str(uuid5(UUID(id), case_id))
                uow.queue.assign(id=one, case_id=case_id, assignee_id=assignee_id, by_id=by_id)
            uow.audit.append(
                actor=uow.reviewers.get(by_id).name, action="cases.assigned",
                entity="assignment", entity_id=id,
                detail={"assignee": person_key(assignee_id), "cases": len(cases)},
                project_id=project_id,
            )  # fmt: skip
            uow.commit()
        return len(cases)

    def _slice(
        self, uow: UnitOfWork, version_id: str, reviewer_id: str, told: QueueFilter, page: int
    ) -> tuple[QueueSlice, int]:
        """The page asked for, or the last one where there are fewer."""
        found = self._ask(uow, version_id, reviewer_id, told, PAGE, (max(page, 1) - 1) * PAGE)
        last = max(1, -(-found.total // PAGE))
        if page > last:
            return self._slice(uow, version_id, reviewer_id, told, last)
        return found, max(page, 1)

    def _shuffled(
        self, uow: UnitOfWork, version_id: str, reviewer_id: str, told: QueueFilter,
        rules: ProjectSettings, total: int,
    ) -> tuple[QueueSlice, int]:  # fmt: skip
        """The page of a reviewer's own order: all that match are read and put into it."""
        order = for_reviewer(total, rules.seed, reviewer_id)
        everything = self._ask(uow, version_id, reviewer_id, told, total, 0)
        items = sorted(everything.items, key=lambda item: order.place(item.queue_order))
        last = max(1, -(-len(items) // PAGE))
        at = min(max(told.page, 1), last)
        return QueueSlice(tuple(items[(at - 1) * PAGE : at * PAGE]), everything.total), at

    def _ask(
        self, uow: UnitOfWork, version_id: str, reviewer_id: str, told: QueueFilter, limit: int,
        offset: int,
    ) -> QueueSlice:  # fmt: skip
        return uow.queue.page(
            version_id, reviewer_id,
            state=STATES.get(told.status, "all"),
            reason=f"{told.reason}:" if told.reason else None,
            prediction=told.prediction or None,
            label=told.label or None,
            split=told.split or None,
            mark=MARKED.get(told.status),
            assignee_id=reviewer_id if told.status == "assigned" else None,
            search=told.search, limit=limit, offset=offset, now=self._now(),
        )  # fmt: skip


def _unassigned(
    uow: UnitOfWork, version_id: str, assignee_id: str, count: int, now: datetime
) -> list[str]:
    """The first cases open for somebody that are not theirs already."""
    found: list[str] = []
    at = -1
    while len(found) < count:
        further = uow.queue.next_open(version_id, assignee_id, after=at, now=now)
        if further is None:
            break
        at = further.queue_order
        place = uow.queue.place(further.case_id, assignee_id, now=now)
        if not any(each.assignee_id == assignee_id for each in place.assignments):
            found.append(further.case_id)
    return found


def _assign(
    uow: UnitOfWork, id: str, case_id: str, assignee_id: str, by_id: str, assigned: bool
) -> None:
    row = uow.queue.assign(
        id=id, case_id=case_id, assignee_id=assignee_id, by_id=by_id, assigned=assigned
    )
    if not uow.audit.list(entity="assignment", entity_id=row.id):
        uow.audit.append(
            actor=row.by, action="case.assigned" if assigned else "case.unassigned",
            entity="assignment", entity_id=row.id,
            detail={"case": case_id, "assignee": person_key(assignee_id)},
            project_id=row.project_id,
        )  # fmt: skip
