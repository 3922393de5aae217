"""The project's hierarchy: proposals, decisions, what stands, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import ConfigError
from dashboard.services.case_tree import case_nodes, survivors
from dashboard.viewmodels.hierarchy import TreeNodeView
from db.errors import NotFound, StaleWrite
from db.records import RelationRecord, new_id
from tests.integration.services.world import RULER, World, make_world, reviewer

BORDER, STREAKS, HAIR = 0, 1, 3
RELATIONS = (
    RelationRecord(HAIR, BORDER, "part-of", 0.9, 30),
    RelationRecord(STREAKS, BORDER, "is-a", 0.7, 20),
    RelationRecord(STREAKS, RULER, "is-a", 0.6, 20),
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project of its own for each test, with three relations."""
    torch.set_num_threads(1)
    world = make_world(tmp_path / "ws", splits={"train": 24, "test": 6})
    with world.services.uow() as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        uow.relations.add_many(world.project_id, version.dictionary_hash, RELATIONS)
        uow.commit()
    return world


def ids(world: World) -> dict[int, str]:
    with world.services.uow(read_only=True) as uow:
        version = uow.versions.active(world.project_id)
        assert version is not None
        return uow.concepts.ids(world.project_id, version.dictionary_hash)


def flat(roots: tuple[TreeNodeView, ...]) -> dict[int, TreeNodeView]:
    found: dict[int, TreeNodeView] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        found[node.concept] = node
        waiting.extend(node.children)
    return found


def children(node: TreeNodeView) -> set[int]:
    return {child.concept for child in node.children}


def change(world: World, concept: int, kind: str, target: int | None = None, **more: object) -> str:
    """Propose and accept as Ada; returns the proposal's id."""
    numbers = ids(world)
    hierarchy = world.services.hierarchy
    view = hierarchy.change(
        id=new_id(), concept_id=numbers[concept], reviewer_id=reviewer(world), kind=kind,
        target_id=None if target is None else numbers[target],
        based_on=hierarchy.revision(world.project_id), **more,
    )  # fmt: skip
    return view.id


def test_the_model_s_relations_make_the_first_tree(world: World) -> None:
    tree = world.services.hierarchy.tree(world.project_id)
    nodes = flat(tree.roots)
    assert {node.concept for node in tree.roots} == {BORDER, RULER}
    assert children(nodes[BORDER]) == {HAIR, STREAKS}
    assert (nodes[HAIR].kind, nodes[HAIR].source) == ("part-of", "model")
    assert nodes[STREAKS].also == ("ruler",)
    assert (tree.relations, tree.by_people, tree.merged, tree.revision) == (3, 0, 0, 0)
    assert tree.alone == 8  # of 12


def test_a_proposal_waits_then_an_accepted_one_moves_the_concept(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    numbers = ids(world)
    proposed = hierarchy.propose(
        id=new_id(), concept_id=numbers[HAIR], reviewer_id=me, kind="parent",
        target_id=numbers[RULER], relation="is-a", reason="both lie on the skin",
    )  # fmt: skip
    assert proposed.state == "open"
    assert "under “ruler” as a kind of it instead of under “round border”" in proposed.effect
    assert flat(hierarchy.tree(world.project_id).roots)[HAIR].source == "model"
    inbox = hierarchy.inbox(world.project_id, me)
    assert (len(inbox.open), inbox.may_decide, inbox.revision) == (1, True, 0)
    decided = hierarchy.decide(
        id=new_id(), proposal_id=proposed.id, reviewer_id=me, accepted=True, reason="yes",
        based_on=0,
    )  # fmt: skip
    assert (decided.state, decided.decisions[-1].by) == ("accepted", "Ada")
    tree = hierarchy.tree(world.project_id)
    assert children(flat(tree.roots)[RULER]) == {HAIR}
    assert (flat(tree.roots)[HAIR].kind, flat(tree.roots)[HAIR].source) == ("is-a", "person")
    assert (tree.by_people, tree.revision) == (1, 1)
    with world.services.uow(read_only=True) as uow:
        found = uow.audit.list(entity="proposal", entity_id=proposed.id)
    assert {row.action for row in found} == {"hierarchy.proposed", "hierarchy.accepted"}


def test_declining_an_accepted_one_brings_the_model_s_relation_back(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    proposal = change(world, HAIR, "parent")
    assert HAIR not in flat(hierarchy.tree(world.project_id).roots)
    hierarchy.decide(
        id=new_id(), proposal_id=proposal, reviewer_id=me, accepted=False, reason="no", based_on=1
    )
    assert children(flat(hierarchy.tree(world.project_id).roots)[BORDER]) == {HAIR, STREAKS}
    (view,) = hierarchy.inbox(world.project_id, me).decided
    assert (view.state, view.decisions[-1].revision) == ("declined", 2)


def test_a_merge_takes_children_along_and_shows_on_both_pages(world: World) -> None:
    change(world, BORDER, "merge", RULER)
    tree = world.services.hierarchy.tree(world.project_id)
    nodes = flat(tree.roots)
    assert set(nodes) == {RULER, HAIR, STREAKS}
    assert (nodes[RULER].merged, tree.merged) == (("round border",), 1)
    numbers = ids(world)
    gone = world.services.concepts.view(numbers[BORDER])
    assert (gone.row.merged_into, gone.survivor_id) == ("ruler", numbers[RULER])
    assert world.services.concepts.view(numbers[RULER]).merged == ("round border",)


def test_a_split_keeps_the_names_of_the_parts(world: World) -> None:
    change(world, RULER, "split", parts=["straight scale", " round  sticker "])
    view = world.services.concepts.view(ids(world)[RULER])
    assert view.parts == ("straight scale", "round sticker")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"kind": "merge"}, "needs the other concept"),
        ({"kind": "merge", "target": RULER}, "its own parent or be merged into itself"),
        ({"kind": "parent", "target": HAIR}, "a kind of the other concept, or part of it"),
        ({"kind": "split", "parts": ["one"]}, "2 to 8 different parts"),
        ({"kind": "split", "parts": ["one", "one"]}, "2 to 8 different parts"),
        ({"kind": "split", "parts": ["one", "t\u200bwo"]}, "a part's name"),
    ],
)
def test_what_means_nothing_is_refused(world: World, what: dict[str, object], words: str) -> None:
    numbers = ids(world)
    target = what.pop("target", None)
    with pytest.raises(ConfigError, match=words):
        world.services.hierarchy.propose(
            id=new_id(), concept_id=numbers[RULER], reviewer_id=reviewer(world),
            target_id=None if target is None else numbers[int(str(target))], **what,
        )  # fmt: skip


def test_a_circle_is_named_beforehand_and_refused(world: World) -> None:
    hierarchy, numbers, me = world.services.hierarchy, ids(world), reviewer(world)
    circle = hierarchy.propose(
        id=new_id(), concept_id=numbers[BORDER], reviewer_id=me, kind="parent",
        target_id=numbers[HAIR], relation="is-a",
    )  # fmt: skip
    assert circle.obstacle == "“round border” would become its own ancestor"
    with pytest.raises(ConfigError, match="“round border” would become its own ancestor"):
        hierarchy.decide(
            id=new_id(), proposal_id=circle.id, reviewer_id=me, accepted=True, based_on=0
        )
    assert hierarchy.revision(world.project_id) == 0


def test_what_became_impossible_says_why_before_anybody_accepts(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    numbers = ids(world)
    circle = hierarchy.propose(
        id=new_id(), concept_id=numbers[RULER], reviewer_id=me, kind="parent",
        target_id=numbers[HAIR], relation="is-a",
    )  # fmt: skip
    assert circle.obstacle is None
    change(world, HAIR, "parent", RULER, relation="is-a")
    (waiting,) = hierarchy.inbox(world.project_id, me).open
    assert waiting.obstacle == "“ruler” would become its own ancestor"
    with pytest.raises(ConfigError, match="“ruler” would become its own ancestor"):
        hierarchy.decide(
            id=new_id(), proposal_id=circle.id, reviewer_id=me, accepted=True, based_on=1
        )
    assert hierarchy.revision(world.project_id) == 1
    change(world, HAIR, "merge", BORDER)
    (waiting,) = hierarchy.inbox(world.project_id, me).open
    assert waiting.obstacle == "“hair” was merged into “round border”"


def test_an_unseen_decision_is_not_overridden(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    numbers = ids(world)
    proposed = hierarchy.propose(
        id=new_id(), concept_id=numbers[HAIR], reviewer_id=me, kind="merge",
        target_id=numbers[RULER],
    )  # fmt: skip
    change(world, STREAKS, "parent", RULER, relation="is-a")
    with pytest.raises(StaleWrite):
        hierarchy.decide(
            id=new_id(), proposal_id=proposed.id, reviewer_id=me, accepted=True, based_on=0
        )
    assert hierarchy.revision(world.project_id) == 1


def test_a_repeat_is_harmless_and_a_second_of_the_same_is_refused(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    numbers, one = ids(world), new_id()

    def propose(id: str, who: str) -> str:
        return hierarchy.propose(
            id=id, concept_id=numbers[HAIR], reviewer_id=who, kind="merge",
            target_id=numbers[RULER],
        ).id  # fmt: skip

    assert propose(one, me) == propose(one, me) == one
    with pytest.raises(ConfigError, match="Ada has proposed the same"):
        propose(new_id(), reviewer(world, "Ben"))
    decision = new_id()
    for _ in range(2):
        hierarchy.decide(id=decision, proposal_id=one, reviewer_id=me, accepted=True, based_on=0)
    assert hierarchy.revision(world.project_id) == 1
    with world.services.uow(read_only=True) as uow:
        assert len(uow.audit.list(entity="proposal", entity_id=one)) == 2


def test_change_now_is_one_step_and_repeats_harmlessly(world: World) -> None:
    hierarchy, me = world.services.hierarchy, reviewer(world)
    numbers, one = ids(world), new_id()
    for _ in range(2):
        hierarchy.change(
            id=one, concept_id=numbers[HAIR], reviewer_id=me, kind="merge",
            target_id=numbers[RULER], based_on=0,
        )  # fmt: skip
    assert hierarchy.revision(world.project_id) == 1
    assert len(hierarchy.inbox(world.project_id, me).decided) == 1


def test_an_expert_proposes_and_an_annotator_decides(world: World) -> None:
    from dashboard.services.roles import Forbidden

    hierarchy = world.services.hierarchy
    lead, expert = reviewer(world, "Lea"), reviewer(world, "Eve")
    world.services.settings_of.set_role(
        id=new_id(), project_id=world.project_id, reviewer_id=lead, role="lead", by_id=lead,
        based_on=0,
    )  # fmt: skip
    numbers = ids(world)
    proposed = hierarchy.propose(
        id=new_id(), concept_id=numbers[HAIR], reviewer_id=expert, kind="merge",
        target_id=numbers[RULER],
    )  # fmt: skip
    assert not hierarchy.inbox(world.project_id, expert).may_decide
    with pytest.raises(Forbidden):
        hierarchy.decide(
            id=new_id(), proposal_id=proposed.id, reviewer_id=expert, accepted=True, based_on=0
        )
    with pytest.raises(Forbidden):
        world.services.concepts.rename(
            id=new_id(), concept_id=numbers[HAIR], reviewer_id=expert, name="x", based_on=0
        )
    assert not world.services.concepts.view(numbers[HAIR], expert).may_change
    hierarchy.decide(
        id=new_id(), proposal_id=proposed.id, reviewer_id=lead, accepted=True, based_on=0
    )
    assert hierarchy.tree(world.project_id).merged == 1


def test_cases_roll_up_under_the_hierarchy_that_stands(world: World) -> None:
    stored = [
        {
            "concept": BORDER, "kind": None, "contribution": 1.0, "total": 1.75,
            "children": [
                {"concept": HAIR, "kind": "part-of", "contribution": 0.75, "total": 0.75,
                 "children": []},
            ],
        },
        {"concept": RULER, "kind": None, "contribution": -0.5, "total": -0.5, "children": []},
    ]  # fmt: skip

    def folded() -> object:
        with world.services.uow(read_only=True) as uow:
            version = uow.versions.active(world.project_id)
            assert version is not None
            return uow.hierarchy.folded(world.project_id, version.dictionary_hash)

    assert case_nodes(stored, folded()) == stored
    change(world, HAIR, "parent", RULER, relation="is-a")
    moved = case_nodes(stored, folded())
    assert [(node["concept"], node["total"]) for node in moved] == [(BORDER, 1.0), (RULER, 0.25)]
    assert [node["concept"] for node in moved[1]["children"]] == [HAIR]
    change(world, BORDER, "merge", RULER)
    (merged,) = case_nodes(stored, folded())
    assert (merged["concept"], merged["contribution"], merged["total"]) == (RULER, 0.5, 1.25)
    names = survivors({BORDER: "round border", RULER: "ruler"}, folded())
    assert names == {BORDER: "ruler", RULER: "ruler"}


def test_unknown_ones_are_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.services.hierarchy.decide(
            id=new_id(), proposal_id=new_id(), reviewer_id=reviewer(world), accepted=True,
            based_on=0,
        )  # fmt: skip


def test_before_the_first_version_all_is_empty(world: World, tmp_path: Path) -> None:
    with world.services.uow() as uow:
        empty = uow.projects.add("empty", str(tmp_path))
        uow.commit()
    hierarchy = world.services.hierarchy
    assert hierarchy.tree(empty.id).roots == ()
    assert hierarchy.inbox(empty.id, reviewer(world)).open == ()
    assert hierarchy.revision(empty.id) == 0
