import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.hierarchy import case_forest, nearest_parents, project_forest
from core.types import HierarchyNode, Relation, RelationKind

NAMES = [f"c{i}" for i in range(200)]


def edge(child: int, parent: int, weight: float = 0.9, kind: RelationKind = "is-a") -> Relation:
    return Relation(child, parent, kind, weight, 50)


def shape(nodes: tuple[HierarchyNode, ...]) -> dict[int, dict]:  # type: ignore[type-arg]
    return {node.concept: shape(node.children) for node in nodes}


def _ends(relation: Relation) -> tuple[int, int]:
    return relation.child, relation.parent


def walk(nodes: tuple[HierarchyNode, ...]) -> list[HierarchyNode]:
    return [found for node in nodes for found in (node, *walk(node.children))]


def test_contributions_roll_up() -> None:
    (root,) = case_forest([edge(1, 0), edge(2, 0)], {0: 0.5, 1: 1.0, 2: -0.25}, NAMES)
    assert (root.contribution, root.total, root.kind) == (0.5, 1.25, None)
    assert [child.concept for child in root.children] == [1, 2]
    assert root.children[0].kind == "is-a"


def test_a_node_hangs_under_its_strongest_parent_and_the_rest_is_listed() -> None:
    edges = [edge(2, 0, 0.8), edge(2, 1, 0.95)]
    forest = project_forest(edges, NAMES)
    assert shape(forest.roots) == {0: {}, 1: {2: {}}}
    assert forest.dropped == (edges[0],)


def test_absent_ancestors_are_skipped() -> None:
    edges = [edge(3, 2), edge(2, 1, kind="part-of"), edge(1, 0)]
    roots = case_forest(edges, {3: 1.0, 0: 2.0}, NAMES)
    assert shape(roots) == {0: {3: {}}}
    assert roots[0].children[0].kind == "part-of"
    assert nearest_parents(edges, {3, 0})[3].steps == 3


def test_the_nearest_present_ancestor_wins_over_a_stronger_far_one() -> None:
    edges = [edge(3, 2, 0.99), edge(2, 0, 0.99), edge(3, 1, 0.76)]
    assert nearest_parents(edges, {3, 1, 0})[3].parent == 1


def test_without_relations_all_are_roots_by_size() -> None:
    roots = case_forest([], {4: 0.1, 5: -2.0}, {4: "ruler", 5: "veil"})
    assert [root.name for root in roots] == ["veil", "ruler"]


def test_a_long_chain_needs_no_recursion() -> None:
    edges = [edge(i + 1, i) for i in range(5000)]
    forest = project_forest(edges, [str(i) for i in range(5001)], contributions={5000: 1.0})
    assert forest.roots[0].total == 1.0


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_every_present_concept_stands_once_and_totals_add_up(data: st.DataObject) -> None:
    pairs = data.draw(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
    edges = [edge(max(p), min(p), 0.8) for p in pairs if p[0] != p[1]]
    edges = list({(e.child, e.parent): e for e in edges}.values())
    figures = data.draw(st.dictionaries(st.integers(0, 9), st.floats(-5, 5), max_size=10))
    roots = case_forest(edges, figures, NAMES)
    nodes = walk(roots)
    assert sorted(node.concept for node in nodes) == sorted(figures)
    assert sum(r.total for r in roots) == pytest.approx(sum(figures.values()))
    above = nx.DiGraph([(e.child, e.parent) for e in edges])
    for node in nodes:
        for child in node.children:
            assert nx.has_path(above, child.concept, node.concept)
    drawn = {(child.concept, node.concept) for node in nodes for child in node.children}
    shown = [e for e in edges if e.child in figures and e.parent in figures]
    left_out = project_forest(edges, NAMES, set(figures)).dropped
    assert sorted(left_out, key=edges.index) == [e for e in shown if _ends(e) not in drawn]
    linked = {child.concept for node in nodes for child in node.children}
    for root in {node.concept for node in nodes} - linked:
        reachable = nx.descendants(above, root) if root in above else set()
        assert not reachable & figures.keys()
