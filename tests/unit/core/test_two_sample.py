"""Both statistics against slow references; the p of the whole holds and finds."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge

from core.errors import ConfigError
from core.two_sample import RIDGE, auc, scaled, two_sample


def test_energy_by_hand() -> None:
    # Two points at 0, two at 3: 2 * 3 - 0 - 0.
    found = two_sample(np.array([[0.0], [0.0], [3.0], [3.0]]), np.array([0, 0, 1, 1]), deals=19)
    assert found.energy == pytest.approx(6.0)
    assert found.told_apart == 1.0


def test_energy_as_defined() -> None:
    rng = np.random.default_rng(0)
    values, group = rng.random((12, 3)), np.arange(12) < 5
    x, y = values[group], values[~group]

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[np.linalg.norm(p - q) for q in b] for p in a]))

    known = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    assert two_sample(values, group, deals=19).energy == pytest.approx(known)


def test_scores_are_those_of_ridge_fits_without_the_row() -> None:
    rng = np.random.default_rng(1)
    values, group = rng.random((14, 4)), np.arange(14) % 3 == 0
    found = two_sample(values, group, deals=19)
    centred = values - values.mean(0)
    penalty = RIDGE * (centred**2).sum() / 14
    target = group - group.mean()
    for row in range(14):
        rest = np.arange(14) != row
        model = Ridge(alpha=penalty, fit_intercept=False).fit(centred[rest], target[rest])
        assert found.witness_I[row] == pytest.approx(model.predict(centred[[row]])[0])
    assert found.told_apart == auc(found.witness_I, group)


def test_auc_by_hand() -> None:
    assert auc(np.array([1, 2, 2, 3]), np.array([0, 1, 0, 1])) == pytest.approx(3.5 / 4)


def test_columns_on_comparable_scales() -> None:
    values = np.array([[0.0, 0, 0], [0, 100, 0], [2, 0, 0], [2, 100, 0]])
    found = scaled(values).toarray()
    assert found[:, 2].tolist() == [0, 0, 0, 0]
    assert found[3, 0] == pytest.approx(2 / (1 + 0.3 * 25.5))
    assert found[3, 1] == pytest.approx(100 / (50 + 0.3 * 25.5))


def test_false_alarms_are_as_rare_as_stated() -> None:
    # 120 checks of nothing at the level .1: 12 expected, 25 would be one in ten thousand.
    below = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        values = np.maximum(rng.normal(0, 1, (40, 8)), 0)
        below += two_sample(values, np.arange(40) < 12, deals=39, seed=seed).p <= 0.1
    assert 1 <= below <= 24


@pytest.mark.parametrize(
    ("what", "seen_by"),
    [("many small shifts", "discriminant_p"), ("spread", "energy_p")],
)
def test_each_statistic_sees_what_the_other_misses(what: str, seen_by: str) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, (160, 40)) + 3 * rng.normal(0, 1, (160, 1))  # strongly correlated
    group = np.arange(160) < 60
    if what == "many small shifts":
        values[group] += np.where(np.arange(40) % 2, 0.35, -0.35)
    else:
        values[group] *= 2.5
    found = two_sample(values, group, deals=199)
    other = "energy_p" if seen_by == "discriminant_p" else "discriminant_p"
    assert getattr(found, seen_by) <= 0.01
    assert getattr(found, other) > 0.05
    assert found.p <= 0.02


def test_sides_that_swap_within_strata_are_seen_there_only() -> None:
    rng = np.random.default_rng(5)
    label, new = np.arange(200) % 2, np.arange(200) < 80
    values = rng.normal(0, 1, (200, 3))
    values[:, 0] += 2.0 * ((label == 1) ^ new)
    assert two_sample(values, new, deals=99).p > 0.05
    assert two_sample(values, new, label, deals=99).p == pytest.approx(0.01)


def test_a_stratum_of_one_side_says_nothing() -> None:
    rng = np.random.default_rng(6)
    values, group = rng.random((30, 4)), np.arange(30) < 10
    stratum = np.append(np.zeros(24), np.ones(6))
    found = two_sample(values, group, stratum, deals=19)
    assert np.isnan(found.witness_I[24:]).all()
    assert found.energy == pytest.approx(two_sample(values[:24], group[:24], deals=19).energy)
    with pytest.raises(ConfigError, match="two rows"):
        two_sample(values, group, group)


def test_rows_that_are_all_alike_do_not_differ() -> None:
    found = two_sample(csr_array(np.ones((10, 3))), np.arange(10) < 4, deals=19)
    assert (found.p, found.energy, found.told_apart) == (1.0, 0.0, 0.5)
