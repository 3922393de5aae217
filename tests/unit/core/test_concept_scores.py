"""AUC and IoU of concepts: hand-computed values, and a slow reference on random data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import roc_auc_score

from core.concept_scores import Ranks, auc, best_iou, iou_at

SCORES = np.array([[0.0, 2.0], [0.0, 1.0], [3.0, 1.0], [1.0, 0.0]])  # [M, N]
TRUTH = np.array([[True, False], [False, False], [True, False], [False, False]])


def test_auc_counts_ties_as_one_half_and_leaves_out_what_is_nowhere() -> None:
    # concept 0: pairs (0 vs 0: 1/2), (0 vs 1: 0), (3 vs 0: 1), (3 vs 1: 1) -> 2.5 / 4
    # concept 1: (2 vs 1: 1), (2 vs 0: 1), (1 vs 1: 1/2), (1 vs 0: 1) -> 3.5 / 4
    for scores in (SCORES, sparse.csr_array(SCORES)):
        found = auc(scores, TRUTH)
        assert found[:, 0].tolist() == [0.625, 0.875]
        assert np.isnan(found[:, 1]).all()


def test_the_best_threshold_lies_midway_and_marks_what_is_above_it() -> None:
    iou, threshold = best_iou(sparse.csr_array(SCORES), TRUTH)
    # concept 0: {2} -> 1/2, {2, 3} -> 1/3; concept 1: {0} -> 1/2, {0, 1, 2} -> 2/3
    assert iou[:, 0].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert threshold[:, 0].tolist() == [2.0, 0.5]
    assert iou_at(SCORES, TRUTH, threshold)[:, 0].tolist() == pytest.approx([1 / 2, 2 / 3])


def test_a_concept_that_never_fires_marks_nothing() -> None:
    iou, threshold = best_iou(sparse.csr_array((4, 1)), TRUTH)
    assert iou[0, 0] == 0.0
    assert np.isinf(threshold[0, 0])
    assert auc(sparse.csr_array((4, 1)), TRUTH)[0, 0] == 0.5


def test_dense_scores_may_be_negative_and_sparse_ones_not() -> None:
    negative = -np.array([[1.0], [5.0], [2.0], [6.0]])
    assert auc(negative, TRUTH)[0, 0] == 1.0
    iou, threshold = best_iou(negative, TRUTH)
    assert (iou[0, 0], threshold[0, 0]) == (1.0, -3.5)
    with pytest.raises(ValueError, match="negative"):
        auc(sparse.csr_array(negative), TRUTH)


def test_sizes_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        auc(SCORES[:3], TRUTH)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), places=st.integers(3, 40))
def test_fast_equals_slow(seed: int, places: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.maximum(rng.integers(-3, 4, (places, 3)), 0).astype(float)
    truth = rng.random((places, 2)) < 0.4
    truth[0], truth[1] = True, False
    packed = sparse.csr_array(scores)
    expected = [[roc_auc_score(truth[:, t], scores[:, n]) for t in range(2)] for n in range(3)]
    np.testing.assert_allclose(auc(packed, truth), expected)
    np.testing.assert_allclose(auc(scores, truth), expected)
    np.testing.assert_allclose(Ranks.of(packed).auc(truth), expected)
    iou, threshold = best_iou(packed, truth)
    np.testing.assert_allclose(iou_at(packed, truth, threshold), iou)
    for n in range(3):
        for t in range(2):
            tried = [_iou(scores[:, n] > level, truth[:, t]) for level in (0.0, 0.5, 1.5, 2.5)]
            assert iou[n, t] == pytest.approx(max(tried))


def _iou(marked: np.ndarray, true: np.ndarray) -> float:
    return float((marked & true).sum() / max((marked | true).sum(), 1))
