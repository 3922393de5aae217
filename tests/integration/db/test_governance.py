"""Criteria, decisions, schedules and exports: what stands, what is refused, what is replayed."""

from typing import Any

import pytest

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.governance_records import CriterionRecord, DecisionRecord, ExportRecord, ScheduleRecord
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, make_world


def criterion(uow: UnitOfWork, world: World, **more: Any) -> CriterionRecord:
    asked = {"id": new_id(), "measure": "kappa", "comparator": ">=", "threshold": 0.6}
    asked |= {"reason": "substantial", "based_on": 0, "reviewer_id": world.ada.id}
    return uow.criteria.append(project_id=world.project.id, **asked | more)


def decision(uow: UnitOfWork, world: World, **more: Any) -> DecisionRecord:
    asked = {"id": new_id(), "subject": "threshold", "title": "How sure", "choice": ".8"}
    asked |= {"reason": "few misses", "reviewer_id": world.ada.id}
    return uow.decisions.add(project_id=world.project.id, **asked | more)


def schedule(uow: UnitOfWork, world: World, **more: Any) -> ScheduleRecord:
    asked = {"id": new_id(), "schedule_id": new_id(), "name": "weekly", "spec": {"every": "week"}}
    asked |= {"active": True, "based_on": 0, "reviewer_id": world.ada.id}
    return uow.schedules.append(project_id=world.project.id, **asked | more)


def export(uow: UnitOfWork, world: World, **more: Any) -> ExportRecord:
    asked = {"id": new_id(), "kind": "report", "format": "pdf", "scope": {"class": "naevus"}}
    asked |= {"sha256": "a" * 64, "size": 10, "reviewer_id": world.ada.id}
    return uow.exports.add(project_id=world.project.id, **asked | more)


class TestCriteria:
    def test_the_latest_stands_until_withdrawn(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            first = criterion(uow, world)
            criterion(uow, world, measure="coverage", threshold=0.8)
            second = criterion(
                uow, world, threshold=0.7, based_on=1, reviewer_id=world.ben.id, reason="stricter"
            )
            criterion(uow, world, measure="coverage", threshold=None, based_on=1)
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.criteria.standing(world.project.id) == (second,)
            assert (second.revision, second.reviewer, second.threshold) == (2, world.ben.name, 0.7)
            history = uow.criteria.history(world.project.id)
            assert [each.measure for each in history] == ["kappa", "coverage", "kappa", "coverage"]
            assert history[0] == first
            withdrawn = uow.criteria.latest(world.project.id, "coverage")
            assert withdrawn is not None
            assert (withdrawn.revision, withdrawn.threshold) == (2, None)

    def test_a_lost_update_is_refused_and_a_repeat_is_harmless(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            said = criterion(uow, world)
            assert criterion(uow, world, id=said.id) == said
            with pytest.raises(StaleWrite):
                criterion(uow, world, threshold=0.9)
            with pytest.raises(Conflict):
                criterion(uow, world, id=said.id, threshold=0.9)
            with pytest.raises(InvalidValue):
                criterion(uow, world, comparator="=", based_on=1)
            assert len(uow.criteria.history(world.project.id)) == 1


class TestDecisions:
    def test_newest_first_and_by_subject(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            first = decision(uow, world, evidence=({"kind": "run", "id": "r1"},))
            second = decision(
                uow, world, subject="version", subject_id=world.version.id, supersedes=first.id
            )
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.decisions.list(world.project.id) == (second, first)
            assert uow.decisions.list(world.project.id, subject="version") == (second,)
            found = uow.decisions.list(world.project.id, subject_id=world.version.id)
            assert [each.supersedes for each in found] == [first.id]
            assert uow.decisions.get(first.id).evidence == ({"kind": "run", "id": "r1"},)

    def test_what_is_refused(self, factory: UnitOfWorkFactory, world: World) -> None:
        other = make_world(factory)
        with factory() as uow:
            first = decision(uow, world)
            assert decision(uow, world, id=first.id) == first
            with pytest.raises(Conflict):
                decision(uow, world, id=first.id, title="Another")
            with pytest.raises(InvalidValue):
                decision(uow, world, title="  ")
            with pytest.raises(NotFound):
                decision(uow, other, supersedes=first.id)
            with pytest.raises(NotFound):
                uow.decisions.get(new_id())

    def test_a_decision_is_superseded_once(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            first = decision(uow, world)
            decision(uow, world, supersedes=first.id)
            with pytest.raises(Conflict):
                decision(uow, world, supersedes=first.id)


class TestSchedules:
    def test_revisions_of_one_schedule(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            first = schedule(uow, world)
            paused = schedule(
                uow, world, schedule_id=first.schedule_id, active=False, based_on=first.revision
            )
            other = schedule(uow, world, name="daily")
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.schedules.standing(world.project.id) == (paused, other)
            assert uow.schedules.history(first.schedule_id) == (first, paused)
            everywhere = uow.schedules.standing()
            assert paused in everywhere
            assert other in everywhere

    def test_what_is_refused(self, factory: UnitOfWorkFactory, world: World) -> None:
        other = make_world(factory)
        with factory() as uow:
            first = schedule(uow, world)
            with pytest.raises(StaleWrite):
                schedule(uow, world, schedule_id=first.schedule_id)
            with pytest.raises(NotFound):
                schedule(uow, other, schedule_id=first.schedule_id, based_on=1)
            with pytest.raises(InvalidValue):
                schedule(uow, world, schedule_id="weekly")


class TestExports:
    def test_who_took_what(self, factory: UnitOfWorkFactory, world: World) -> None:
        plan = new_id()
        with factory() as uow:
            first = export(uow, world)
            second = export(
                uow, world, kind="archive", format="zip", sha256="b" * 64, reviewer_id=None,
                schedule_id=plan, path="exports/a.zip", version_hash=world.version.hash,
            )  # fmt: skip
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.exports.list(world.project.id) == (second, first)
            assert uow.exports.list(world.project.id, limit=1) == (second,)
            assert uow.exports.list(world.project.id, kind="report") == (first,)
            assert first in uow.exports.by_hash("a" * 64)
            assert uow.exports.last_of(plan) == second
            assert uow.exports.last_of(new_id()) is None
            assert (first.reviewer, second.reviewer) == (world.ada.name, None)

    def test_a_repeat_is_harmless_and_other_content_is_refused(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            first = export(uow, world)
            assert export(uow, world, id=first.id) == first
            with pytest.raises(Conflict):
                export(uow, world, id=first.id, size=11)
            with pytest.raises(InvalidValue):
                export(uow, world, kind="leak")
            with pytest.raises(NotFound):
                export(uow, world, reviewer_id=new_id())


def test_all_of_it_is_part_of_the_log(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as uow:
        criterion(uow, world)
        decision(uow, world)
        schedule(uow, world)
        export(uow, world, reviewer_id=None)
        uow.commit()
    with factory() as uow:
        events = uow.log.read(world.project.id)
        assert {each.table for each in events} >= {"criteria", "decisions", "schedules", "exports"}
        assert uow.log.replay(events) == 0
