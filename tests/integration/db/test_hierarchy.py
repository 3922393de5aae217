"""Proposals, decisions, and the hierarchy that stands."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.hierarchy_records import HierarchyRecord, Step
from db.records import RelationRecord, new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory
from tests.integration.db.builders import DICTIONARY, World, make_world

EDGES = ((1, 0, "is-a"), (2, 1, "part-of"), (3, 1, "is-a"), (4, 0, "is-a"))


@pytest.fixture
def tree(factory: UnitOfWorkFactory) -> World:
    """Concepts 0 over 1 and 4; 1 over 2 (part) and 3; 5 alone."""
    world = make_world(factory, images=1, concepts=6)
    with factory() as uow:
        edges = [RelationRecord(low, high, kind, 0.5, 9) for low, high, kind in EDGES]
        uow.relations.add_many(world.project.id, DICTIONARY, edges)
        uow.commit()
    return world


class Desk:
    """Short words for the tests."""

    def __init__(self, uow: UnitOfWork, world: World) -> None:
        self.uow, self.world = uow, world
        self.ids = uow.concepts.ids(world.project.id, DICTIONARY)

    def propose(self, kind: str, concept: int, target: int | None = None, **more: Any) -> str:
        given = {
            "id": new_id(),
            "concept_id": self.ids[concept],
            "reviewer_id": self.world.ada.id,
            "kind": kind,
            "target_id": None if target is None else self.ids[target],
        }
        return self.uow.hierarchy.propose(**given | more).id

    def decide(self, proposal: str, accepted: bool = True, **more: Any) -> None:
        given = {
            "id": new_id(),
            "proposal_id": proposal,
            "reviewer_id": self.world.ben.id,
            "accepted": accepted,
            "based_on": self.uow.hierarchy.revision(self.world.project.id, DICTIONARY),
        }
        self.uow.hierarchy.decide(**given | more)

    def folded(self) -> HierarchyRecord:
        return self.uow.hierarchy.folded(self.world.project.id, DICTIONARY)

    def edges(self) -> set[tuple[int, int, str, str]]:
        return {(e.child, e.parent, e.kind, e.source) for e in self.folded().edges}


MODEL = {(low, high, kind, "model") for low, high, kind in EDGES}


def test_nothing_said_is_the_models_hierarchy(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        desk.propose("parent", 3, 4)
        assert desk.edges() == MODEL, "a proposal alone changes nothing"
        assert desk.folded().revision == 0


def test_a_parent_is_replaced_and_taken_away(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        desk.decide(desk.propose("parent", 3, 4, relation_kind="part-of"))
        assert desk.edges() == MODEL - {(3, 1, "is-a", "model")} | {(3, 4, "part-of", "person")}
        root = desk.propose("parent", 3)
        desk.decide(root)
        assert desk.edges() == MODEL - {(3, 1, "is-a", "model")}
        desk.decide(root, accepted=False)
        assert (3, 4, "part-of", "person") in desk.edges(), "decided anew: the step is gone"
        assert desk.folded().revision == 3


def test_a_merged_concept_hands_on_its_children(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        desk.decide(desk.propose("merge", 1, 4))
        assert desk.edges() == {
            (2, 4, "part-of", "model"),
            (3, 4, "is-a", "model"),
            (4, 0, "is-a", "model"),
        }
        desk.decide(desk.propose("merge", 4, 5))
        folded = desk.folded()
        assert folded.aliases == {1: 5, 4: 5}
        assert (folded.survivor(1), folded.survivor(2)) == (5, 2)
        assert {(edge.child, edge.parent) for edge in folded.edges} == {(2, 5), (3, 5)}


def test_merged_into_its_own_child(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        desk.decide(desk.propose("merge", 1, 3))
        assert {(edge.child, edge.parent) for edge in desk.folded().edges} == {
            (2, 3), (3, 0), (4, 0),
        }  # fmt: skip


def test_a_split_keeps_the_place_and_names_the_parts(
    factory: UnitOfWorkFactory, tree: World
) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        desk.decide(desk.propose("split", 1, parts=("left", " right ")))
        assert desk.folded().splits == {1: ("left", "right")}
        assert desk.edges() == MODEL


def test_what_cannot_be_taken_is_refused(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        above = desk.propose("parent", 0, 2)
        with pytest.raises(InvalidValue, match="its own ancestor"):
            desk.decide(above)
        assert (
            uow.hierarchy.why_not(concept_id=desk.ids[0], kind="parent", target_id=desk.ids[2])
            == "concept 0 would become its own ancestor"
        )
        desk.decide(above, accepted=False)
        inner = desk.propose("merge", 0, 2)
        with pytest.raises(InvalidValue, match="its own ancestor"):
            desk.decide(inner)
        twice = [desk.propose("merge", 5, 4), desk.propose("parent", 5, 0)]
        desk.decide(twice[0])
        with pytest.raises(InvalidValue, match="was merged into 4 before"):
            desk.decide(twice[1])
        assert desk.folded().skipped == ()


def test_a_step_that_later_decisions_make_impossible_is_listed(
    factory: UnitOfWorkFactory, tree: World
) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        down, up = desk.propose("parent", 0, 5), desk.propose("parent", 5, 3)
        free = desk.propose("parent", 1)
        desk.decide(free)
        desk.decide(down)
        desk.decide(up)
        desk.decide(free, accepted=False)  # 1 is under 0 again, so 5 over 0 over 1 over 3 over 5
        folded = desk.folded()
        assert [(each.proposal_id, each.why) for each in folded.skipped] == [
            (up, "concept 5 would become its own ancestor")
        ]


def test_decisions_are_based_on_what_was_seen(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        first, second = desk.propose("parent", 3, 4), desk.propose("merge", 3, 5)
        desk.decide(first)
        with pytest.raises(StaleWrite, match="hierarchy"):
            desk.decide(second, based_on=0)
        event = new_id()
        for _again in range(2):
            desk.decide(second, id=event, based_on=1, reason="the same thing")
        with pytest.raises(Conflict):
            desk.decide(second, id=event, based_on=1, accepted=False)
        states = {
            state: [
                each.id
                for each in uow.hierarchy.proposals(tree.project.id, DICTIONARY, state=state)
            ]
            for state in ("waiting", "accepted", "declined")
        }
        assert states == {"waiting": [], "accepted": [first, second], "declined": []}
        (decision,) = uow.hierarchy.decisions(second)
        assert (decision.reviewer, decision.reason, decision.place) == (
            tree.ben.name, "the same thing", 2,
        )  # fmt: skip
        assert {each.id for each in uow.hierarchy.of_concept(desk.ids[5])} == {second}


def test_senseless_proposals(factory: UnitOfWorkFactory, tree: World, world: World) -> None:
    stranger = world.cues[0][0].concept_id
    with factory() as uow:
        desk = Desk(uow, tree)
        for kind, target, more in (
            ("merge", None, {}),
            ("merge", 1, {}),
            ("parent", 1, {}),
            ("split", None, {}),
            ("split", None, {"parts": ("a", "a")}),
            ("split", 2, {"parts": ("a", "b")}),
            ("parent", 2, {"parts": ("a", "b")}),
            ("parent", 2, {"relation_kind": "near"}),
            ("rename", 2, {}),
        ):
            with pytest.raises(InvalidValue):
                desk.propose(kind, 1, target, **more)
        with pytest.raises(NotFound):
            desk.propose("merge", 1, target_id=stranger)
        with pytest.raises(NotFound):
            desk.decide(new_id())
        event = desk.propose("parent", 1, 5)
        assert desk.propose("parent", 1, 5, id=event) == event
        with pytest.raises(Conflict):
            desk.propose("parent", 2, 5, id=event)


def test_of_two_deciders_at_once_one_is_told(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        proposals = [desk.propose("parent", 3, 4), desk.propose("parent", 4, 3)]
        uow.commit()
    barrier = Barrier(2, timeout=60)

    def decide(proposal: str) -> Callable[[], str]:
        def act() -> str:
            barrier.wait()
            with factory() as uow:
                try:
                    Desk(uow, tree).decide(proposal, based_on=0)
                except StaleWrite:
                    return "stale"
                uow.commit()
            return "taken"

        return act

    with ThreadPoolExecutor(2) as pool:
        answers = [done.result() for done in [pool.submit(decide(each)) for each in proposals]]
    assert sorted(answers) == ["stale", "taken"]


def test_marks_on_concepts(factory: UnitOfWorkFactory, tree: World) -> None:
    with factory() as uow:
        desk = Desk(uow, tree)
        word = {"concept_id": desk.ids[2], "reviewer_id": tree.ada.id, "kind": "artefact"}
        event = new_id()
        for _again in range(2):
            uow.concept_marks.append(id=event, value=True, based_on=0, reason="ruler", **word)
        with pytest.raises(StaleWrite, match="concept mark"):
            uow.concept_marks.append(id=new_id(), value=False, based_on=0, **word)
        uow.concept_marks.append(id=new_id(), value=True, based_on=0, **word | {"kind": "locked"})
        marked = uow.concept_marks.numbers(tree.project.id, DICTIONARY)
        assert marked == {"artefact": {2}, "locked": {2}}
        listed = uow.concepts.list(tree.project.id, DICTIONARY, marked="locked").items
        assert [item.concept.number for item in listed] == [2]
        uow.concept_marks.append(id=new_id(), value=False, based_on=1, **word)
        assert uow.concept_marks.numbers(tree.project.id, DICTIONARY)["artefact"] == set()
        latest = uow.concept_marks.of_concept(desk.ids[2])
        assert (latest["artefact"].value, latest["artefact"].revision) == (False, 2)
        assert len(uow.concept_marks.history(desk.ids[2])) == 3


def test_a_cycle_in_the_models_own_relations_is_left_open() -> None:
    from db.hierarchy import depths, fold

    round_trip = [RelationRecord(a, b, "is-a", 1.0, 1) for a, b in ((1, 0), (2, 1), (0, 2))]
    folded = fold(round_trip, [])
    assert [(edge.child, edge.parent) for edge in folded.edges] == [(0, 2), (1, 0)]
    assert depths(folded.edges) == {2: 0, 0: 1, 1: 2}
    small = fold([], [Step("p", "split", 1, None, None, ("only",))])
    assert small.skipped[0].why == "a split needs the names of two parts or more"
