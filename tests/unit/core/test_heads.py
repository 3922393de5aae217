import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.heads import LinearHead, _best_c, fit_head, pool, read_pooling
from tests.unit.core.tiny import head_of

FINITE = st.floats(-50, 50, width=32)


def separable(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative codes [60, 8] in which concept k fires for class k."""
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % classes
    codes = np.abs(rng.normal(size=(60, 8))) * 0.3
    codes[np.arange(60), labels] += 2
    return codes.astype(np.float32), labels


def test_logits_by_hand() -> None:
    head = head_of([[1, 2], [0, -1]], [0.5, 0.0])
    assert head.logits(np.array([[3.0, 4.0]])).tolist() == [[11.5, -4.0]]
    assert head.contributions(np.array([3.0, 4.0]), 0).tolist() == [3.0, 8.0]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (3, 7), elements=FINITE),
    arrays(np.float32, 3, elements=FINITE),
    arrays(np.float16, 7, elements=st.floats(0, 100, width=16)),
)
def test_contributions_and_bias_sum_to_the_logit_of_every_class(
    weight_CN: np.ndarray, bias_C: np.ndarray, pooled_N: np.ndarray
) -> None:
    head = LinearHead(weight_CN, bias_C, ("a", "b", "c"))
    logits_C = head.logits(pooled_N[None])[0]
    for c in range(3):
        total = head.contributions(pooled_N, c).sum() + float(bias_C[c])
        assert total == pytest.approx(logits_C[c], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_fit_separates_and_has_a_row_per_class(classes: int) -> None:
    codes, labels = separable(classes)
    head = fit_head(codes, labels, "abc"[:classes])
    assert head.weight_CN.shape == (classes, 8)
    assert (head.logits(codes).argmax(1) == labels).mean() > 0.95


def test_two_classes_mirror_each_other() -> None:
    codes, labels = separable(2)
    head = fit_head(codes, labels, ("a", "b"), c=1.0)
    assert np.array_equal(head.weight_CN[0], -head.weight_CN[1])
    assert head.bias_C[0] == -head.bias_C[1]


def test_sparse_and_dense_codes_give_the_same_head() -> None:
    codes, labels = separable(3)
    dense, sparse = (fit_head(x, labels, "abc", c=1.0) for x in (codes, csr_array(codes)))
    np.testing.assert_allclose(dense.weight_CN, sparse.weight_CN, rtol=1e-5)
    np.testing.assert_allclose(dense.logits(codes), sparse.logits(csr_array(codes)), rtol=1e-5)


def test_fit_is_deterministic_and_the_penalty_ignores_the_scale_of_the_codes() -> None:
    codes, labels = separable(3)
    one, again = (fit_head(codes, labels, "abc", seed=3) for _ in range(2))
    assert np.array_equal(one.weight_CN, again.weight_CN)
    big = fit_head(codes * 100, labels, "abc", c=1.0)
    small = fit_head(codes, labels, "abc", c=1.0)
    np.testing.assert_allclose(big.logits(codes * 100), small.logits(codes), atol=1e-3)


def test_weights_of_zero_take_cases_out() -> None:
    codes, labels = separable(2)
    wrong = np.concatenate((labels, 1 - labels[:20]))
    weight = np.concatenate((np.ones(60), np.zeros(20)))
    both = fit_head(
        np.concatenate((codes, codes[:20])), wrong, ("a", "b"), c=1.0, sample_weight=weight
    )
    assert (both.logits(codes).argmax(1) == labels).mean() > 0.95


def test_all_zero_codes_fit_and_fall_back_to_the_bias() -> None:
    labels = np.array([0, 0, 0, 1])
    head = fit_head(np.zeros((4, 3)), labels, ("a", "b"), c=1.0)
    assert head.logits(np.zeros((1, 3))).argmax() == 0


def test_a_class_without_cases_is_named() -> None:
    codes, labels = separable(2)
    with pytest.raises(ConfigError, match="'crack'"):
        fit_head(codes, labels, ("a", "b", "crack"))


def test_a_class_whose_cases_all_weigh_nothing_is_named() -> None:
    codes, labels = separable(2)
    with pytest.raises(ConfigError, match="'b'"):
        fit_head(codes, labels, ("a", "b"), sample_weight=(labels == 0).astype(float))


@pytest.mark.parametrize("c", [0.0, -1.0])
def test_a_penalty_that_is_not_positive_is_refused(c: float) -> None:
    codes, labels = separable(2)
    with pytest.raises(ConfigError, match="positive"):
        fit_head(codes, labels, ("a", "b"), c=c)


def test_a_head_refuses_codes_of_another_dictionary() -> None:
    with pytest.raises(ConfigError, match="3 concepts"):
        head_of([[1, 2], [0, -1]], [0, 0]).logits(np.zeros((1, 3)))


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_bad_sample_weights_are_refused(weight: float) -> None:
    codes, labels = separable(2)
    with pytest.raises(ConfigError, match="sample weights"):
        fit_head(codes, labels, ("a", "b"), sample_weight=np.full(60, weight))


def test_temperature_softens_without_changing_the_order() -> None:
    head = head_of([[1.0], [0.0]], [0, 0])
    sure, soft = head.probabilities([[4.0]])[0], head.with_temperature(4).probabilities([[4.0]])[0]
    assert sure[0] > soft[0] > 0.5
    assert soft[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_cautious_penalty_is_the_strongest_within_one_standard_error() -> None:
    grid = (0.1, 1.0, 10.0)
    # Means 2.15, 2.0, 1.9; the best row's standard error is std(1.6, 2.2, ddof=1) / sqrt(2) = 0.3.
    loss_CF = np.array([[2.05, 2.25], [1.9, 2.1], [1.6, 2.2]])
    assert _best_c(grid, loss_CF, cautious=False) == 10.0
    assert _best_c(grid, loss_CF, cautious=True) == 0.1
    loss_CF[0] += 0.2
    assert _best_c(grid, loss_CF, cautious=True) == 1.0


def test_pooling_by_hand() -> None:
    acts_PN = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    assert pool(acts_PN, "max").tolist() == [3.0, 2.0]
    assert pool(acts_PN, "mean").tolist() == pytest.approx([4 / 3, 2 / 3])
    both = torch.stack((acts_PN, 2 * acts_PN))
    assert torch.equal(pool(both, "max")[1], 2 * pool(acts_PN, "max"))


def test_a_head_knows_its_pooling() -> None:
    codes, labels = separable(2)
    assert fit_head(codes, labels, "ab", c=1.0).pooling == "max"
    mean = fit_head(codes, labels, "ab", c=1.0, pooling="mean")
    assert mean.with_temperature(2.0).pooling == "mean"
    assert read_pooling("mean") == "mean"
    with pytest.raises(ConfigError, match="cannot be pooled by 'sum'"):
        LinearHead(np.zeros((2, 1), np.float32), np.zeros(2, np.float32), ("a", "b"),
                   pooling="sum")  # type: ignore[arg-type]  # fmt: skip
