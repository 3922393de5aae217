"""The fast solver against scikit-learn (the slow reference), by hand, and its invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse import random as random_sparse
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from core import refit_kernels as kernels
from core.errors import ConfigError
from core.refit import Fitted, _Problem, adaptive_ridge, fit_weighted
from core.refit_kernels import BLOCKS, Rows


def problem(classes: int, seed: int = 0, cases: int = 400, concepts: int = 30):
    """Sparse codes, labels that follow planted weights, case weights."""
    rng = np.random.default_rng(seed)
    codes = csr_array(random_sparse(cases, concepts, density=0.2, random_state=seed, format="csr"))
    codes.data *= rng.lognormal(0, 1, codes.nnz)
    planted = rng.normal(size=(classes, concepts))
    labels = (codes @ planted.T + rng.gumbel(size=(cases, classes))).argmax(axis=1)
    return codes, labels, rng.random(cases) + 0.1


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weights_are_those_of_scikit_learn(classes: int) -> None:
    codes, labels, weight = problem(classes)
    found = fit_weighted(codes, labels, classes, weight_I=weight, ridge=0.5, tolerance=1e-8)
    model = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000)
    model.fit(codes, labels, sample_weight=weight)
    expected = model.coef_ if classes > 2 else np.vstack((-model.coef_ / 2, model.coef_ / 2))
    assert found.converged
    # Codes are read as float32.
    np.testing.assert_allclose(found.weight_CN, expected, atol=2e-4)


def test_one_case_of_each_class_by_hand() -> None:
    """Codes 1 and -1, ridge 1: w solves w = 2 / (1 + exp(w)), so w = 0.6748..."""
    found = fit_weighted(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, ridge=1.0, tolerance=1e-9)
    w = found.weight_CN[1, 0] - found.weight_CN[0, 0]
    assert w == pytest.approx(2 / (1 + np.exp(w)), abs=1e-6)
    assert found.bias_C == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 7])  # up to four have a kernel of their own
def test_the_loss_of_the_kernels_is_that_of_dense_numpy(classes: int) -> None:
    codes, labels, weight = problem(classes)
    rng = np.random.default_rng(1)
    weight_NC, bias_C = rng.normal(size=(30, classes)), rng.normal(size=classes)
    rows = Rows.of(codes, labels, weight)
    loss, slope_NC, slope_C = kernels.multinomial(rows, weight_NC, bias_C)
    log_IC = log_softmax(codes.toarray() @ weight_NC + bias_C, axis=1)
    error_IC = weight[:, None] * (np.exp(log_IC) - np.eye(classes)[labels])
    assert loss == pytest.approx(-(weight * log_IC[np.arange(400), labels]).sum(), rel=1e-6)
    np.testing.assert_allclose(slope_NC, codes.toarray().T @ error_IC, atol=1e-4)
    np.testing.assert_allclose(slope_C, error_IC.sum(axis=0), atol=1e-5)


def test_two_classes_are_the_multinomial_with_the_difference_of_rows() -> None:
    codes, labels, weight = problem(2)
    rows = Rows.of(codes, labels, weight)
    rng = np.random.default_rng(2)
    w, b = rng.normal(size=30), 0.3
    loss, slope_N, slope = kernels.binary(rows, w, b)
    pair_NC = np.stack((np.zeros(30), w), axis=1)
    same, slope_NC, slope_C = kernels.multinomial(rows, pair_NC, np.array([0.0, b]))
    assert loss == pytest.approx(same, rel=1e-12)
    np.testing.assert_allclose(slope_N, slope_NC[:, 1], atol=1e-12)
    assert slope == pytest.approx(slope_C[1], abs=1e-12)


def test_far_logits_do_not_overflow() -> None:
    rows = Rows.of(csr_array(np.array([[1.0], [1.0]])), np.array([0, 1]), np.ones(2))
    loss, slope_N, _ = kernels.binary(rows, np.array([2000.0]), 0.0)
    assert loss == pytest.approx(2000.0)
    assert slope_N == pytest.approx([1.0])


def test_blocks_cover_every_row_once() -> None:
    rows = Rows.of(csr_array(np.ones((5, 2))), np.zeros(5, int), np.ones(5))
    assert len(rows.cuts) == BLOCKS + 1
    assert (rows.cuts[0], rows.cuts[-1]) == (0, 5)
    assert list(rows.cuts) == sorted(rows.cuts)
    once_CN, twice_N = kernels.moments(rows, 1)
    np.testing.assert_allclose(once_CN, [[5.0, 5.0]])
    np.testing.assert_allclose(twice_N, [5.0, 5.0])


def test_moments_are_weighted_sums_by_hand() -> None:
    codes = csr_array(np.array([[2.0, 0.0], [4.0, 3.0]]))
    once_CN, twice_N = kernels.moments(Rows.of(codes, np.array([0, 1]), np.array([1.0, 0.5])), 2)
    np.testing.assert_allclose(once_CN, [[2.0, 0.0], [2.0, 1.5]])
    np.testing.assert_allclose(twice_N, [12.0, 4.5])


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_without_weights_the_sums_by_class_tell_what_a_pass_over_the_rows_does(
    classes: int, erased: bool
) -> None:
    codes, labels, weight = problem(classes)
    erase_VN = np.eye(30)[:2] if erased else None
    rows = Rows.of(codes, labels, weight)
    count = 1 if classes == 2 else classes
    asked = _Problem.of(rows, np.ones((count, 30)), None, erase_VN, classes)
    bias_K = np.random.default_rng(3).normal(size=count)
    short = asked.value(np.zeros((count, 30)), bias_K)
    passed = asked.value(np.full((count, 30), 1e-14), bias_K)
    for found, expected in zip(short, passed, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_codes_that_are_never_zero_take_no_more_rounds(classes: int) -> None:
    """Codes far from zero pull every weight at the bias; the solver centres them, the minimum is
    the one of the codes as they are."""
    codes, labels, weight = problem(classes)
    far = codes.toarray() + 5.0
    near = fit_weighted(codes, labels, classes, weight_I=weight, ridge=0.5)
    found = fit_weighted(far, labels, classes, weight_I=weight, ridge=0.5, tolerance=1e-6)
    np.testing.assert_allclose(found.weight_CN, near.weight_CN, atol=2e-3)
    expected = near.bias_C - 5.0 * near.weight_CN.sum(axis=1)
    np.testing.assert_allclose(found.bias_C, expected - expected.mean(), atol=5e-2)
    quick = fit_weighted(far, labels, classes, weight_I=weight, ridge=0.5)
    assert quick.rounds <= near.rounds + 2


@pytest.mark.parametrize("classes", [2, 3])
def test_without_weights_the_bias_is_that_of_the_shares(classes: int) -> None:
    codes, labels, weight = problem(classes)
    found = fit_weighted(codes, labels, classes, weight_I=weight, ridge=1e9, tolerance=1e-9)
    share = np.log(np.bincount(labels, weights=weight))
    np.testing.assert_allclose(found.bias_C, share - share.mean(), atol=1e-3)


def test_a_class_with_next_to_no_weight_is_fitted_all_the_same() -> None:
    codes, labels, weight = problem(3)
    weight[labels == 2] = 1e-6
    found = fit_weighted(codes, labels, 3, weight_I=weight, tolerance=1e-7)
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=20_000)
    model.fit(codes, labels, sample_weight=weight)
    assert found.converged
    np.testing.assert_allclose(found.weight_CN, model.coef_, atol=5e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_a_weight_counts_like_copies_of_its_case(seed: int, times: int) -> None:
    codes, labels, _ = problem(3, seed % 7, cases=60, concepts=8)
    labels[:3] = (0, 1, 2)
    weight = np.ones(60)
    weight[seed % 60] = times
    index = np.repeat(np.arange(60), weight.astype(int))
    heavy = fit_weighted(codes, labels, 3, weight_I=weight, tolerance=1e-8)
    copied = fit_weighted(codes[index], labels[index], 3, tolerance=1e-8)
    np.testing.assert_allclose(heavy.weight_CN, copied.weight_CN, atol=1e-4)


def test_a_penalty_of_one_concept_shrinks_it_alone() -> None:
    codes, labels, _ = problem(3)
    plain = fit_weighted(codes, labels, 3)
    ridge = np.ones(30)
    ridge[4] = 1e8
    found = fit_weighted(codes, labels, 3, ridge=ridge)
    assert np.abs(found.weight_CN[:, 4]).max() < 1e-5 < np.abs(plain.weight_CN[:, 4]).max()
    assert np.abs(found.weight_CN[:, 5]).max() > 1e-2


def test_l1_gives_exact_zeros_and_the_optimality_conditions_hold() -> None:
    codes, labels, weight = problem(2)
    lasso = np.full(30, 4.0)
    found = fit_weighted(codes, labels, 2, weight_I=weight, ridge=1e-6, lasso=lasso, tolerance=1e-8)
    w = found.weight_CN[1] - found.weight_CN[0]
    rows = Rows.of(codes, labels, weight)
    _, slope_N, _ = kernels.binary(rows, w, found.bias_C[1] - found.bias_C[0])
    assert 0 < (w == 0).sum() < 30
    assert (np.abs(slope_N[w == 0]) <= 4.0 + 1e-3).all()
    np.testing.assert_allclose(slope_N[w != 0], -4.0 * np.sign(w[w != 0]), atol=1e-2)


def test_erased_directions_are_those_of_projected_codes() -> None:
    codes, labels, weight = problem(3)
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(30, 2)))
    erased = basis.T
    found = fit_weighted(codes, labels, 3, weight_I=weight, erase_VN=erased, tolerance=1e-8)
    np.testing.assert_allclose(found.weight_CN @ erased.T, 0.0, atol=1e-9)
    projected = codes.toarray() - codes.toarray() @ erased.T @ erased
    slow = fit_weighted(projected, labels, 3, weight_I=weight, tolerance=1e-8)
    np.testing.assert_allclose(
        codes @ found.weight_CN.T + found.bias_C,
        projected @ slow.weight_CN.T + slow.bias_C,
        atol=1e-3,
    )


def test_a_warm_start_ends_in_the_same_place_sooner() -> None:
    codes, labels, weight = problem(3)
    cold = fit_weighted(codes, labels, 3, weight_I=weight, tolerance=1e-7)
    warm = fit_weighted(codes, labels, 3, weight_I=weight, start=cold, tolerance=1e-7)
    assert warm.rounds < cold.rounds
    np.testing.assert_allclose(warm.weight_CN, cold.weight_CN, atol=1e-4)
    assert warm.rounds <= 2  # the bias of the codes as they are is found again, centred


def test_adaptive_ridge_empties_priced_concepts_that_do_not_pay() -> None:
    codes, labels, _ = problem(3)
    extra = np.zeros(30)
    extra[:15] = 50.0
    plain = fit_weighted(codes, labels, 3)
    found = adaptive_ridge(codes, labels, 3, ridge=1.0, extra=extra)
    assert np.abs(found.weight_CN[:, :15]).max() < 0.05 * np.abs(plain.weight_CN[:, :15]).max()
    same = adaptive_ridge(codes, labels, 3, ridge=1.0, extra=np.zeros(30))
    np.testing.assert_allclose(same.weight_CN, plain.weight_CN, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_threads_do_not_change_a_bit(classes: int) -> None:
    codes, labels, weight = problem(classes)
    alone = fit_weighted(codes, labels, classes, weight_I=weight, threads=1)
    together = fit_weighted(codes, labels, classes, weight_I=weight, threads=4)
    assert (alone.weight_CN == together.weight_CN).all()
    assert (alone.bias_C == together.bias_C).all()


class Stopped(Exception):
    """What a caller raises to stop a fit."""


def test_a_fit_can_be_stopped() -> None:
    codes, labels, _ = problem(3)

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        fit_weighted(codes, labels, 3, should_stop=stop)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels_I": np.zeros(3, int)}, "do not fit"),
        ({"labels_I": np.full(400, 5)}, "outside"),
        ({"classes": 1}, "two classes"),
        ({"weight_I": np.zeros(400)}, "zero"),
        ({"weight_I": np.full(400, -1.0)}, "finite number"),
        ({"ridge": 0.0}, "greater than 0"),
        ({"ridge": np.ones(7)}, "do not fit"),
        ({"lasso": np.ones(7)}, "per concept"),
        ({"erase_VN": np.ones((1, 30))}, "orthonormal"),
        ({"erase_VN": np.eye(7)}, "do not fit"),
        ({"erase_VN": np.eye(30)[:1], "lasso": np.ones(30)}, "together"),
        ({"start": Fitted(np.zeros((3, 2)), np.zeros(3), 0.0, 0, True)}, "another number"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, words: str) -> None:
    codes, labels, _ = problem(3)
    given = {"codes_IN": codes, "labels_I": labels, "classes": 3, **change}
    with pytest.raises(ConfigError, match=words):
        fit_weighted(**given)


def test_prices_below_zero_are_refused() -> None:
    codes, labels, _ = problem(3)
    with pytest.raises(ConfigError, match="at least 0"):
        adaptive_ridge(codes, labels, 3, ridge=1.0, extra=np.full(30, -1.0))
