"""Blind review through the services: hidden before one's word, shown after it, kept as blind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.viewmodels import CaseView
from dashboard.viewmodels.queue import QueueFilter
from db.records import new_id
from tests.integration.services.world import CLASSES, World, make_world, reviewer

EVERYTHING = ["model", "prediction", "labels", "peers"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("blind") / "ws", splits={"train": 12})


@pytest.fixture
def world(built: World) -> Iterator[World]:
    hide(built, EVERYTHING)
    yield built
    hide(built, [])


def hide(world: World, blind: list[str]) -> None:
    rules, me = world.services.settings_of, reviewer(world, "Lea")
    rules.save(
        id=new_id(), project_id=world.project_id, reviewer_id=me, changes={"blind": blind},
        based_on=rules.view(world.project_id).revision,
    )  # fmt: skip


def someone(world: World, name: str = "Ada") -> str:
    return reviewer(world, f"{name} {new_id()[:6]}")


def case_of(world: World, me: str, case_id: str | None = None) -> CaseView:
    return world.services.review.case(world.project_id, case_id, me)


def assess(world: World, me: str, case: CaseView, **more: object) -> object:
    content: dict[str, object] = {"agree": None, "corrected_label": None, "comment": "", **more}
    revision = case.assessment.revision if case.assessment else 0
    ident = str(content.pop("id", new_id()))
    return world.services.review.assess(
        id=ident, case_id=case.id, reviewer_id=me, based_on=revision, **content
    )


def test_nothing_hidden_leaves_the_server(world: World, built: World) -> None:
    me = someone(world)
    case = case_of(world, me)
    assert case.hidden == set(EVERYTHING)
    assert (case.label, case.prediction, case.version_hash) == (None, "", "")
    assert (case.what_if, case.flip, case.narrative) == (None, None, "")
    assert case.place is not None
    assert case.place.reason == ""
    assert case.cues
    text = repr(case)
    assert not any(name in text for name in CLASSES)
    assert world.version_hash not in text
    assert "train-" not in case.image_name
    assert all(cue.contribution == 0 == cue.causal_effect for cue in case.cues)


def test_ones_own_word_reveals_and_stays_in_the_history_as_blind(world: World) -> None:
    me = someone(world)
    case = case_of(world, me)
    assess(world, me, case, corrected_label="naevus")
    shown = case_of(world, me, case.id)
    assert shown.hidden == frozenset()
    assert shown.prediction in CLASSES
    assert shown.version_hash == world.version_hash
    assert shown.what_if is not None
    assess(world, me, shown, agree=shown.prediction == "naevus", comment="seen")
    with world.services.uow(read_only=True) as uow:
        history = uow.assessments.history(case.id, me)
    assert [(row.blind, row.corrected_label) for row in history] == [
        (True, "naevus"),
        (False, None),
    ]


def test_agreeing_with_what_is_hidden_is_refused(world: World) -> None:
    me = someone(world)
    case = case_of(world, me)
    with pytest.raises(ConfigError, match="own label"):
        assess(world, me, case, agree=True)
    assess(world, me, case, comment="hard to see", ratings={"clarity": 2})  # no word yet
    assert case_of(world, me, case.id).hidden == set(EVERYTHING)


def test_where_the_prediction_is_shown_agreement_is_a_word(world: World) -> None:
    hide(world, ["labels"])
    me = someone(world)
    case = case_of(world, me)
    assert case.prediction in CLASSES
    assert case.label is None
    assess(world, me, case, agree=True)
    assert case_of(world, me, case.id).label in CLASSES


def test_a_repeat_is_harmless_after_the_reveal(world: World) -> None:
    me, one = someone(world), new_id()
    case = case_of(world, me)
    first = assess(world, me, case, id=one, corrected_label="naevus")
    assert assess(world, me, case, id=one, corrected_label="naevus") == first
    hide(world, [])
    assert case_of(world, me, case.id).assessment == first


def test_taking_the_word_back_hides_again_but_the_next_one_is_not_blind(world: World) -> None:
    me = someone(world)
    case = case_of(world, me)
    assess(world, me, case, corrected_label="naevus")
    undone = world.services.review.undo(me, world.project_id, new_id())
    assert undone is not None
    assert (undone.kind, undone.case_id) == ("assessment", case.id)
    again = case_of(world, me, case.id)
    assert again.hidden == set(EVERYTHING)
    assess(world, me, again, corrected_label="melanoma")
    with world.services.uow(read_only=True) as uow:
        assert uow.assessments.history(case.id, me)[-1].blind is False


def test_the_queue_does_not_tell_either(world: World) -> None:
    me = someone(world)
    page = world.services.queue.page(
        world.project_id, me, QueueFilter(search="train-003", label="naevus", prediction="naevus")
    )
    assert page.total == 12  # filters by what is hidden are not used
    assert page.hidden == set(EVERYTHING)
    assert not any(name in repr(page.rows) for name in (*CLASSES, "train-0", "unsure"))
    case = case_of(world, me)
    assess(world, me, case, corrected_label="naevus")
    rows = {row.case_id: row for row in world.services.review.queue(world.project_id, me)}
    assert rows[case.id].prediction in CLASSES
    assert rows[case.id].label in CLASSES
    assert sum(bool(row.prediction) for row in rows.values()) == 1


def test_peers_are_shown_after_ones_own_verdict_on_that_cue(world: World) -> None:
    hide(world, [])
    ada, bo = someone(world, "Ada"), someone(world, "Bo")
    case = case_of(world, ada)
    cues = case.cues[:2]
    for cue in cues:
        judge(world, bo, cue.id, "spurious")
    assert not any(cue.peers for cue in case_of(world, ada, case.id).cues)
    judge(world, ada, cues[0].id, "correct")
    shown = case_of(world, ada, case.id)
    assert [peer.value for peer in shown.cues[0].peers] == ["spurious"]
    assert shown.cues[0].peers[0].reviewer.startswith("Bo")
    assert shown.cues[1].peers == ()
    hide(world, ["peers"])
    assert not any(cue.peers for cue in case_of(world, ada, case.id).cues)
    assess(world, ada, case_of(world, ada, case.id), agree=False)
    assert case_of(world, ada, case.id).cues[0].peers


def test_others_notes_wait_until_nothing_is_hidden(world: World) -> None:
    ada, bo = someone(world, "Ada"), someone(world, "Bo")
    case = case_of(world, ada)
    for me, text in ((ada, "mine"), (bo, "it says melanoma")):
        world.services.review.note(
            id=new_id(), case_id=case.id, reviewer_id=me, kind="note", text=text
        )
    assert [note.text for note in case_of(world, ada, case.id).notes] == ["mine"]
    assess(world, ada, case_of(world, ada, case.id), corrected_label="naevus")
    shown = case_of(world, ada, case.id)
    assert [note.text for note in shown.notes] == ["mine", "it says melanoma"]


def judge(world: World, me: str, cue_id: str, value: str) -> None:
    world.services.review.give_verdict(
        id=new_id(), cue_id=cue_id, reviewer_id=me, value=value, based_on=0
    )


def test_the_mask_is_no_layer_while_labels_are_hidden(world: World, tmp_path: Path) -> None:
    hide(world, ["labels"])
    case = case_of(world, someone(world))
    assert case.layers
    assert {layer.kind for layer in case.layers} == {"attribution"}
    hide(world, ["prediction"])
    assert {layer.kind for layer in case_of(world, someone(world)).layers} <= {"mask"}
