"""Drawings, notes and one stack of undo over everything a reviewer did."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from dashboard.viewmodels import CaseView
from db.errors import Conflict, InvalidValue, NotFound
from db.records import new_id
from tests.integration.services.world import World, make_world, reviewer

BOX = ((0.1, 0.2), (0.4, 0.6))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    return make_world(tmp_path_factory.mktemp("acts") / "ws", splits={"train": 12})


@pytest.fixture
def ada(world: World) -> str:
    return reviewer(world, f"Ada {new_id()[:8]}")


def case_of(world: World, me: str, case_id: str | None = None) -> CaseView:
    return world.services.review.case(world.project_id, case_id, me)


def draw(world: World, me: str, case_id: str, **more: object) -> object:
    content: dict[str, object] = {
        "cue_id": None, "kind": "missed", "shape": "box", "points": BOX, **more,
    }  # fmt: skip
    ident = str(content.pop("id", new_id()))
    return world.services.review.draw(id=ident, case_id=case_id, reviewer_id=me, **content)


def test_a_drawing_stands_until_it_is_erased_and_undo_brings_it_back(
    world: World, ada: str
) -> None:
    case, one = case_of(world, ada), new_id()
    made = draw(world, ada, case.id, id=one, note=" a <b>\x07", cue_id=case.cues[0].id)
    assert draw(world, ada, case.id, id=one, note="a <b>", cue_id=case.cues[0].id) == made
    shown = case_of(world, ada, case.id).drawings
    assert shown == (made,)
    assert (shown[0].points, shown[0].note, shown[0].cue_id) == (BOX, "a <b>", case.cues[0].id)
    other = reviewer(world, f"Bo {new_id()[:6]}")
    assert case_of(world, other, case.id).drawings == ()
    with pytest.raises(InvalidValue, match="only be erased by"):
        world.services.review.erase(id=new_id(), drawing_id=one, reviewer_id=other)
    gone = new_id()
    for _ in range(2):
        world.services.review.erase(id=gone, drawing_id=one, reviewer_id=ada)
    assert case_of(world, ada, case.id).drawings == ()
    undone = world.services.review.undo(ada, world.project_id, new_id())
    assert undone is not None
    assert (undone.kind, undone.case_id, undone.value) == ("drawing", case.id, "")
    assert case_of(world, ada, case.id).drawings == (made,)
    with world.services.uow(read_only=True) as uow:
        actions = [row.action for row in uow.audit.list(entity="drawing", limit=1000)]
    assert actions[:3] == ["drawing.undone", "drawing.erased", "drawing.made"]


def test_impossible_drawings_are_refused(world: World, ada: str) -> None:
    case = case_of(world, ada)
    for points in ([(0, 0)], [(0, 0), (2, 2)], [(0, 0), (float("nan"), 1)]):
        with pytest.raises(InvalidValue):
            draw(world, ada, case.id, points=points)
    with pytest.raises(InvalidValue):
        draw(world, ada, case.id, shape="lasso", points=BOX)
    assert case.next_id is not None
    other = case_of(world, ada, case.next_id)
    with pytest.raises(InvalidValue, match="same case"):
        draw(world, ada, case.id, cue_id=other.cues[0].id)
    with pytest.raises(NotFound):
        draw(world, ada, new_id())
    with pytest.raises(NotFound):
        world.services.review.erase(id=new_id(), drawing_id=new_id(), reviewer_id=ada)


def test_notes_keep_what_was_set(world: World, ada: str) -> None:
    case, one = case_of(world, ada), new_id()
    sliders = {"levers": {"2": 0.0}, "prediction": "naevus"}
    for _ in range(2):
        note = world.services.review.note(
            id=one, case_id=case.id, reviewer_id=ada, kind="what-if", text=" no ruler ",
            payload=sliders,
        )  # fmt: skip
    assert (note.text, note.payload, note.kind) == ("no ruler", sliders, "what-if")
    assert [each.id for each in case_of(world, ada, case.id).notes].count(one) == 1
    with pytest.raises(ConfigError, match="empty"):
        world.services.review.note(
            id=new_id(), case_id=case.id, reviewer_id=ada, kind="note", text="  "
        )
    with pytest.raises(Conflict):
        world.services.review.note(
            id=one, case_id=case.id, reviewer_id=ada, kind="note", text="other"
        )
    with world.services.uow(read_only=True) as uow:
        assert len(uow.audit.list(entity="note", entity_id=one)) == 1


def test_a_case_says_how_far_it_can_be_trusted_and_what_can_be_moved(
    world: World, ada: str
) -> None:
    case = case_of(world, ada)
    assert case.trust is not None
    assert 0 <= case.trust <= 1
    assert all(cue.trust is not None and 0 <= cue.trust <= 1 for cue in case.cues)
    assert case.what_if is not None
    assert {cue.concept_id for cue in case.cues} <= {x.concept_id for x in case.what_if.levers}
    assert [each.key for each in case.criteria] == ["clarity", "relevance", "actionability"]
    assert all(layer.url == "" and layer.about for layer in case.layers)


def test_a_merge_shows_in_the_cases_that_were_explained_before_it(world: World, ada: str) -> None:
    case = next(
        shown
        for row in world.services.review.queue(world.project_id, ada)
        for shown in [case_of(world, ada, row.case_id)]
        if len(shown.cues) > 1
    )
    gone, stays = case.cues[0], case.cues[1]
    hierarchy = world.services.hierarchy
    proposal = hierarchy.propose(
        id=new_id(), concept_id=gone.concept_id, reviewer_id=ada, kind="merge",
        target_id=stays.concept_id, reason="one and the same",
    )  # fmt: skip
    hierarchy.decide(
        id=new_id(), proposal_id=proposal.id, reviewer_id=ada, accepted=True, reason="",
        based_on=hierarchy.revision(world.project_id),
    )  # fmt: skip
    after = case_of(world, ada, case.id)
    assert next(cue.name for cue in after.cues if cue.id == gone.id) == stays.name
    nodes = [*after.tree]
    numbers = []
    while nodes:
        node = nodes.pop()
        numbers.append(node.concept)
        nodes += node.children
    assert gone.concept not in numbers
    assert stays.concept in numbers
    assert sum(n.total for n in after.tree) == pytest.approx(sum(n.total for n in case.tree))


ACTIONS = st.lists(
    st.one_of(
        st.just(("undo",)),
        st.tuples(st.just("judge"), st.integers(0, 1), st.sampled_from(["correct", "spurious"])),
        st.tuples(st.just("assess"), st.booleans()),
        st.tuples(st.just("draw"), st.just(0)),
        st.tuples(st.just("erase"), st.just(0)),
    ),
    max_size=12,
)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS)
def test_undo_walks_back_through_acts_of_every_kind(
    world: World, actions: list[tuple[object, ...]]
) -> None:
    """The reference: a plain list of states; an act pushes one, undo pops it."""
    me = reviewer(world, f"Hyp {new_id()}")
    case = case_of(world, me)
    states = [state(case)]
    for action in actions:
        if action[0] == "undo":
            row = world.services.review.undo(me, world.project_id, new_id())
            assert (row is None) == (len(states) == 1)
            states = states[:-1] or states
        elif act(world, me, case, action):
            states.append(state(case_of(world, me, case.id)))
        case = case_of(world, me, case.id)
        assert state(case) == states[-1]


def act(world: World, me: str, case: CaseView, action: tuple[object, ...]) -> bool:
    """Do one thing; False where there was nothing to do it to."""
    kind, what = action[0], action[1]
    if kind == "judge":
        cue = case.cues[int(what) % len(case.cues)]  # type: ignore[call-overload]
        world.services.review.give_verdict(
            id=new_id(), cue_id=cue.id, reviewer_id=me, value=action[2],  # type: ignore[arg-type]
            based_on=cue.mine.revision if cue.mine else 0,
        )  # fmt: skip
    elif kind == "assess":
        world.services.review.assess(
            id=new_id(), case_id=case.id, reviewer_id=me, agree=bool(what), corrected_label=None,
            comment="", based_on=case.assessment.revision if case.assessment else 0,
        )  # fmt: skip
    elif kind == "draw":
        draw(world, me, case.id)
    elif not case.drawings:
        return False
    else:
        world.services.review.erase(id=new_id(), drawing_id=case.drawings[0].id, reviewer_id=me)
    return True


def state(case: CaseView) -> object:
    """What stands of this reviewer on a case."""
    mine = {c.id: c.mine.value for c in case.cues if c.mine and c.mine.value != "withdrawn"}
    word = case.assessment.agree if case.assessment else None
    return mine, word, [drawing.id for drawing in case.drawings]
