import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import ConfigError
from core.faithfulness import (
    Paired,
    gather,
    gini,
    kept_sets,
    max_sensitivity,
    perturbation_auc,
    pointing_game,
    randomisation_check,
    relevance_mass_accuracy,
    single_deletion,
    spearman,
    spurious_mass,
)

MAP = np.array([[3.0, -1.0, 0.0, 1.0]])


def linear(weights: list[float]):  # type: ignore[no-untyped-def]
    """A model that adds up the weights of what is kept."""
    return lambda keep_SK: keep_SK @ np.array(weights)


def test_margin_in_standard_errors() -> None:
    pair = Paired(np.array([1.0, 2.0, np.nan, 3.0]), np.array([0.0, 0.0, 0.0, 0.0]), "higher")
    assert (pair.cases, pair.mean, pair.control) == (3, 2.0, 0.0)
    assert pair.margin_se == pytest.approx(2.0 / (1.0 / math.sqrt(3)))
    assert Paired(pair.value_I, pair.control_I, "lower").margin_se == -pair.margin_se
    assert Paired(np.ones(2), np.zeros(2), "higher").margin_se == math.inf
    assert Paired(np.ones(2), np.ones(2), "higher").margin_se == 0.0
    assert math.isnan(Paired(np.ones(1), np.zeros(1), "higher").margin_se)


def test_mass_by_hand() -> None:
    region = np.array([[True, True, False, False]])
    rejected = spurious_mass(MAP, region)
    assert (rejected.value_I[0], rejected.control_I[0]) == (0.8, 0.5)
    relevant = relevance_mass_accuracy(MAP, region)
    assert (relevant.value_I[0], relevant.control_I[0]) == (0.75, 0.5)
    assert relevance_mass_accuracy(-np.abs(MAP), region).cases == 0
    assert spurious_mass(MAP, ~region & region).cases == 0


def test_pointing_by_hand() -> None:
    maps = np.array([[3.0, 1.0], [2.0, 2.0], [0.0, -1.0], [1.0, 2.0]])
    truth = np.array([[True, False], [True, False], [True, False], [False, False]])
    found = pointing_game(maps, truth)
    assert found.value_I.tolist()[:2] == [1.0, 0.5]
    assert math.isnan(found.value_I[2])
    assert found.value_I[3] == 0.0  # an empty region is a miss
    assert found.cases == 3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_controls_are_what_shuffled_maps_give(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(1, 12))
    region = rng.random((1, 12)) < 0.4
    region[0, 0] = True
    maps = rng.permuted(np.tile(values, (3000, 1)), axis=1)
    regions = np.tile(region, (3000, 1))
    for measure in (spurious_mass, relevance_mass_accuracy, pointing_game):
        found = measure(maps, regions)
        assert found.mean == pytest.approx(found.control, abs=0.05)


def test_gini_by_hand() -> None:
    found = gini(np.array([[1.0, 1, 1, 1], [0, 0, 0, -5], [1, 3, 0, 0], [0, 0, 0, 0]]))
    np.testing.assert_allclose(found.value_I[:3], [0.0, 0.75, 0.625])
    assert math.isnan(found.value_I[3])
    assert gini(np.ones((1, 4000))).control_I[0] == pytest.approx(1 / 3, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=12))
def test_spearman_is_that_of_scipy(rows: list[tuple[int, int]]) -> None:
    a, b = (np.array([column], float) for column in zip(*rows, strict=True))
    found = spearman(a, b)[0]
    if len(set(a[0])) == 1 or len(set(b[0])) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a[0], b[0]).statistic)


def test_a_map_that_ignores_the_model_fails_the_randomisation_check() -> None:
    rng = np.random.default_rng(0)
    maps, other = rng.normal(size=(50, 40)), rng.normal(size=(50, 40))
    assert randomisation_check(maps, maps).mean == pytest.approx(1.0)
    assert randomisation_check(maps, maps).margin_se < -10
    assert abs(randomisation_check(maps, other).margin_se) < 3


def test_kept_sets_by_hand() -> None:
    order = np.array([2, 0, 1])
    deleted = kept_sets(order, "deletion", 3)
    assert deleted.astype(int).tolist() == [[1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert np.array_equal(kept_sets(order, "insertion", 3), ~deleted)
    assert kept_sets(order, "insertion", 1).sum(1).tolist() == [0, 3]


def test_areas_of_an_additive_model_by_hand() -> None:
    score, values = linear([3.0, 0.0, 1.0]), np.array([3.0, 0.0, 1.0])
    # deletion, best first: 4, 1, 0, 0 -> trapezoids of width 1/3
    assert perturbation_auc(score, values, "deletion", steps=3).value == pytest.approx(3 / 3)
    # insertion: 0, 3, 4, 4
    assert perturbation_auc(score, values, "insertion", steps=3).value == pytest.approx(9 / 3)
    many = perturbation_auc(score, values, "deletion", steps=3, draws=2000)
    assert many.control == pytest.approx(2.0, abs=0.05)  # any order: half of the full score


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7), st.integers(0, 999))
def test_no_order_deletes_faster_than_the_true_one(weights: list[float], seed: int) -> None:
    found = perturbation_auc(
        linear(weights), np.array(weights), "deletion", steps=len(weights), seed=seed
    )
    assert found.value <= found.control + 1e-9


def test_single_deletion_of_an_additive_model_is_perfect() -> None:
    weights = [2.0, -1.0, 0.5, 3.0, 0.0]
    assert single_deletion(linear(weights), np.array(weights)).value == pytest.approx(1.0)
    assert single_deletion(linear(weights), -np.array(weights)).value == pytest.approx(-1.0)
    many = single_deletion(linear(weights), np.array(weights), draws=3000)
    assert many.control == pytest.approx(0.0, abs=0.05)
    assert math.isnan(single_deletion(linear([1.0, 2.0]), np.array([1.0, 2.0])).value)
    assert math.isnan(single_deletion(linear(weights), np.ones(5)).value)


def test_sensitivity_by_hand() -> None:
    doubled = max_sensitivity(lambda x: 2 * x, np.array([10.0, -10.0]), radius=1.0, samples=200)
    # the largest change of 2x is 2 * sqrt(2) for a noise of 1 in both entries; |E| = 20 sqrt(2)
    assert doubled.value == pytest.approx(0.1, abs=0.01)
    assert doubled.control == pytest.approx(2.0)  # the two entries change places
    constant = max_sensitivity(lambda x: np.ones(4), np.zeros(3), radius=0.5)
    assert constant.value == 0.0
    clipped = max_sensitivity(lambda x: x, np.zeros(3) + 1, radius=5.0, bounds=(1.0, 1.0))
    assert clipped.value == 0.0
    assert math.isnan(max_sensitivity(lambda x: 0 * x, np.ones(2), radius=1.0).value)


def test_results_are_seeded_and_settings_checked() -> None:
    score, values = linear([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    again = [perturbation_auc(score, values, "deletion", seed=7) for _ in range(2)]
    assert again[0] == again[1]
    pair = gather(again, "lower")
    assert pair.value_I.tolist() == [again[0].value] * 2
    assert gather([], "lower").cases == 0
    with pytest.raises(ConfigError, match="a feature"):
        perturbation_auc(score, np.zeros(0), "deletion")
    with pytest.raises(ConfigError, match="radius"):
        max_sensitivity(lambda x: x, np.ones(1), radius=0.0)
