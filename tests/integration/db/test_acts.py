"""Drawings, notes, blind words, peers, and one undo stack over what a reviewer did."""

import pytest

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import World

BOX = ((0.1, 0.2), (0.6, 0.7))


def _draw(uow: UnitOfWork, world: World, **more: object) -> str:
    given = {
        "id": new_id(),
        "case_id": world.cases[0].id,
        "reviewer_id": world.ada.id,
        "kind": "missed",
        "shape": "box",
        "points": BOX,
    }
    return uow.drawings.draw(**given | more).id


def _undo(uow: UnitOfWork, world: World, id: str | None = None) -> str | None:
    taken = uow.undo.undo(id=id or new_id(), reviewer_id=world.ada.id, project_id=world.project.id)
    return None if taken is None else taken.kind


class TestDrawings:
    def test_drawn_erased_and_repeated(self, factory: UnitOfWorkFactory, world: World) -> None:
        case, ada = world.cases[0].id, world.ada.id
        cue = world.cues[0][1].id
        with factory() as uow:
            event = new_id()
            for _again in range(2):
                _draw(uow, world, id=event, cue_id=cue, kind="wrong-part", note="<b>hair</b>")
            (drawn,) = uow.drawings.standing(case)
            assert (drawn.points, drawn.note, drawn.cue_id) == (BOX, "<b>hair</b>", cue)
            assert uow.drawings.standing(case, world.ben.id) == ()
            gone = new_id()
            for _again in range(2):
                uow.drawings.erase(id=gone, drawing_id=event, reviewer_id=ada)
            assert uow.drawings.standing(case) == ()
            with pytest.raises(Conflict, match="taken away already"):
                uow.drawings.erase(id=new_id(), drawing_id=event, reviewer_id=ada)
            with pytest.raises(Conflict, match="other content"):
                _draw(uow, world, id=event)
            with pytest.raises(NotFound):
                uow.drawings.erase(id=new_id(), drawing_id=gone, reviewer_id=ada)

    def test_only_the_one_who_drew_erases(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            event = _draw(uow, world)
            with pytest.raises(InvalidValue, match="by the one who drew it"):
                uow.drawings.erase(id=new_id(), drawing_id=event, reviewer_id=world.ben.id)

    @pytest.mark.parametrize(
        ("shape", "points"),
        [
            ("box", ((0.1, 0.1),)),
            ("box", ((0.1, 0.1), (0.2, 1.2))),
            ("box", ((0.1, 0.1), (0.2, float("nan")))),
            ("lasso", ((0.1, 0.1), (0.2, 0.2))),
            ("lasso", ((0.1, 0.1, 0.1),) * 3),
            ("lasso", ((0.5, 0.5),) * 2001),
            ("circle", BOX),
        ],
    )
    def test_impossible_shapes(
        self, factory: UnitOfWorkFactory, world: World, shape: str, points: object
    ) -> None:
        with factory() as uow, pytest.raises(InvalidValue):
            _draw(uow, world, shape=shape, points=points)

    def test_a_place_that_must_not_count(self, factory: UnitOfWorkFactory, world: World) -> None:
        case, cue = world.cases[0], world.cues[0][0].id
        with factory() as uow:
            with pytest.raises(InvalidValue, match="speaks of no cue"):
                _draw(uow, world, kind="spurious", cue_id=cue)
            event = _draw(uow, world, kind="spurious", note="a ruler")
            (mark,) = uow.drawings.marks(world.project.id)
            assert (mark.drawing_id, mark.kind, mark.concept) == (event, "spurious", None)
            assert mark.image_sha256 == case.image.sha256
            assert _undo(uow, world) == "drawing"
            assert uow.drawings.standing(case.id) == ()
            second = _draw(uow, world, kind="spurious")
            uow.drawings.erase(id=new_id(), drawing_id=second, reviewer_id=world.ada.id)
            assert uow.drawings.standing(case.id) == ()
            assert _undo(uow, world) == "drawing"
            assert [d.id for d in uow.drawings.standing(case.id)] == [second]

    def test_a_cue_of_another_case(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow, pytest.raises(InvalidValue, match="same case"):
            _draw(uow, world, cue_id=world.cues[1][0].id)


class TestNotes:
    def test_kept_listed_and_removed(self, factory: UnitOfWorkFactory, world: World) -> None:
        case, concept = world.cases[0].id, world.cues[0][0].concept_id
        common = {"project_id": world.project.id, "reviewer_id": world.ada.id}
        with factory() as uow:
            first = uow.notes.add(
                id=new_id(), kind="what-if", text="", payload={"7": 0.5}, case_id=case, **common
            )
            uow.notes.add(
                id=new_id(), kind="hypothesis", text=" a new sign? ", concept_id=concept, **common
            )
            assert [note.payload for note in uow.notes.of_case(case)] == [{"7": 0.5}]
            assert [note.text for note in uow.notes.of_concept(concept)] == ["a new sign?"]
            assert len(uow.notes.list(world.project.id)) == 2
            assert len(uow.notes.list(world.project.id, kind="hypothesis")) == 1
            with pytest.raises(InvalidValue, match="by the one who wrote it"):
                uow.notes.remove(id=new_id(), note_id=first.id, reviewer_id=world.ben.id)
            gone = new_id()
            for _again in range(2):
                uow.notes.remove(id=gone, note_id=first.id, reviewer_id=world.ada.id)
            assert uow.notes.of_case(case) == ()
            with pytest.raises(Conflict, match="removed already"):
                uow.notes.remove(id=new_id(), note_id=first.id, reviewer_id=world.ada.id)
            with pytest.raises(InvalidValue, match="must say something"):
                uow.notes.add(id=new_id(), kind="note", text=" ", **common)
            with pytest.raises(NotFound):
                uow.notes.add(id=new_id(), kind="note", text="x", case_id=new_id(), **common)


class TestUndo:
    def test_one_stack_over_all_kinds(self, factory: UnitOfWorkFactory, world: World) -> None:
        cue, case, ada = world.cues[0][0].id, world.cases[0].id, world.ada.id
        word = {"cue_id": cue, "reviewer_id": ada}
        with factory() as uow:
            uow.verdicts.append(id=new_id(), value="correct", based_on=0, **word)
            uow.assessments.append(
                id=new_id(), case_id=case, reviewer_id=ada, agree=None, based_on=0,
                corrected_label="naevus", ratings={"clarity": 4}, blind=True,
            )  # fmt: skip
            drawing = _draw(uow, world)
            uow.verdicts.append(id=new_id(), value="spurious", based_on=1, **word)
            uow.assessments.append(
                id=new_id(), case_id=case, reviewer_id=ada, agree=False, based_on=1
            )
            uow.drawings.erase(id=new_id(), drawing_id=drawing, reviewer_id=ada)

            assert _undo(uow, world) == "drawing"
            assert [each.id for each in uow.drawings.standing(case)] == [drawing]
            assert _undo(uow, world) == "assessment"
            restored = uow.assessments.standing(case, ada)
            assert restored is not None
            assert (restored.corrected_label, restored.ratings, restored.blind) == (
                "naevus", {"clarity": 4}, True,
            )  # fmt: skip
            assert _undo(uow, world) == "verdict"
            assert uow.verdicts.standing(case, ada)[cue].value == "correct"
            assert _undo(uow, world) == "drawing"
            assert uow.drawings.standing(case) == ()
            assert _undo(uow, world) == "assessment"
            assert uow.assessments.standing_of_project(world.project.id) == ()
            assert _undo(uow, world) == "verdict"
            assert uow.verdicts.standing(case, ada)[cue].value == "withdrawn"
            assert _undo(uow, world) is None
            assert len(uow.assessments.history(case)) == 4, "nothing is lost"

    def test_a_repeat_takes_back_once(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            _draw(uow, world)
            _draw(uow, world)
            event = new_id()
            assert [_undo(uow, world, event), _undo(uow, world, event)] == ["drawing"] * 2
            assert len(uow.drawings.standing(world.cases[0].id)) == 1
            with pytest.raises(Conflict):
                uow.undo.undo(id=event, reviewer_id=world.ben.id, project_id=world.project.id)

    def test_mine_is_not_anothers(self, factory: UnitOfWorkFactory, world: World) -> None:
        with factory() as uow:
            _draw(uow, world, reviewer_id=world.ben.id)
            assert _undo(uow, world) is None
            assert uow.undo.undoable(world.project.id, world.ben.id) is not None


class TestBlindWords:
    def test_the_blind_word_stays_in_the_history(
        self, factory: UnitOfWorkFactory, world: World
    ) -> None:
        word = {"case_id": world.cases[0].id, "reviewer_id": world.ada.id}
        with factory() as uow:
            uow.assessments.append(
                id=new_id(), agree=None, corrected_label="naevus", blind=True, based_on=0, **word
            )
            uow.assessments.append(id=new_id(), agree=True, based_on=1, **word)
            history = uow.assessments.history(world.cases[0].id)
            assert [(each.blind, each.revision) for each in history] == [(True, 1), (False, 2)]
            with pytest.raises(StaleWrite):
                uow.assessments.append(id=new_id(), agree=False, based_on=1, **word)

    def test_peers_are_the_others(self, factory: UnitOfWorkFactory, world: World) -> None:
        cue, case = world.cues[0][0].id, world.cases[0].id
        with factory() as uow:
            for who, value in ((world.ada, "correct"), (world.ben, "spurious")):
                uow.verdicts.append(
                    id=new_id(), cue_id=cue, reviewer_id=who.id, value=value, based_on=0
                )
            peers = uow.verdicts.peers(case, world.ada.id)
            assert {key: [(p.reviewer, p.value) for p in own] for key, own in peers.items()} == {
                cue: [(world.ben.name, "spurious")]
            }
            assert uow.verdicts.peers(world.cases[1].id, world.ada.id) == {}
