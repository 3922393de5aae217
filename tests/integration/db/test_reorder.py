"""Giving open cases new places among themselves: what is begun never moves."""

from datetime import UTC, datetime, timedelta

import pytest

from db.desk_records import QueuePlace
from db.errors import InvalidValue, NotFound
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, make_world

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CASES = 6


@pytest.fixture
def wide(factory: UnitOfWorkFactory) -> World:
    """A world of six cases in their first order."""
    return make_world(factory, images=CASES)


def judge(uow: UnitOfWork, world: World, case: int, who: str) -> None:
    uow.verdicts.append(
        id=new_id(), cue_id=world.cues[case][0].id, reviewer_id=who, value="correct", based_on=0
    )


def order(uow: UnitOfWork, world: World) -> list[int]:
    ids = [case.id for case in world.cases]
    return [ids.index(row.case_id) for row in uow.queue.rows(world.version.id)]


def places(world: World, *cases: int) -> list[QueuePlace]:
    return [QueuePlace(world.cases[at].id, f"teach: {at}", 0.5, wanted=9) for at in cases]


def test_open_cases_change_places_among_themselves(factory: UnitOfWorkFactory, wide: World) -> None:
    with factory() as uow:
        assert uow.queue.reorder(wide.version.id, places(wide, 4, 1, 2), now=NOON) == 3
        assert order(uow, wide) == [0, 4, 1, 3, 2, 5]
        place = uow.queue.place(wide.cases[4].id, wide.ada.id, now=NOON)
        assert (place.reason, place.score, place.queue_order) == ("teach: 4", 0.5, 1)
        assert place.wanted == 1  # how many people a case wants is not for the order to say
        rows = uow.queue.page(wide.version.id, wide.ada.id).items
        assert [row.queue_order for row in rows] == list(range(CASES))
        uow.commit()


def test_the_same_again_changes_nothing(factory: UnitOfWorkFactory, wide: World) -> None:
    with factory() as uow:
        uow.queue.reorder(wide.version.id, places(wide, 5, 3, 0), now=NOON)
        before = order(uow, wide)
        assert uow.queue.reorder(wide.version.id, places(wide, 5, 3, 0), now=NOON) == 0
        assert order(uow, wide) == before
        # A new reason alone moves nobody.
        told = [QueuePlace(each.case_id, "control: x") for each in places(wide, 5, 3, 0)]
        assert uow.queue.reorder(wide.version.id, told, now=NOON) == 0
        assert uow.queue.place(wide.cases[5].id, wide.ada.id, now=NOON).reason == "control: x"
        assert uow.queue.reorder(wide.version.id, [], now=NOON) == 0


def test_what_is_begun_keeps_its_place(factory: UnitOfWorkFactory, wide: World) -> None:
    with factory() as uow:
        judge(uow, wide, 1, wide.ada.id)
        uow.queue.claim(case_id=wide.cases[3].id, reviewer_id=wide.ben.id, seconds=600, now=NOON)
        uow.commit()
    with factory() as uow:
        every = places(wide, 5, 4, 3, 2, 1, 0)
        assert uow.queue.reorder(wide.version.id, every, now=NOON) == 4
        assert order(uow, wide) == [5, 1, 4, 3, 2, 0]
        kept = uow.queue.place(wide.cases[3].id, wide.ben.id, now=NOON)
        assert kept.reason == ""
        later = NOON + timedelta(seconds=601)  # nobody has it any more
        uow.queue.reorder(wide.version.id, places(wide, 3, 5), now=later)
        assert order(uow, wide) == [3, 1, 4, 5, 2, 0]


def test_a_case_that_somebody_is_opening_now_is_passed_over(
    factory: UnitOfWorkFactory, wide: World, back_end: str
) -> None:
    """On a server two transactions write at once; a SQLite file has one writer."""
    opening = factory()
    with opening:
        opening.queue.claim(
            case_id=wide.cases[2].id, reviewer_id=wide.ada.id, seconds=600, now=NOON
        )
        if back_end == "sqlite":
            opening.commit()
        with factory() as uow:
            assert uow.queue.reorder(wide.version.id, places(wide, 5, 2, 0), now=NOON) == 2
            uow.commit()
        if back_end != "sqlite":
            opening.commit()
    with factory(read_only=True) as uow:
        assert order(uow, wide) == [5, 1, 2, 3, 4, 0]
        assert [lease.case_id for lease in uow.queue.leases_of(wide.ada.id, now=NOON)] == [
            wide.cases[2].id
        ]


def test_searches_begin_early_enough_afterwards(factory: UnitOfWorkFactory, wide: World) -> None:
    """Ada skipped the first cases: her searches begin behind them until one moves there."""
    with factory() as uow:
        judge(uow, wide, 0, wide.ada.id)
        uow.queue.mark(id=new_id(), case_id=wide.cases[1].id, reviewer_id=wide.ada.id, kind="skip")
        uow.queue.recount(wide.version.id)
        first = uow.queue.next_open(wide.version.id, wide.ada.id, now=NOON)
        assert first is not None
        assert first.queue_order == 2
        uow.queue.reorder(wide.version.id, places(wide, 5, 1), now=NOON)
        first = uow.queue.next_open(wide.version.id, wide.ada.id, now=NOON)
        assert first is not None
        assert (first.case_id, first.queue_order) == (wide.cases[5].id, 1)


def test_cases_of_another_version_are_not_moved(
    factory: UnitOfWorkFactory, wide: World, world: World
) -> None:
    with factory() as uow:
        strange = [*places(world, 0), *places(wide, 1, 0)]
        assert uow.queue.reorder(wide.version.id, strange, now=NOON) == 2
        assert order(uow, wide)[:2] == [1, 0]
        assert uow.queue.place(world.cases[0].id, world.ada.id, now=NOON).reason == ""
        with pytest.raises(NotFound):
            uow.queue.reorder(new_id(), places(wide, 1, 0), now=NOON)
        with pytest.raises(InvalidValue, match="only once"):
            uow.queue.reorder(wide.version.id, places(wide, 1, 1), now=NOON)


def test_what_the_plan_of_open_cases_reads(factory: UnitOfWorkFactory, wide: World) -> None:
    version, project = wide.version.id, wide.project.id
    with factory() as uow:
        uow.queue.reorder(version, places(wide, 2, 0, 1), now=NOON)
        judge(uow, wide, 2, wide.ada.id)
        judge(uow, wide, 4, wide.ada.id)
        uow.queue.claim(case_id=wide.cases[0].id, reviewer_id=wide.ben.id, seconds=600, now=NOON)
        uow.commit()
    with factory(read_only=True) as uow:
        free = uow.plan.not_begun(version, NOON, limit=10)
        assert free == tuple(wide.cases[at].id for at in (1, 3, 5))
        assert uow.plan.not_begun(version, NOON, limit=2) == free[:2]
        assert uow.plan.served(version, NOON) == {"teach": 2, "": 1}
        assert uow.plan.said(project) == 2
        rows = uow.queue.rows(version, free)
        assert [row.case_id for row in rows] == list(free)
        assert uow.queue.rows(version, []) == ()
        figures = uow.plan.figures(version, free[:1])
        assert {each.case_id for each in figures} == {free[0]}
        assert uow.plan.reconstructions(version, free) == {}
