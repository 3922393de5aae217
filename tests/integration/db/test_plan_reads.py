"""What the plan of a queue reads: cases with a word, and cases that somebody works on."""

from datetime import UTC, datetime, timedelta

from db.desk_records import QueuePlace
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import make_world

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_cases_with_a_word_or_in_somebodys_hands(factory: UnitOfWorkFactory) -> None:
    world = make_world(factory, images=5)
    ids = [case.id for case in world.cases]
    with factory() as uow:
        uow.queue.plan(world.version.id, [QueuePlace(ids[3], "teach: x", 0.7, wanted=2)])
        for case, value in ((3, "spurious"), (1, "correct")):
            uow.verdicts.append(
                id=new_id(), cue_id=world.cues[case][0].id, reviewer_id=world.ada.id, value=value,
                based_on=0,
            )  # fmt: skip
        uow.queue.claim(case_id=ids[4], reviewer_id=world.ben.id, seconds=600, now=NOON)
        uow.commit()
    with factory(read_only=True) as uow:
        assert uow.plan.spoken(world.version.id) == {ids[1], ids[3]}
        begun = uow.plan.begun(world.version.id, NOON)
        # In queue order, as they stand.
        assert begun[0] == QueuePlace(ids[3], "teach: x", 0.7, 2)
        assert [place.case_id for place in begun] == [ids[3], ids[1], ids[4]]
        later = uow.plan.begun(world.version.id, NOON + timedelta(seconds=601))
        assert [place.case_id for place in later] == [ids[3], ids[1]]
        assert uow.plan.spoken(new_id()) == frozenset()


def test_a_word_that_was_taken_back_is_none(factory: UnitOfWorkFactory) -> None:
    world = make_world(factory, images=2)
    cue = world.cues[0][0]
    with factory() as uow:
        for revision, value in enumerate(("spurious", "withdrawn")):
            uow.verdicts.append(
                id=new_id(), cue_id=cue.id, reviewer_id=world.ada.id, value=value,
                based_on=revision,
            )  # fmt: skip
        uow.commit()
    with factory(read_only=True) as uow:
        assert uow.plan.spoken(world.version.id) == frozenset()
