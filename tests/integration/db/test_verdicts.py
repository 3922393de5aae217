"""Verdicts: idempotent, never lost, never overwritten unseen, undone step by step."""

from typing import Any

import pytest

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.feedback_records import VerdictRecord
from db.records import VerdictValue, new_id
from db.unit_of_work import UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, World


def _say(
    factory: UnitOfWorkFactory, world: World, value: VerdictValue, based_on: int, **more: Any
) -> VerdictRecord:
    said: dict[str, Any] = {
        "id": new_id(),
        "cue_id": world.cues[0][0].id,
        "reviewer_id": world.ada.id,
    }
    with factory() as uow:
        record = uow.verdicts.append(value=value, based_on=based_on, **(said | more))
        uow.commit()
    return record


def test_a_verdict_stands_and_says_everything(factory: UnitOfWorkFactory, world: World) -> None:
    given = _say(
        factory, world, "spurious", 0, scope="everywhere", reason="artefact", comment="ein Lineal"
    )
    cue = world.cues[0][0]
    with factory(read_only=True) as uow:
        stands = uow.verdicts.standing(cue.case_id, world.ada.id)
    assert stands == {cue.id: given}
    assert (given.value, given.scope, given.reason) == ("spurious", "everywhere", "artefact")
    assert (given.project_id, given.case_id) == (world.project.id, cue.case_id)
    assert (given.concept_id, given.revision) == (cue.concept_id, 1)
    assert (given.reviewer, given.undoes) == (world.ada.name, None)


def test_the_same_id_again_is_harmless(factory: UnitOfWorkFactory, world: World) -> None:
    event = new_id()
    first = _say(factory, world, "correct", 0, id=event)
    again = _say(factory, world, "correct", 0, id=event.upper())
    assert again == first
    with factory(read_only=True) as uow:
        assert uow.verdicts.history(first.cue_id) == (first,)


@pytest.mark.parametrize(
    "other", [{"value": "unsure"}, {"comment": "no"}, {"scope": "class"}, {"reason": "leakage"}]
)
def test_the_same_id_with_other_content_is_refused(
    factory: UnitOfWorkFactory, world: World, other: dict[str, Any]
) -> None:
    event = new_id()
    _say(factory, world, "correct", 0, id=event)
    with pytest.raises(Conflict):
        _say(factory, world, based_on=1, **({"id": event, "value": "correct"} | other))


def test_a_repeat_is_harmless_even_when_something_newer_stands(
    factory: UnitOfWorkFactory, world: World
) -> None:
    event = new_id()
    first = _say(factory, world, "correct", 0, id=event)
    _say(factory, world, "spurious", 1)
    assert _say(factory, world, "correct", 0, id=event) == first
    with factory(read_only=True) as uow:
        assert uow.verdicts.standing(first.case_id, world.ada.id)[first.cue_id].revision == 2


@pytest.mark.parametrize("based_on", [0, 2, -1])
def test_an_unseen_verdict_is_not_overwritten(
    factory: UnitOfWorkFactory, world: World, based_on: int
) -> None:
    _say(factory, world, "correct", 0)
    with pytest.raises(StaleWrite) as refused:
        _say(factory, world, "spurious", based_on)
    assert (refused.value.based_on, refused.value.current) == (based_on, 1)


def test_reviewers_do_not_disturb_each_other(factory: UnitOfWorkFactory, world: World) -> None:
    _say(factory, world, "correct", 0)
    bens = _say(factory, world, "spurious", 0, reviewer_id=world.ben.id)
    with factory(read_only=True) as uow:
        everyone = uow.verdicts.standing_of_case(bens.case_id)
        counts = uow.verdicts.counts(world.project.id)
        names = uow.reviewers.active_in(world.project.id)
    assert [each.value for each in everyone] == ["correct", "spurious"]
    assert (counts.events, counts.standing, counts.correct, counts.spurious) == (2, 2, 1, 1)
    assert names == (world.ada.name, world.ben.name)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cue_id": new_id()}, NotFound),
        ({"reviewer_id": new_id()}, NotFound),
        ({"undoes": new_id()}, NotFound),
        ({"value": "maybe"}, InvalidValue),
        ({"scope": "galaxy"}, InvalidValue),
        ({"id": "17"}, InvalidValue),
        ({"id": None}, InvalidValue),
    ],
)
def test_nonsense_is_refused(
    factory: UnitOfWorkFactory, world: World, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        _say(factory, world, based_on=0, **({"value": "correct"} | change))


def test_a_withdrawn_verdict_no_longer_counts(factory: UnitOfWorkFactory, world: World) -> None:
    _say(factory, world, "correct", 0)
    gone = _say(factory, world, "withdrawn", 1)
    with factory(read_only=True) as uow:
        assert uow.verdicts.standing(gone.case_id, world.ada.id)[gone.cue_id] == gone
        assert uow.verdicts.standing_of_project(world.project.id) == ()
        every = uow.verdicts.standing_of_project(world.project.id, include_withdrawn=True)
        assert every == (gone,)
        assert uow.verdicts.counts(world.project.id).standing == 0
        assert uow.verdicts.export(world.project.id) == ()
        assert len(uow.verdicts.export(world.project.id, standing_only=False)) == 2


def _undo(
    factory: UnitOfWorkFactory, world: World, event: str | None = None
) -> VerdictRecord | None:
    with factory() as uow:
        taken = uow.verdicts.undo(
            id=event or new_id(), reviewer_id=world.ada.id, project_id=world.project.id
        )
        uow.commit()
    return taken


def test_undo_walks_back_one_action_at_a_time(factory: UnitOfWorkFactory, world: World) -> None:
    other = world.cues[1][2].id
    _say(factory, world, "correct", 0, comment="first")
    _say(factory, world, "unsure", 0, cue_id=other)
    third = _say(factory, world, "spurious", 1, reason="artefact")

    restored = _undo(factory, world)
    assert restored is not None
    assert (restored.value, restored.comment, restored.reason) == ("correct", "first", None)
    assert (restored.revision, restored.undoes) == (3, third.id)
    second = _undo(factory, world)
    assert second is not None
    assert (second.cue_id, second.value) == (other, "withdrawn")
    first = _undo(factory, world)
    assert first is not None
    assert (first.value, first.revision) == ("withdrawn", 4)
    assert _undo(factory, world) is None

    _say(factory, world, "unsure", 4)
    again = _undo(factory, world)
    assert again is not None
    assert again.value == "withdrawn"
    assert _undo(factory, world) is None


def test_undo_repeated_with_the_same_id_takes_back_one_action_only(
    factory: UnitOfWorkFactory, world: World
) -> None:
    _say(factory, world, "correct", 0)
    _say(factory, world, "spurious", 1)
    event = new_id()
    first = _undo(factory, world, event)
    assert first is not None
    assert _undo(factory, world, event) == first
    with factory(read_only=True) as uow:
        assert len(uow.verdicts.history(first.cue_id)) == 3
        target = uow.verdicts.undoable(world.project.id, world.ada.id)
    assert target is not None
    assert target.value == "correct"


def test_undo_never_touches_another_reviewer_or_project(
    factory: UnitOfWorkFactory, world: World
) -> None:
    bens = _say(factory, world, "correct", 0, reviewer_id=world.ben.id)
    assert _undo(factory, world) is None
    with pytest.raises(Conflict):
        _undo(factory, world, bens.id)


def test_a_verdict_is_taken_back_once_and_on_its_own_cue(
    factory: UnitOfWorkFactory, world: World
) -> None:
    first = _say(factory, world, "correct", 0)
    with pytest.raises(InvalidValue):
        _say(factory, world, "withdrawn", 0, cue_id=world.cues[1][0].id, undoes=first.id)
    _say(factory, world, "withdrawn", 1, undoes=first.id)
    with pytest.raises(Conflict):
        _say(factory, world, "withdrawn", 2, undoes=first.id)


def test_events_are_in_the_order_of_being_given(factory: UnitOfWorkFactory, world: World) -> None:
    for revision in range(12):
        _say(factory, world, "correct", revision)
    with factory(read_only=True) as uow:
        mine = uow.verdicts.by_reviewer(world.project.id, world.ada.id)
        latest = uow.verdicts.latest(world.project.id, world.ada.id)
    assert [each.revision for each in mine] == list(range(1, 13))
    times = [each.created_at for each in mine]
    assert times == sorted(set(times))  # strictly increasing
    assert latest == mine[-1]


def test_export_and_marks_name_everything(factory: UnitOfWorkFactory, world: World) -> None:
    cue = world.cues[2][1]
    given = _say(factory, world, "spurious", 0, cue_id=cue.id, reason="artefact", comment="x")
    _say(factory, world, "unsure", 0)
    with factory(read_only=True) as uow:
        rows = uow.verdicts.export(world.project.id)
        marks = uow.verdicts.marks(world.project.id, DICTIONARY)
        assert uow.verdicts.marks(world.project.id, "another dictionary") == ()
        assert len(uow.verdicts.marks(world.project.id, DICTIONARY, values=("unsure",))) == 1
        rows_of = uow.verdicts.standing_of_project(world.project.id)
        assert uow.verdicts.order(world.project.id, "no") == {}
        order = uow.verdicts.order(world.project.id, DICTIONARY)
        assert list(order.items()) == [(row.id, row.seq) for row in rows_of]
        found = uow.cues.find(world.version.id, rows[0].image_sha256, rows[0].concept)
    image = world.cases[2].image
    assert (rows[0].image, rows[0].image_sha256) == (image.relpath, image.sha256)
    assert (rows[0].project, rows[0].version_hash) == (world.project.name, world.version.hash)
    assert (rows[0].concept, rows[0].concept_name) == (1, "sign 1")
    assert (rows[0].reviewer, rows[0].created_at) == (world.ada.name, given.created_at)
    assert found == cue
    (mark,) = marks
    assert (mark.verdict_id, mark.value, mark.concept) == (given.id, "spurious", 1)
    assert (mark.region_bits, mark.grid_rows, mark.grid_cols) == (cue.region_bits, 3, 4)
    assert mark.image_sha256 == image.sha256


def test_assessments_follow_the_same_rules(factory: UnitOfWorkFactory, world: World) -> None:
    case, ada = world.cases[0].id, world.ada.id
    event = new_id()
    said: dict[str, Any] = {"id": event, "case_id": case, "reviewer_id": ada, "based_on": 0}
    with factory() as uow:
        first = uow.assessments.append(
            **said, agree=False, corrected_label="naevus", ratings={"sharpness": 3}, comment="c"
        )
        uow.commit()
    with factory() as uow:
        again = uow.assessments.append(
            **said, agree=False, corrected_label="naevus", ratings={"sharpness": 3}, comment="c"
        )
        assert again == first
        with pytest.raises(Conflict):
            uow.assessments.append(**said, agree=True)
        with pytest.raises(StaleWrite):
            uow.assessments.append(**(said | {"id": new_id()}), agree=True)
        blank = uow.assessments.append(**(said | {"id": new_id(), "based_on": 1}), agree=None)
        uow.commit()
    with factory(read_only=True) as uow:
        assert uow.assessments.standing(case, ada) == blank
        assert uow.assessments.standing_of_project(world.project.id) == ()
        assert uow.assessments.counts(world.project.id).standing == 0
        assert uow.assessments.history(case) == (first, blank)
        assert uow.assessments.history(case, world.ben.id) == ()
        assert uow.assessments.standing(case, world.ben.id) is None
    with factory() as uow:
        uow.assessments.append(**(said | {"id": new_id(), "based_on": 2}), agree=True)
        uow.assessments.append(
            id=new_id(), case_id=case, reviewer_id=world.ben.id, based_on=0, agree=False
        )
        counts = uow.assessments.counts(world.project.id)
    assert (counts.standing, counts.agree, counts.disagree) == (2, 1, 1)
