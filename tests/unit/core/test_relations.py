"""Relations: hand-computed cases, a slow dense reference and properties."""

from collections import Counter
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from core.cooccurrence import cooccurrence
from core.errors import ConfigError
from core.reconstruction import removal_costs
from core.relations import (
    RelationConfig,
    RelationGraph,
    relations,
)

LOOSE = RelationConfig(tau=0.75, presence=0.0, min_patches=1, min_images=1, min_lift=0.0)
Dense = NDArray[np.float64]


def dense_conditional(codes_MN: Dense, presence: float = 0.0) -> Dense:
    """D^ straight from its definition, one patch and one pair at a time."""
    concepts = codes_MN.shape[1]
    least = [presence * np.quantile(a[a > 0], 0.99) if a.any() else 0.0 for a in codes_MN.T]
    weight = np.zeros((concepts, concepts))
    for row in codes_MN:
        for i in range(concepts):
            for j in range(concepts):
                if row[i] > least[i] and row[j] > least[j]:
                    weight[i, j] += row[i]
    own = np.diag(weight).copy()
    own[own == 0] = 1.0
    return weight / own[:, None]


def graph(codes_MN: Dense, config: RelationConfig = LOOSE, patches: int = 1) -> RelationGraph:
    directions = np.eye(codes_MN.shape[1])
    return relations(sparse.csr_array(codes_MN), directions, patches, config)


def edges(found: RelationGraph) -> set[tuple[int, int]]:
    return {(r.child, r.parent) for r in found.relations}


def codes(rows: int = 24, concepts: int = 6) -> st.SearchStrategy[Dense]:
    cell = st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.7, 3.1])
    row = st.lists(cell, min_size=concepts, max_size=concepts)
    return st.lists(row, min_size=1, max_size=rows).map(np.array)


def test_a_child_that_fires_only_beside_its_parent() -> None:
    # Concept 0 fires on all four patches, 1 on two of them, 2 alone.
    found = graph(np.array([[1, 2, 0], [1, 3, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1.0]]))
    (edge,) = found.relations
    assert (edge.child, edge.parent, edge.weight, edge.support) == (1, 0, 1.0, 2)


def test_the_weight_is_by_activation() -> None:
    # 1 fires with 9 beside concept 0 and with 1 elsewhere: D^_10 = 9 / 10, D^_01 = 1 / 4.
    found = graph(np.array([[1, 9], [0, 1], [3, 0.0]]))
    assert found.relations[0].weight == pytest.approx(0.9)
    counts = cooccurrence(sparse.csr_array(np.array([[1, 9], [0, 1], [3, 0.0]])), 1)
    assert counts.conditional_NN.toarray() == pytest.approx(np.array([[1, 0.25], [0.9, 1]]))
    assert counts.patches_N.tolist() == [2, 2]


def test_a_glimmer_is_not_presence() -> None:
    # Concept 0 fires everywhere, but strongly on the last two patches only.
    rows = np.array([[0.1, 1], [0.1, 1], [5, 0], [5, 0.0]])
    assert edges(graph(rows)) == {(1, 0)}
    config = RelationConfig(tau=0.75, presence=0.3, min_patches=1, min_images=1, min_lift=0.0)
    assert edges(graph(rows, config)) == set()


def test_similar_directions_are_is_a_and_others_part_of() -> None:
    # In the one image the child fires on one of the parent's three patches.
    codes_MN = sparse.csr_array(np.array([[1, 1], [1, 0], [1, 0.0]]))
    alike = relations(codes_MN, np.array([[1, 0], [1, 1.0]]), 3, LOOSE)
    unlike = relations(codes_MN, np.array([[1, 0], [0, 1.0]]), 3, LOOSE)
    assert alike.relations[0].kind == "is-a"
    assert unlike.relations[0].kind == "part-of"


def test_a_child_that_covers_its_parent_where_it_occurs_is_a_kind_of_it() -> None:
    # Images of two patches: 1 fills 0 in the first image, 0 stands alone in the second.
    codes_MN = sparse.csr_array(np.array([[1, 1], [1, 1], [1, 0], [1, 0.0]]))
    found = relations(codes_MN, np.eye(2), 2, LOOSE)
    assert [(r.child, r.parent, r.kind) for r in found.relations] == [(1, 0, "is-a")]


def test_mutual_concepts_are_synonyms_and_no_edge() -> None:
    found = graph(np.array([[1, 1, 1], [2, 2, 0], [3, 3, 0], [0, 0, 0.0]]))
    assert found.synonyms == ((0, 1),)
    assert edges(found) == {(2, 0), (2, 1)}


def test_between_a_majority_and_the_same_the_larger_share_gives_the_direction() -> None:
    # Both fire on three patches, 1 besides on one (D^_10 = 3/4, D^_01 = 1) ...
    rows = np.array([[1, 1], [1, 1], [1, 1], [0, 1.0]])
    config = replace(LOOSE, tau=0.5, same=0.8)
    found = graph(rows, config)
    assert edges(found) == {(0, 1)}
    assert found.synonyms == ()
    (dropped,) = found.dropped
    assert (dropped.relation.child, dropped.relation.parent, dropped.reason) == (1, 0, "direction")
    # ... which is enough to be the same where three quarters count as such.
    assert graph(rows, replace(config, same=0.7)).synonyms == ((0, 1),)


def test_a_tie_makes_the_earlier_concept_the_parent() -> None:
    # Each fires twice, once beside the other; a Matryoshka dictionary puts the general first.
    rows = np.array([[3, 3], [1, 0], [0, 1.0]])
    assert edges(graph(rows, replace(LOOSE, tau=0.5, same=0.8))) == {(1, 0)}


def test_what_a_longer_path_implies_is_dropped() -> None:
    found = graph(np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0.0]]))
    assert edges(found) == {(2, 1), (1, 0)}
    (dropped,) = found.dropped
    assert (dropped.relation.child, dropped.relation.parent) == (2, 0)
    assert dropped.reason == "implied"


def test_a_circle_loses_its_weakest_edge() -> None:
    # 0 -> 1 at .9, 1 -> 2 at .85, 2 -> 0 at .8, and never back.
    heavy = np.array([[9, 0.1, 0], [1, 0, 0], [0, 8.5, 0.1], [0, 1.4, 0], [0.1, 0, 8], [0, 0, 1.9]])
    found = graph(heavy)
    assert edges(found) == {(0, 1), (1, 2)}
    assert [(d.relation.child, d.relation.parent, d.reason) for d in found.dropped] == [
        (2, 0, "circle")
    ]


def test_little_support_and_chance_are_dropped_with_the_reason() -> None:
    # Concept 0 covers everything, so that 1 meets it by chance; 3 lies in 2, but only once.
    rows = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0.0]] * 2)
    rows[4:, 3] = 0.0
    found = graph(rows, RelationConfig(presence=0.0, min_patches=2, min_images=2, min_lift=1.5))
    reasons = {(d.relation.child, d.relation.parent): d.reason for d in found.dropped}
    assert edges(found) == set()
    assert reasons[(1, 0)] == "chance"
    assert reasons[(3, 2)] == "support"


def test_support_counts_images_not_only_patches() -> None:
    rows = np.array([[1, 1], [1, 1], [1, 0], [1, 0.0]])
    config = RelationConfig(presence=0.0, min_patches=2, min_images=2, min_lift=0.0)
    assert edges(graph(rows, config, patches=1)) == {(1, 0)}
    assert edges(graph(rows, config, patches=2)) == set()


def test_patches_must_make_whole_images() -> None:
    with pytest.raises(ConfigError, match="whole number of images"):
        graph(np.ones((3, 2)), patches=2)


def test_no_codes_give_no_relations() -> None:
    assert graph(np.zeros((4, 3))) == RelationGraph(())


@given(codes(), st.sampled_from([0.0, 0.5]))
@settings(deadline=None, max_examples=40)
def test_the_sparse_count_equals_the_definition(codes_MN: Dense, presence: float) -> None:
    # Below the presence threshold a concept counts as absent for both sides of a pair.
    counts = cooccurrence(sparse.csr_array(codes_MN), 1, presence)
    expected = dense_conditional(codes_MN, presence)
    assert counts.conditional_NN.toarray() == pytest.approx(expected)


@given(codes())
@settings(deadline=None, max_examples=60)
def test_the_graph_is_sound(codes_MN: Dense) -> None:
    found = graph(codes_MN)
    conditional = dense_conditional(codes_MN)
    drawn = nx.DiGraph(list(edges(found)))
    assert nx.is_directed_acyclic_graph(drawn)
    assert len(edges(found)) == len(found.relations)
    assert set(nx.transitive_reduction(drawn).edges) == edges(found)
    for r in found.relations:
        assert 0.75 < r.weight <= 1.0
        assert r.weight == pytest.approx(conditional[r.child, r.parent])
        assert conditional[r.parent, r.child] <= 0.75
        assert r.support == int((codes_MN[:, r.child] > 0).sum())
    members = Counter(c for group in found.synonyms for c in group)
    assert all(count == 1 for count in members.values())


@given(codes(), st.sampled_from([0.0, 0.2, 0.9]))
@settings(deadline=None, max_examples=40)
def test_nothing_vanishes(codes_MN: Dense, min_loss: float) -> None:
    """Every pair over tau is an edge, a dropped edge with one reason, or lies among synonyms."""
    concepts = codes_MN.shape[1]
    tokens = [np.float32(codes_MN + 0.1)]  # a rest of .1 everywhere
    directions = np.eye(concepts, dtype=np.float32)
    removal = removal_costs(sparse.csr_array(codes_MN), tokens, directions, np.zeros(concepts))
    config = replace(LOOSE, min_loss=min_loss, min_patches=2)
    found = relations(sparse.csr_array(codes_MN), directions, 1, config, removal)
    conditional = dense_conditional(codes_MN)
    left_out = [(d.relation.child, d.relation.parent) for d in found.dropped]
    together = {(a, b) for group in found.synonyms for a in group for b in group}
    assert len(set(left_out)) == len(left_out)
    assert not edges(found) & set(left_out)
    for i in range(concepts):
        for j in range(concepts):
            if i != j and conditional[i, j] > config.tau + 1e-9:
                assert (i, j) in edges(found) | set(left_out) | together
    for r in found.relations:
        assert r.loss is not None
        assert min_loss <= r.loss <= 1.5
    assert nx.is_directed_acyclic_graph(nx.DiGraph(list(edges(found))))


@given(codes(), st.permutations(range(6)))
@settings(deadline=None, max_examples=40)
def test_renumbering_concepts_renumbers_the_graph(codes_MN: Dense, order: list[int]) -> None:
    rng = np.random.default_rng(0)  # break ties: which edge of a circle goes must not depend
    codes_MN = codes_MN * rng.uniform(0.9, 1.1, codes_MN.shape)  # on the numbers
    plain, moved = graph(codes_MN), graph(codes_MN[:, order])
    weights = [r.weight for r in (*plain.relations, *(d.relation for d in plain.dropped))]
    if len(set(np.round(weights, 9))) < len(weights):
        return  # equal weights may be ordered by number
    assert {(order[a], order[b]) for a, b in edges(moved)} == edges(plain)
