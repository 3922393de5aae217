"""Prices on rejected concepts, copies of regions, and the fit that strategies share."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cue_marks import MarkedRegion
from core.errors import ConfigError, TooFewVerdicts
from core.heads import fit_head
from core.strategies import FitData, fit_strategy, get_strategy
from core.strategies.concept_penalty import concept_evidence, concept_price
from core.strategies.counterfactual import fill_tokens, make_copies
from core.strategies.fitting import Plan, averaged, even_weights, fit_plan, strata
from core.strategies.validation import Predicted, Validation, build_validation, judge
from tests.unit.core.strategies.worlds import codes_of, fit_data, honest
from tests.unit.core.tiny import PATCHES, TokenWorld, token_world

TRAIN = 120


@pytest.fixture(scope="module")
def world() -> TokenWorld:
    return token_world(TRAIN, strength=0.95, seed=8)


def coded(count: int = 200, seed: int = 0, **more) -> FitData:
    """Concept 0 is the whole shortcut, concept 1 the weaker truth, ten are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 % 2
    codes = rng.random((count, 12))
    codes[:, 0] += 2.0 * np.where(rng.random(count) < 0.95, labels, 1 - labels)
    codes[:, 1] += 1.2 * labels
    return FitData(codes, labels, ("a", "b"), tuple(range(count)), c=1.0, **more)


@pytest.mark.parametrize("name", ["concept_penalty", "concept_lasso"])
def test_a_rejected_concept_loses_its_weight(name: str) -> None:
    plain = coded()
    before = fit_plan(plain, Plan(even_weights(plain)))
    outcome = fit_strategy(name, coded(concepts={0: 0.995, 1: 0.05}))
    share = np.abs(outcome.head.weight_CN[:, 0]).max() / np.abs(before.weight_CN[:, 0]).max()
    assert share < 0.1
    assert np.abs(outcome.head.weight_CN[:, 1]).max() > np.abs(before.weight_CN[:, 1]).max()
    assert outcome.details["priced_concepts"] == [0]
    assert outcome.details["weight_left"] < 0.1


def test_the_surer_people_are_the_less_weight_is_left() -> None:
    left = [
        np.abs(fit_strategy("concept_penalty", coded(concepts={0: p})).head.weight_CN[:, 0]).max()
        for p in (0.5001, 0.9, 0.999)
    ]
    assert left[0] > left[1] >= left[2]


def test_prices_are_odds_above_one_per_class() -> None:
    data = coded(concepts={0: 0.9, 1: 0.2}, concepts_of_class={(3, 1): 0.75})
    price = concept_price(data)
    np.testing.assert_allclose(price[:, 0], [9, 9])
    np.testing.assert_allclose(price[:, 3], [0, 3])
    assert price[:, 1].tolist() == [0, 0]
    assert get_strategy("concept_penalty").why_not(coded(concepts={1: 0.2}))


def test_evidence_comes_from_marks_where_none_is_given() -> None:
    region = np.ones(4, bool)
    marks = [MarkedRegion(k, 5, region, "spurious") for k in range(3)]
    marks += [MarkedRegion(3, 5, region, "correct", 0.5)]
    evidence = concept_evidence(coded(marks=tuple(marks)))
    assert evidence == {5: pytest.approx(3.5 / 4.5)}


def test_filled_tokens_are_the_mean_around(world: TokenWorld) -> None:
    tokens = np.arange(9, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    region = np.zeros(9, bool)
    region[0] = True
    filled = fill_tokens(tokens, region, (3, 3))  # around the corner: 1, 3, 4
    np.testing.assert_allclose(filled[0], 8 / 3)
    np.testing.assert_allclose(filled[1:], tokens[1:])
    np.testing.assert_allclose(fill_tokens(tokens, region, None)[0], 4.5)
    np.testing.assert_allclose(fill_tokens(tokens, np.ones(9, bool), (3, 3)), 4.0)


def test_copies_are_filled_by_the_caller_and_pasted_everywhere(world: TokenWorld) -> None:
    asked: list[int] = []

    def filled(row: int, region_P: np.ndarray) -> np.ndarray:
        asked.append(row)
        return np.zeros((PATCHES, 16), np.float32)

    data = replace(fit_data(world, honest(world, 3), TRAIN), filled_tokens_of=filled)
    copies, counts = make_copies(data, (), even_weights(data))
    assert asked == sorted(world.rows_with(0, 3))
    assert counts == {"filled": 3, "pasted": 2 * TRAIN}
    assert copies.codes_JN[:3].nnz == 0
    # A pasted copy shows at least what the case showed; its copies weigh as much as the case.
    own = data.pooled_IN[copies.of_J[3:]]
    assert (copies.codes_JN[3:].toarray() >= own - 1e-6).all()
    assert copies.weight_J[3:].sum() == pytest.approx(TRAIN)


def test_held_out_cases_get_no_copies(world: TokenWorld) -> None:
    held = np.arange(TRAIN) < 60
    data = replace(fit_data(world, honest(world, 4), TRAIN), validation_I=held)
    copies, _ = make_copies(data, (), even_weights(data))
    assert not held[copies.of_J].any()
    with pytest.raises(TooFewVerdicts):
        make_copies(replace(data, marks=()), (), even_weights(data))
    with pytest.raises(ConfigError):
        make_copies(replace(data, codes_of=None), (), even_weights(data))


def test_counterfactual_lowers_what_a_pasted_region_does(world: TokenWorld) -> None:
    data = fit_data(world, honest(world, 6), TRAIN, c=1.0)
    before = fit_plan(data, Plan(even_weights(data)))
    after = fit_strategy("counterfactual", data).head
    mark = data.marks[0]
    piece = codes_of(world.tokens_of(mark.row)[mark.region_P])
    pasted = np.maximum(data.pooled_IN, piece)
    moved = [
        float(np.abs(np.diff(h.logits(pasted) - h.logits(data.pooled_IN), axis=1)).mean())
        / float(np.abs(np.diff(h.logits(data.pooled_IN), axis=1)).mean())
        for h in (before, after)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_the_shared_fit_is_that_of_fit_head() -> None:
    data = coded()
    weight = np.random.default_rng(0).random(200) + 0.2
    ours = fit_plan(data, Plan(weight))
    slow = fit_head(data.pooled_IN, data.labels_I, ("a", "b"), sample_weight=weight, c=1.0)
    np.testing.assert_allclose(ours.weight_CN, slow.weight_CN, atol=5e-3)
    np.testing.assert_allclose(ours.upper_N, slow.upper_N)


def test_an_average_of_heads_has_the_average_logits() -> None:
    data = coded()
    heads = [fit_plan(replace(data, c=c), Plan(even_weights(data))) for c in (0.1, 10.0)]
    mean = np.mean([head.logits(data.pooled_IN) for head in heads], axis=0)
    np.testing.assert_allclose(averaged(heads).logits(data.pooled_IN), mean, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=60))
def test_strata_never_mix_labels(pairs: list[tuple[int, int]]) -> None:
    labels, stratum = (np.array(x) for x in zip(*pairs, strict=True))
    found = strata(labels, stratum, 3)
    for key in np.unique(found):
        own = found == key
        assert len(np.unique(labels[own])) == 1
        assert own.sum() >= min(3, int((labels == labels[own][0]).sum()) // 5)


def test_a_validation_by_hand() -> None:
    """Four seen cells, right in 1, .5, 1, 1; imagined otherwise right in 0 and 1 of the labels."""
    data = coded(8)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    data = replace(data, labels_I=labels)
    cells = np.zeros((8, 2), bool)
    cells[:4, 0], cells[4:, 1] = True, True
    validation = Validation(np.ones((1, 8), bool), np.zeros(8, bool), cells)
    seen = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    found = judge(data, validation, Predicted(seen, np.ones((1, 8), np.int64)))
    assert found.ordinary == pytest.approx(7 / 8)
    assert found.score == pytest.approx((7 / 8 + 0.5) / 2)
    assert found.worst == 0
    plain = judge(data, validation, Predicted(seen, np.zeros((0, 8), np.int64)))
    assert (plain.score, plain.worst) == (pytest.approx(7 / 8), pytest.approx(0.75))


def test_enough_validation_cases_are_used_as_they_are() -> None:
    held = np.arange(200) < 90
    own = build_validation(coded(validation_I=held), None)
    assert own.held_FI.shape == (1, 200)
    assert (own.judged_I == held).all()
    few = np.arange(200) < 20
    folded = build_validation(coded(validation_I=few), None)
    assert folded.held_FI.shape == (3, 200)
    assert (folded.judged_I == ~few).all()
    assert folded.held_FI.sum(axis=0).max() == 1
