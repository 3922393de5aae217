"""The cost of removing a concept: by hand, and against removing it and decoding again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from core.errors import ConfigError
from core.reconstruction import Removal, region_losses, removal_costs
from core.relations import Regions, RelationConfig, relations


def world(seed: int, rows: int = 12, concepts: int = 5, dims: int = 4) -> tuple[np.ndarray, ...]:
    """Random codes, tokens near what they decode to, decoder rows of any length, bias."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((rows, concepts)) < 0.5, rng.exponential(size=(rows, concepts)), 0)
    decoder, bias = rng.normal(size=(concepts, dims)), rng.normal(size=dims)
    tokens = bias + codes @ decoder + 0.3 * rng.normal(size=(rows, dims))
    return tuple(a.astype(np.float32) for a in (codes, tokens, decoder, bias))


def measured(codes: np.ndarray, tokens: np.ndarray, *rest: np.ndarray, run: int = 4) -> Removal:
    runs = [tokens[start : start + run] for start in range(0, len(tokens), run)]
    return removal_costs(sparse.csr_array(codes), runs, *rest)


def test_by_hand() -> None:
    # Token (3, 1) = 2 * (1, 0) + 1 * (0, 1) + rest (1, 0), bias 0. Without concept 0 the squared
    # error grows from 1 to 9, without concept 1 from 1 to 2; together they explain 10 - 1.
    removal = measured(
        np.float32([[2, 1]]), np.float32([[3, 1]]), np.eye(2, dtype=np.float32), np.zeros(2)
    )
    assert removal.cost_MN.toarray().tolist() == [[8, 1]]
    assert removal.explained_M.tolist() == [9]
    present = sparse.csr_array(np.array([[1.0, 1.0]]))
    losses = region_losses(removal, present, np.array([1, 0]), np.array([0, 1]))
    assert losses.loss_E == pytest.approx([8 / 9, 1 / 9])
    assert losses.chance_E == pytest.approx([8 / 9, 1 / 9])  # the region is everything
    assert losses.other_E.tolist() == [0, 0]  # nothing else fires


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_equals_removing_and_decoding_again(seed: int) -> None:
    codes, tokens, decoder, bias = world(seed)
    removal = measured(codes, tokens, decoder, bias)
    error_M = np.square(tokens - bias - codes @ decoder).sum(axis=1)
    assert removal.explained_M == pytest.approx(
        np.square(tokens - bias).sum(axis=1) - error_M, rel=1e-4, abs=1e-4
    )
    for concept in range(codes.shape[1]):
        without = codes.copy()
        without[:, concept] = 0
        grown_M = np.square(tokens - bias - without @ decoder).sum(axis=1) - error_M
        found_M = removal.cost_MN[:, [concept]].toarray().ravel()
        assert found_M == pytest.approx(grown_M, rel=1e-3, abs=1e-3)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_region_losses_equal_their_definition(seed: int) -> None:
    codes, tokens, decoder, bias = world(seed)
    removal = measured(codes, tokens, decoder, bias, run=5)
    present = codes > 0.7
    cost = removal.cost_MN.toarray()
    child_E, parent_E = np.array([0, 1, 4]), np.array([2, 0, 3])
    losses = region_losses(removal, sparse.csr_array(present * codes), child_E, parent_E)
    for e, (c, p) in enumerate(zip(child_E, parent_E, strict=True)):
        region = present[:, c]
        explained = removal.explained_M[region].sum()
        if not region.any() or explained <= 0:
            assert losses.loss_E[e] == losses.chance_E[e] == losses.other_E[e] == 0
            continue
        others = [
            np.mean([cost[m, q] for q in range(5) if codes[m, q] > 0 and q not in (c, p)] or [0])
            for m in np.flatnonzero(region)
        ]
        expected = [cost[region, p].sum(), region.sum() * cost[:, p].mean(), sum(others)]
        found = [losses.loss_E[e], losses.chance_E[e], losses.other_E[e]]
        assert found == pytest.approx(np.array(expected) / explained, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("rows", [1, 3])
def test_tokens_and_codes_must_be_of_the_same_patches(rows: int) -> None:
    with pytest.raises(ConfigError, match="tokens"):
        measured(np.ones((2, 1)), np.ones((rows, 1)), np.ones((1, 1)), np.zeros(1), run=1)


def test_a_parent_that_makes_no_difference_is_dropped_with_the_reason() -> None:
    # Concept 2 fires only beside 0 and 1. Its patches are rebuilt by 0; 1 hardly adds anything.
    codes = np.float32([[4, 0.3, 1], [4, 0.3, 1], [4, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]])
    decoder = np.eye(3, dtype=np.float32)
    removal = measured(codes, codes @ decoder, decoder, np.zeros(3), run=2)
    config = RelationConfig(tau=0.75, presence=0.0, min_patches=1, min_images=1, min_lift=0.0)
    codes_MN = sparse.csr_array(codes)
    plain = relations(codes_MN, decoder, 1, config)
    assert {(r.child, r.parent, r.loss) for r in plain.relations} == {(2, 0, None), (2, 1, None)}
    tested = relations(codes_MN, decoder, 1, config, removal)
    (edge,) = tested.relations
    assert (edge.child, edge.parent) == (2, 0)
    assert edge.loss == pytest.approx(16 / (16 + 0.09 + 1))
    (dropped,) = tested.dropped
    assert (dropped.relation.parent, dropped.reason) == (1, "reconstruction")
    assert dropped.relation.loss == pytest.approx(0.09 / (16 + 0.09 + 1))


def test_a_parent_that_every_region_rests_on_alike_is_dropped() -> None:
    codes = np.float32([[2, 1], [2, 1], [2, 0], [3, 0]])
    removal = measured(codes, codes, np.eye(2, dtype=np.float32), np.zeros(2), run=4)
    config = RelationConfig(tau=0.75, presence=0.0, min_patches=1, min_images=1, min_lift=0.0)
    found = relations(sparse.csr_array(codes), np.eye(2), 1, config, removal)
    assert [(d.relation.child, d.relation.parent, d.reason) for d in found.dropped] == [
        (1, 0, "reconstruction")
    ]


def test_regions_hold_what_the_test_needs() -> None:
    codes = np.float32([[1.0]])
    removal = measured(codes, codes, np.ones((1, 1)), np.zeros(1))
    regions = Regions(removal, sparse.csr_array(codes))
    assert regions.removal is removal
