"""Case studies and training over a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from dashboard.services.roles import Forbidden
from dashboard.services.study_freeze import reference
from dashboard.viewmodels import CaseView
from dashboard.viewmodels.studies import PinView
from db.errors import Conflict, NotFound
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "ws", splits={"train": 40, "test": 8})


def case(world: World, who: str, place: int = 0) -> CaseView:
    row = world.services.review.queue(world.project_id, who)[place]
    return world.services.review.case(world.project_id, row.case_id, who)


def say(world: World, who: str, cue_id: str, value: str, based_on: int = 0) -> None:
    world.services.review.give_verdict(
        id=new_id(), cue_id=cue_id, reviewer_id=who, value=value, based_on=based_on,  # type: ignore[arg-type]
    )  # fmt: skip


def pin(
    world: World, who: str, place: int = 0, title: str = "Shortcuts", note: str = ""
) -> PinView:
    return world.services.studies.pin(
        id=new_id(), title=title, case_id=case(world, who, place).id, reviewer_id=who, note=note
    )


class TestPins:
    def test_the_case_stays_as_it_was(self, world: World) -> None:
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        seen = case(world, ada)
        cue = seen.cues[0]
        say(world, ada, cue.id, "spurious")
        say(world, ben, cue.id, "spurious")
        kept = pin(world, ada, note="look\r\nhere")
        say(world, ben, cue.id, "correct", based_on=1)
        world.services.concepts.rename(
            id=new_id(), concept_id=cue.concept_id, reviewer_id=ada, name="scale bar",
            based_on=0,
        )  # fmt: skip
        collection = world.services.studies.collections(world.project_id)[0]
        (found,) = world.services.studies.study(world.project_id, collection.id).pins
        assert found == kept
        assert (found.note, found.image_name) == ("look\nhere", seen.image_name)
        first = found.cues[0]
        assert (first.name, first.map_u8, first.grid) == (cue.name, cue.map_u8, cue.grid)
        assert (first.reference, first.source) == ("spurious", "majority")
        assert {each.reviewer for each in first.words} == {"Ada", "Ben"}
        assert found.narrative

    def test_a_decision_is_the_reference(self, world: World) -> None:
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        cue = case(world, ada).cues[0]
        say(world, ada, cue.id, "spurious")
        say(world, ben, cue.id, "correct")
        world.services.agreement.adjudicate(
            id=new_id(), project_id=world.project_id, subject="cue", subject_id=cue.id,
            reviewer_id=ada, value="correct", based_on=0,
        )  # fmt: skip
        found = pin(world, ada).cues[0]
        assert (found.reference, found.source) == ("correct", "adjudicated")

    @pytest.mark.parametrize(
        ("words", "decided", "answer"),
        [
            (["correct"], None, ("correct", "one person")),
            (["correct", "unsure"], None, ("correct", "one person")),
            (["correct", "spurious"], None, (None, None)),
            (["unsure"], None, (None, None)),
            (["correct", "correct"], "unsure", (None, None)),
        ],
    )
    def test_references(
        self, words: list[str], decided: str | None, answer: tuple[str | None, str | None]
    ) -> None:
        assert reference(words, decided) == answer

    def test_one_collection_per_title_and_one_pin_per_case(self, world: World) -> None:
        ada = reviewer(world)
        pin(world, ada)
        pin(world, ada, place=1, title="  shortcuts ")
        with pytest.raises(ConfigError, match="already"):
            pin(world, ada)
        (collection,) = world.services.studies.collections(world.project_id)
        assert (collection.title, collection.pins) == ("Shortcuts", 2)
        pin(world, ada, title="Good ones")
        assert len(world.services.studies.collections(world.project_id)) == 2

    def test_a_repeat_is_harmless(self, world: World) -> None:
        ada, event = reviewer(world), new_id()
        seen = case(world, ada)
        given: dict[str, Any] = {
            "id": event,
            "title": "New",
            "case_id": seen.id,
            "reviewer_id": ada,
        }
        assert world.services.studies.pin(**given) == world.services.studies.pin(**given)
        with world.services.uow(read_only=True) as uow:
            actions = [each.action for each in uow.audit.list(entity="collection")]
        assert sorted(actions) == ["collection.made", "study.pinned"]

    def test_bad_titles(self, world: World) -> None:
        ada, studies = reviewer(world), world.services.studies
        given: dict[str, Any] = {"project_id": world.project_id, "reviewer_id": ada}
        studies.create(id=new_id(), title="One", **given)
        for title in ("", "  ", "x" * 200, "one"):
            with pytest.raises(ConfigError):
                studies.create(id=new_id(), title=title, **given)
        studies.create(id=new_id(), title="one", kind="hypothesis", **given)
        assert len(studies.collections(world.project_id, "hypothesis")) == 1

    def test_who_may_take_out(self, world: World) -> None:
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        with world.services.uow() as uow:
            uow.members.append(
                id=new_id(), project_id=world.project_id, reviewer_id=ada, role="lead",
                by_id=ada, based_on=0,
            )  # fmt: skip
            uow.commit()
        kept, own = pin(world, ada), pin(world, ben, place=1)
        out = {"project_id": world.project_id, "reviewer_id": ben}
        with pytest.raises(Forbidden):
            world.services.studies.unpin(id=new_id(), pin_id=kept.id, **out)
        world.services.studies.unpin(id=new_id(), pin_id=own.id, **out)
        found = world.services.studies.study(world.project_id, kept.collection_id)
        assert [each.id for each in found.pins] == [kept.id]
        with pytest.raises(NotFound):
            world.services.studies.study(new_id(), kept.collection_id)


class TestTraining:
    def collection(self, world: World) -> str:
        """Three cases; Ada and Ben called the first cue spurious and the second correct."""
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        for place in range(3):
            seen = case(world, ada, place)
            for who in (ada, ben):
                say(world, who, seen.cues[0].id, "spurious")
                say(world, who, seen.cues[1].id, "correct")
            kept = pin(world, ada, place, note="the note")
        return kept.collection_id

    def answer(self, world: World, collection: str, who: str, values: tuple[str, str]) -> None:
        view = world.services.training.view(world.project_id, collection, who)
        assert view.question is not None
        cues = view.question.cues
        world.services.training.answer(
            id=new_id(), project_id=world.project_id, collection_id=collection,
            pin_id=view.question.id, attempt=view.attempt, reviewer_id=who,
            answers={cues[0].id: values[0], cues[1].id: values[1]},
        )  # fmt: skip

    def test_the_question_gives_nothing_away(self, world: World) -> None:
        collection = self.collection(world)
        view = world.services.training.view(world.project_id, collection, reviewer(world, "New"))
        assert view.question is not None
        shown = view.question
        assert all(cue.reference is None and cue.words == () for cue in shown.cues)
        assert (shown.label, shown.reference_label, shown.note, shown.narrative) == (
            None, None, "", "",
        )  # fmt: skip
        assert "train" not in shown.image_name
        assert (view.position, view.total, view.attempt) == (1, 3, 1)

    def test_a_whole_attempt(self, world: World) -> None:
        collection, who = self.collection(world), reviewer(world, "New")
        with world.services.uow(read_only=True) as uow:
            verdicts = uow.verdicts.counts(world.project_id).events
        self.answer(world, collection, who, ("spurious", "correct"))
        self.answer(world, collection, who, ("correct", "correct"))
        self.answer(world, collection, who, ("unsure", "correct"))
        view = world.services.training.view(world.project_id, collection, who)
        assert view.question is None
        assert len(view.answered) == 3
        assert sum(each.right for each in view.answered) == 4
        # six cues, and three labels that were left out
        assert sum(each.asked for each in view.answered) == 9
        # On five clear answers: po = 4/5; said 4 correct, 1 spurious; reference 3 and 2.
        assert view.kappa is not None
        assert view.kappa.value == pytest.approx((0.8 - 14 / 25) / (1 - 14 / 25))
        assert view.history[0].finished
        with world.services.uow(read_only=True) as uow:
            assert uow.verdicts.counts(world.project_id).events == verdicts

    def test_another_attempt_has_another_order(self, world: World) -> None:
        collection, who = self.collection(world), reviewer(world, "New")
        training = world.services.training
        with pytest.raises(ConfigError, match="cannot be begun"):
            training.view(world.project_id, collection, who, 2)
        for _ in range(3):
            self.answer(world, collection, who, ("spurious", "correct"))
        again = training.view(world.project_id, collection, who, 2)
        assert (again.attempt, again.position) == (2, 1)
        assert training.view(world.project_id, collection, who).question is None
        everybody = training.everybody(world.project_id, collection)
        assert [(each.reviewer, each.number) for each in everybody] == [("New", 1)]

    def test_what_is_refused(self, world: World) -> None:
        collection, who = self.collection(world), reviewer(world, "New")
        training = world.services.training
        view = training.view(world.project_id, collection, who)
        assert view.question is not None
        cue = view.question.cues[0].id
        given: dict[str, Any] = {
            "project_id": world.project_id, "collection_id": collection,
            "pin_id": view.question.id, "attempt": 1, "reviewer_id": who,
        }  # fmt: skip
        for answers, label in (
            ({cue: "maybe"}, None), ({"nothing": "correct"}, None), ({cue: "correct"}, "cat"),
        ):  # fmt: skip
            with pytest.raises(ConfigError):
                training.answer(id=new_id(), answers=answers, label=label, **given)
        event = new_id()
        first = training.answer(id=event, answers={cue: "correct"}, **given)
        assert training.answer(id=event, answers={cue: "correct"}, **given) == first
        with pytest.raises(Conflict):
            training.answer(id=new_id(), answers={cue: "spurious"}, **given)


class TestBlind:
    def rules(self, world: World, who: str, blind: list[str]) -> None:
        world.services.settings_of.save(
            id=new_id(), project_id=world.project_id, reviewer_id=who,
            changes={"blind": blind}, based_on=0,
        )  # fmt: skip

    def test_a_pin_shows_what_is_hidden_only_once_ones_own_word_is_in(self, world: World) -> None:
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        cue = case(world, ada).cues[0]
        say(world, ada, cue.id, "spurious")
        kept = pin(world, ada, note="the ruler decides")
        self.rules(world, ada, ["model", "prediction", "labels", "peers"])
        studies = world.services.studies

        def seen() -> PinView:
            return studies.study(world.project_id, kept.collection_id, ben).pins[0]

        shown = seen()
        assert (shown.prediction, shown.narrative, shown.label, shown.version_hash) == (
            "", "", None, "",
        )  # fmt: skip
        assert (shown.note, shown.reference_label) == ("", None)
        assert all(each.causal_effect == 0 and each.words == () for each in shown.cues)
        assert "train" not in shown.image_name
        question = world.services.training.view(world.project_id, kept.collection_id, ben).question
        assert question is not None
        assert (question.prediction, question.label) == ("", None)
        world.services.review.assess(
            id=new_id(), case_id=kept.case_id, reviewer_id=ben, agree=None,
            corrected_label="naevus", comment="", based_on=0,
        )  # fmt: skip
        assert seen() == kept

    def test_notes_are_open_to_whom_they_spoil_nothing(self, world: World) -> None:
        ada, ben = reviewer(world, "Ada"), reviewer(world, "Ben")
        kept = pin(world, ada)
        studies, where = world.services.studies, (world.project_id, kept.collection_id)
        assert studies.study(*where, ada).open
        assert not studies.study(*where, ben).open
        world.services.training.answer(
            id=new_id(), project_id=where[0], collection_id=where[1], pin_id=kept.id, attempt=1,
            reviewer_id=ben, answers={}, label=kept.label,
        )  # fmt: skip
        assert studies.study(*where, ben).open
