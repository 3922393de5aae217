"""What the modes read of the words on a version."""

from typing import Any

from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import make_world


def test_said_follows_the_latest_assessment(factory: UnitOfWorkFactory) -> None:
    world = make_world(factory)
    first, second, third = world.cases

    def assess(case_id: str, based_on: int, **said: Any) -> None:
        with factory() as uow:
            uow.assessments.append(
                id=new_id(), case_id=case_id, reviewer_id=world.ada.id, based_on=based_on,
                **{"agree": None, "corrected_label": None, "comment": ""} | said,
            )  # fmt: skip
            uow.commit()

    def said() -> frozenset[str]:
        with factory(read_only=True) as uow:
            assert uow.modes.said(world.version.id, world.ben.id) == frozenset()
            return uow.modes.said(world.version.id, world.ada.id)

    assert said() == frozenset()
    assess(first.id, 0, agree=False)
    assess(second.id, 0, corrected_label="naevus")
    assess(third.id, 0, comment="only a remark")
    assert said() == {first.id, second.id}
    assess(first.id, 1)  # takes it back
    assess(third.id, 1, agree=True)
    assert said() == {second.id, third.id}


def test_tallies_and_reviewed_cases(factory: UnitOfWorkFactory) -> None:
    world = make_world(factory)
    (first, second), (other, *_) = world.cues[0][:2], world.cues[1]

    def judge(cue_id: str, reviewer_id: str, value: Any, based_on: int = 0) -> None:
        with factory() as uow:
            uow.verdicts.append(
                id=new_id(), cue_id=cue_id, reviewer_id=reviewer_id, value=value, based_on=based_on
            )
            uow.commit()

    judge(first.id, world.ada.id, "spurious")
    judge(first.id, world.ben.id, "correct")
    judge(first.id, world.ben.id, "spurious", 1)
    judge(second.id, world.ada.id, "unsure")
    judge(other.id, world.ada.id, "correct")
    judge(other.id, world.ada.id, "withdrawn", 1)
    ids = [first.concept_id, second.concept_id]
    with factory(read_only=True) as uow:
        tally = uow.modes.tally(ids, "melanoma")
        assert tally == {first.concept_id: (0, 2, 0), second.concept_id: (0, 0, 1)}
        assert uow.modes.tally(ids, "naevus") == {}
        assert uow.modes.tally([], "melanoma") == {}
        assert uow.modes.reviewed(world.version.id) == {"melanoma": 1}
