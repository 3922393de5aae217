"""Adjudications, case studies and what agreement figures read, on both back ends."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from db.desk_records import AdjudicationRecord, CollectionRecord, PinRecord
from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World, make_world


def new() -> str:
    return str(uuid4())


def decide(uow: UnitOfWork, world: World, **changes: Any) -> AdjudicationRecord:
    given: dict[str, Any] = {
        "id": new(), "project_id": world.project.id, "subject": "cue",
        "subject_id": world.cues[0][0].id, "reviewer_id": world.ada.id, "value": "spurious",
        "based_on": 0,
    } | changes  # fmt: skip
    return uow.adjudications.append(**given)


class TestAdjudications:
    def test_the_latest_stands_and_all_are_kept(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            first = decide(uow, world, reason="at the edge")
            second = decide(uow, world, value="withdrawn", based_on=1)
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.adjudications.standing(world.project.id, "cue") == (second,)
            assert uow.adjudications.standing(world.project.id, "case") == ()
            assert uow.adjudications.history("cue", first.subject_id) == (first, second)
        assert (first.case_id, first.reviewer, first.reason) == (
            world.cases[0].id, world.ada.name, "at the edge",
        )  # fmt: skip

    def test_a_repeat_is_harmless_and_an_unseen_one_is_refused(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        event = new()
        with factory() as uow:
            first = decide(uow, world, id=event)
            assert decide(uow, world, id=event) == first
            with pytest.raises(Conflict):
                decide(uow, world, id=event, value="correct")
            with pytest.raises(StaleWrite):
                decide(uow, world, reviewer_id=world.ben.id)

    def test_a_case_is_decided_by_class(self, factory: UnitOfWorkFactory, world: World) -> None:
        case = {"subject": "case", "subject_id": world.cases[1].id}
        with factory() as uow:
            assert decide(uow, world, **case, value="naevus").case_id == world.cases[1].id
            with pytest.raises(InvalidValue, match="naevus, melanoma"):
                decide(uow, world, **case, value="spurious", based_on=1)
            with pytest.raises(InvalidValue):
                decide(uow, world, value="melanoma")

    def test_what_is_not_of_the_project_is_not_found(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        other = make_world(factory)
        with factory() as uow:
            with pytest.raises(NotFound):
                decide(uow, world, project_id=other.project.id)
            with pytest.raises(NotFound):
                decide(uow, world, subject_id=new())


def say(uow: UnitOfWork, world: World, cue: int, who: str, value: str, case: int = 0) -> None:
    """A verdict of Ada or Ben, over whatever stood."""
    reviewer = {"ada": world.ada, "ben": world.ben}[who]
    cue_id = world.cues[case][cue].id
    stands = uow.verdicts.standing(world.cases[case].id, reviewer.id).get(cue_id)
    uow.verdicts.append(
        id=new(), cue_id=cue_id, reviewer_id=reviewer.id, value=value,  # type: ignore[arg-type]
        based_on=stands.revision if stands else 0,
    )  # fmt: skip


class TestAgreement:
    def test_only_what_two_judged_and_only_what_stands(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            say(uow, world, 0, "ada", "correct")
            say(uow, world, 0, "ada", "spurious")
            say(uow, world, 0, "ben", "correct")
            say(uow, world, 1, "ada", "correct")  # alone
            say(uow, world, 2, "ada", "correct", case=1)
            say(uow, world, 2, "ben", "unsure", case=1)
            say(uow, world, 2, "ben", "withdrawn", case=1)
            uow.commit()
        with factory(read_only=True) as uow:
            found = uow.agreement.words(world.project.id)
            of_one = uow.agreement.words(world.project.id, concept_id=world.cues[1][2].concept_id)
        assert [(each.cue_id, each.reviewer_id, each.value) for each in found] == [
            (world.cues[0][0].id, world.ada.id, "spurious"),
            (world.cues[0][0].id, world.ben.id, "correct"),
            (world.cues[1][2].id, world.ada.id, "correct"),
        ]
        assert found[0].prediction == "melanoma"
        assert [each.cue_id for each in of_one] == [world.cues[1][2].id]

    def test_labels_of_cases(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            for case, who, agree, label in (
                (0, world.ada, True, None), (0, world.ben, False, "naevus"),
                (1, world.ada, True, None),
            ):  # fmt: skip
                uow.assessments.append(
                    id=new(), case_id=world.cases[case].id, reviewer_id=who.id, based_on=0,
                    agree=agree, corrected_label=label,
                )  # fmt: skip
            uow.commit()
        with factory(read_only=True) as uow:
            found = uow.agreement.labels(world.project.id)
        assert [(each.case_id, each.reviewer, each.corrected_label) for each in found] == [
            (world.cases[0].id, world.ada.name, None),
            (world.cases[0].id, world.ben.name, "naevus"),
        ]

    def test_the_stamp_moves_with_every_word(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            before = uow.agreement.stamp()
            say(uow, world, 0, "ada", "correct")
            between = uow.agreement.stamp()
            uow.assessments.append(
                id=new(), case_id=world.cases[0].id, reviewer_id=world.ada.id, based_on=0,
                agree=True,
            )  # fmt: skip
            assert before < between < uow.agreement.stamp()


def made(uow: UnitOfWork, world: World, **changes: Any) -> CollectionRecord:
    given: dict[str, Any] = {
        "id": new(), "project_id": world.project.id, "reviewer_id": world.ada.id,
        "title": "Shortcuts",
    } | changes  # fmt: skip
    return uow.studies.create(**given)


def pinned(
    uow: UnitOfWork, world: World, collection: CollectionRecord, **changes: Any
) -> PinRecord:
    given: dict[str, Any] = {
        "id": new(), "collection_id": collection.id, "case_id": world.cases[0].id,
        "reviewer_id": world.ada.id, "note": "look at the edge", "frozen": {"cues": [1]},
    } | changes  # fmt: skip
    return uow.studies.pin(**given)


class TestStudies:
    def test_a_collection_with_pins(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            collection = made(uow, world)
            first = pinned(uow, world, collection)
            second = pinned(uow, world, collection, case_id=world.cases[1].id)
            uow.studies.unpin(id=new(), pin_id=first.id, reviewer_id=world.ben.id)
            uow.commit()
        with factory(read_only=True) as uow:
            assert uow.studies.pins(collection.id) == (second,)
            assert [each.pins for each in uow.studies.list(world.project.id)] == [1]
            assert uow.studies.list(world.project.id, "hypothesis") == ()
            assert uow.studies.pin_of(first.id).frozen == {"cues": [1]}

    def test_what_was_taken_out_may_come_back(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            collection = made(uow, world)
            first = pinned(uow, world, collection)
            with pytest.raises(Conflict, match="already"):
                pinned(uow, world, collection)
            out = new()
            gone = uow.studies.unpin(id=out, pin_id=first.id, reviewer_id=world.ada.id)
            assert uow.studies.unpin(id=out, pin_id=first.id, reviewer_id=world.ada.id) == gone
            with pytest.raises(Conflict, match="already"):
                uow.studies.unpin(id=new(), pin_id=first.id, reviewer_id=world.ada.id)
            with pytest.raises(InvalidValue):
                uow.studies.unpin(id=new(), pin_id=gone.id, reviewer_id=world.ada.id)
            again = pinned(uow, world, collection)
            assert uow.studies.pins(collection.id) == (again,)

    def test_repeats_are_harmless(self, factory: UnitOfWorkFactory, world: World) -> None:
        event = new()
        with factory() as uow:
            collection = made(uow, world, id=event)
            assert made(uow, world, id=event) == collection
            with pytest.raises(Conflict):
                made(uow, world, id=event, title="Other")
            first = pinned(uow, world, collection, id=event)
            later = pinned(uow, world, collection, id=event, frozen={"cues": [2]})
            assert later == first  # what was frozen first stays

    def test_cases_and_collections_of_other_projects(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        other = make_world(factory)
        with factory() as uow:
            collection = made(uow, world)
            with pytest.raises(NotFound):
                pinned(uow, world, collection, case_id=other.cases[0].id)
            with pytest.raises(NotFound):
                uow.studies.get(new())
            assert uow.studies.list(other.project.id) == ()

    def test_answers_are_kept_once_per_attempt(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        with factory() as uow:
            collection = made(uow, world)
            pin = pinned(uow, world, collection)
            event = new()
            said: dict[str, Any] = {
                "collection_id": collection.id, "pin_id": pin.id, "reviewer_id": world.ben.id,
                "attempt": 1, "answers": {"cues": {"a": "correct"}, "label": None}, "score": 0.5,
            }  # fmt: skip
            first = uow.studies.answer(id=event, **said)
            assert uow.studies.answer(id=event, **said) == first
            with pytest.raises(Conflict, match="answered"):
                uow.studies.answer(id=new(), **said)
            again = uow.studies.answer(id=new(), **(said | {"attempt": 2}))
            with pytest.raises(InvalidValue):
                uow.studies.answer(id=new(), **(said | {"attempt": 0}))
            assert uow.studies.answers(collection.id) == (first, again)
            assert uow.studies.answers(collection.id, world.ada.id) == ()
