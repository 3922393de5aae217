"""Mann-Whitney over sparse columns: known values, a slow reference, and tails that hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.rank_shift import rank_shift


def test_three_against_three_by_hand() -> None:
    # Ranks of the group: 4, 5, 6: U = 9 of 9 pairs. All zeros elsewhere: nothing to say.
    values = np.array([[1, 0], [2, 0], [3, 0], [4, 0], [5, 0], [6, 0.0]])
    found = rank_shift(csr_array(values), np.array([0, 0, 0, 1, 1, 1]))
    assert found.superiority.tolist() == [1.0, 0.5]
    assert found.fires.tolist() == [6, 0]
    assert found.p[1] == 1.0
    # Expected above zero in the smaller group: 3 < FEW, so only the count is compared: no shift.
    assert found.p[0] == 1.0


def test_a_rare_column_is_compared_by_its_count_exactly() -> None:
    values = np.zeros((30, 1))
    values[:4] = 1.0
    group = np.arange(30) < 6
    # All four firing rows are among the six: 1 / C(30, 4) * C(6, 4), two-sided twice.
    exact = 2 * math.comb(6, 4) / math.comb(30, 4)
    assert rank_shift(csr_array(values), group).p[0] == pytest.approx(exact)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_as_scipy_where_groups_are_alike_in_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(0.3, 1, (60, 4)), 0).round(1)  # many ties
    group = rng.permutation(60) < 30
    found = rank_shift(csr_array(values), group)
    for column in range(4):
        known = stats.mannwhitneyu(values[group, column], values[~group, column])
        assert found.superiority[column] == pytest.approx(known.statistic / 900)
        assert found.p[column] == pytest.approx(known.pvalue, abs=0.004)


def test_the_tail_of_unequal_groups_is_not_too_thin() -> None:
    # 40 of 1,020 rows fire; with 200 in the group 7.8 are expected there. The normal tail of 22
    # would be 2.5e-7; how often dealing really gives as much is the hypergeometric tail.
    values = np.zeros((1020, 1))
    fired = np.concatenate([np.arange(22), np.arange(300, 318)])
    values[fired, 0] = np.random.default_rng(0).permutation(40) + 1.0
    group = np.arange(1020) < 200
    p = rank_shift(csr_array(values), group).p[0]
    exact = 2 * stats.hypergeom.sf(21, 1020, 40, 200)
    assert exact / 3 < p < exact * 3


def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(1)
    values = csr_array(np.maximum(rng.normal(-1, 1, (300, 2000)), 0))  # one in six fires
    p = rank_shift(values, np.arange(300) < 60).p
    for level in (0.2, 0.05, 0.01):
        assert p[p > 0].size == 2000
        assert abs((p < level).mean() - level) < 4 * math.sqrt(level / 2000)


def test_strata_take_the_mix_of_labels_away() -> None:
    rng = np.random.default_rng(2)
    label = np.repeat([0, 1], 200)
    values = np.maximum(rng.normal(2.0 * label - 0.5, 1), 0)[:, None]
    new = np.concatenate([np.arange(200) < 40, np.arange(200) < 160])  # mostly of label 1
    assert rank_shift(csr_array(values), new).p[0] < 1e-6
    within = rank_shift(csr_array(values), new, label)
    assert within.p[0] > 0.05
    assert abs(within.superiority[0] - 0.5) < 0.07


def test_strata_of_one_side_are_left_out_and_many_weigh_as_one() -> None:
    rng = np.random.default_rng(3)
    values = csr_array(rng.random((80, 5)))
    group = np.arange(80) % 3 == 0
    plain = rank_shift(values, group)
    lone = rank_shift(
        csr_array(np.vstack([values.toarray(), rng.random((9, 5))])),
        np.append(group, np.zeros(9, bool)),
        np.append(np.zeros(80), np.ones(9)),
    )
    assert lone.superiority == pytest.approx(plain.superiority)
    assert lone.p == pytest.approx(plain.p)


@pytest.mark.parametrize(
    ("values", "group", "says"),
    [
        (np.ones((3, 1)), [1, 0], "do not fit"),
        (np.ones((2, 1)), [0, 0], "at least one row"),
        (-np.ones((2, 1)), [1, 0], "at least 0"),
        (np.full((2, 1), np.nan), [1, 0], "finite"),
    ],
)
def test_what_does_not_fit_is_refused(values: np.ndarray, group: list[int], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rank_shift(csr_array(values), np.array(group))


def test_strata_that_all_lie_on_one_side_are_refused() -> None:
    with pytest.raises(ConfigError, match="one side"):
        rank_shift(csr_array(np.ones((4, 1))), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
