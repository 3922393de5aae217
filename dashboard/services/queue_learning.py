"""The queue learns while people review: open cases are ordered anew as words come in.

After every `replan_words` verdicts (a rule of the project, see `is_due`) the cases that nobody has
begun are planned as after a run, with the words said so far. Cases with a word, and those that
somebody has open, keep their very place: the others change places among themselves, and only as
many as `WINDOW` from the front on, so that the work is bounded however large the project is. Blind
projects and those with random orders are left alone: there the order must say nothing. The same
words give the same order. Called by the worker, never by a page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from core.errors import InsightError
from dashboard.services import queue_planning as planning
from dashboard.services import queue_scores
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.settings_of import settings_in
from db.errors import StoreError
from db.records import VersionRecord, utc_now
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

WINDOW = 5000
"""Open cases, from the front of the queue on, that are planned anew at a time."""
GROWTH = 20
"""Once many words are there, one in so many must be new: single ones then change little."""
FAILURES = (SQLAlchemyError, StoreError, InsightError, OSError)
_log = logging.getLogger("insight.worker")


def is_due(every: int, planned: int, said: int) -> bool:
    """Whether enough was said since the last plan.

    Args:
        every: words between two plans; 0: never.
        planned, said: words that the last plan knew, and those there are now.

    >>> is_due(10, 0, 9), is_due(10, 0, 10), is_due(10, 1000, 1010), is_due(0, 0, 10**6)
    (False, True, False, False)
    """
    return every > 0 and said - planned >= max(every, planned // GROWTH)


def applies(rules: ProjectSettings) -> bool:
    """Whether a project's rules let its queue learn at all."""
    return rules.replan_words > 0 and rules.order == "priority" and not rules.blind


class QueueLearning:
    """Plans open cases anew where enough was said since the last plan."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        codes: queue_scores.Codes | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
        window: int = WINDOW,
    ) -> None:
        self._uow = uow
        self._codes = codes
        self._now = now
        self._window = window
        self._failed: dict[str, int] = {}  # version -> words at which its plan failed

    def sweep(self) -> tuple[tuple[str, int], ...]:
        """Plans every queue that is due; (version, cases that moved) for each that was planned.

        What fails is logged and left until more was said; nothing is raised.
        """
        done: list[tuple[str, int]] = []
        try:
            due = self.due()
        except FAILURES:
            _log.exception("the store cannot be read; trying again")
            return ()
        for version_id, said in due.items():
            if self._failed.get(version_id) == said:
                continue
            try:
                done.append((version_id, self.learn(version_id)))
            except FAILURES:
                _log.exception("the queue of version %s cannot be planned anew", version_id)
                self._failed[version_id] = said
        return tuple(done)

    def due(self) -> dict[str, int]:
        """Active versions whose queue is due -> words said. A few indexed reads per project."""
        with self._uow(read_only=True) as uow:
            versions = [uow.versions.active(project.id) for project in uow.projects.list()]
            return {
                each.id: uow.plan.said(each.project_id)
                for each in versions
                if each is not None and _due(uow, each)
            }

    def learn(self, version_id: str) -> int:
        """Plans the open cases of a version anew if that is due; how many changed places.

        Raises InsightError, StoreError or OSError where it cannot; then nothing has changed.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            if not _due(uow, version):
                return 0
            rules = settings_in(uow, version.project_id)
            said = uow.plan.said(version.project_id)
            free = uow.plan.not_begun(version_id, self._now(), limit=self._window)
            served = uow.plan.served(version_id, self._now())
            whole = uow.cases.total(version_id) <= self._window
            facts = queue_scores.read(uow, version, among=None if whole else free)
        places, notes = planning.open_places(
            facts, version, rules, self._codes, free=frozenset(free), served=served,
            named=lambda numbers: self._names(version, numbers),
        )  # fmt: skip
        with self._uow() as uow:
            moved = uow.queue.reorder(version_id, places, now=self._now())
            if not _due(uow, version):  # another worker was faster: leaving undoes this
                return 0
            uow.audit.append(
                actor="engine", action=planning.PLANNED, entity="version", entity_id=version_id,
                project_id=version.project_id,
                detail={
                    "seed": rules.seed, "weights": rules.as_json()["weights"],
                    "control_share": rules.control_share, "cases": len(places), "moved": moved,
                    "said": said, "notes": list(notes),
                },
            )  # fmt: skip
            uow.commit()
        return moved

    def _names(self, version: VersionRecord, numbers: Collection[int]) -> Mapping[int, str]:
        with self._uow(read_only=True) as uow:
            found = uow.concepts.numbered(version.project_id, version.dictionary_hash, numbers)
        return {number: each.name for number, each in found.items() if each.name}


def _due(uow: UnitOfWork, version: VersionRecord) -> bool:
    rules = settings_in(uow, version.project_id)
    if not applies(rules):
        return False
    said = uow.plan.said(version.project_id)
    if said < rules.replan_words:
        return False
    return is_due(rules.replan_words, planned_at(uow, version.id), said)


def planned_at(uow: UnitOfWork, version_id: str) -> int:
    """How many words of the project the latest plan of a version knew; 0 where nobody noted it."""
    made = uow.audit.list(action=planning.PLANNED, entity="version", entity_id=version_id, limit=1)
    return int(made[0].detail.get("said", 0)) if made else 0
