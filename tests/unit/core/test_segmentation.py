import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.codes import Codes
from core.errors import ConfigError
from core.segmentation import (
    BACKGROUND,
    PatchLogits,
    TextSegmenter,
    best_threshold,
    independent_masks,
    segment,
    upsample,
)
from core.zero_shot import ClassTexts
from tests.unit.core.test_zero_shot import random_parts

TWO = ClassTexts(("left", "right"), np.eye(2))


def logits_of(rows: list[list[float]]) -> PatchLogits:
    logit = np.array(rows)
    return PatchLogits(("left", "right"), logit, np.zeros_like(logit), np.ones(len(rows)))


def test_logits_by_hand() -> None:
    segmenter = TextSegmenter(np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([0.0, 3.0]), TWO)
    # patch 0: x^ = (3, 4), length 5; patch 1: silent, x^ = (0, 3)
    found = segmenter.logits(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found.logit_PC, [[0.6, 0.8], [0.0, 1.0]])
    np.testing.assert_allclose(found.bias_PC, [[0.0, 0.6], [0.0, 1.0]])
    np.testing.assert_allclose(found.length_P, [5, 3])
    shares = segmenter.contributions(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), 1).toarray()
    np.testing.assert_allclose(shares, [[0.0, 0.2], [0.0, 0.0]])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), gap=st.booleans())
def test_contributions_and_bias_sum_to_the_logit_of_every_patch(seed: int, gap: bool) -> None:
    decoder, bias, texts, acts_PN = random_parts(seed)
    mean = np.random.default_rng(seed + 1).normal(size=5) if gap else None
    segmenter = TextSegmenter(decoder, bias, texts, mean)
    found = segmenter.logits(acts_PN)
    for c in range(3):
        total_P = segmenter.contributions(acts_PN, c).sum(1) + found.bias_PC[:, c]
        np.testing.assert_allclose(total_P, found.logit_PC[:, c], atol=1e-9)
    assert (np.abs(found.logit_PC) <= 1 + 1e-9).all()


def test_slow_reference_and_codes_agree() -> None:
    decoder, bias, texts, acts_PN = random_parts(3)
    fast = TextSegmenter(decoder, bias, texts).logits(acts_PN).logit_PC
    tokens_PD = acts_PN.numpy() @ decoder + bias
    for p, token in enumerate(tokens_PD):
        slow = [token @ text / np.linalg.norm(token) for text in texts.text_CD]
        np.testing.assert_allclose(fast[p], slow, atol=1e-12)
    codes = Codes.from_dense(acts_PN.half().float())
    from_codes = TextSegmenter(decoder, bias, texts).logits(codes.csr()).logit_PC
    np.testing.assert_allclose(from_codes, fast, atol=2e-3)


def test_upsampling_keeps_patch_centres_and_interpolates_between() -> None:
    large = upsample(np.array([[0.0], [1.0]]), (1, 2), (1, 4))
    np.testing.assert_allclose(large, [[[0.0, 0.25, 0.75, 1.0]]])
    with pytest.raises(ConfigError, match="do not fit a grid"):
        upsample(np.zeros((3, 1)), (2, 2), (4, 4))


def test_the_largest_logit_wins_and_the_rest_is_background() -> None:
    logits = logits_of([[0.9, 0.1], [0.1, 0.3]])
    assert segment(logits, (1, 2), (1, 2)).labels_HW.tolist() == [[0, 1]]
    strict = segment(logits, (1, 2), (1, 2), threshold=0.5)
    assert strict.labels_HW.tolist() == [[0, BACKGROUND]]
    assert strict.mask(0).tolist() == [[True, False]]
    without = segment(logits, (1, 2), (1, 2), background=("left",))
    assert without.labels_HW.tolist() == [[BACKGROUND, 1]]
    with pytest.raises(ConfigError, match="'sky' is not one"):
        segment(logits, (1, 2), (1, 2), background=("sky",))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_labels_are_the_arg_max_of_all_enlarged_logits(seed: int) -> None:
    logit = np.random.default_rng(seed).normal(size=(6, 4))
    logits = PatchLogits(("a", "b", "c", "d"), logit, np.zeros((6, 4)), np.ones(6))
    found = segment(logits, (2, 3), (7, 11))
    large_CHW = upsample(logit, (2, 3), (7, 11))
    assert np.array_equal(found.labels_HW, large_CHW.argmax(0))
    assert np.array_equal(found.score_HW, large_CHW.max(0))


def test_independent_masks_may_overlap() -> None:
    masks = independent_masks(logits_of([[0.9, 0.6], [0.1, 0.3]]), (1, 2), (1, 2), [0.5, 0.3])
    assert masks.tolist() == [[[True, False]], [[True, True]]]


def test_best_threshold_by_hand() -> None:
    assert best_threshold(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])) == (
        1.0, pytest.approx(2 / 3),
    )  # fmt: skip
    assert best_threshold(np.array([3.0, 2.0]), np.array([True, False])) == (3.0, 1.0)
    assert best_threshold(np.array([1.0]), np.array([False])) == (float("inf"), 0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_best_threshold_is_the_best_of_all(rows: list[tuple[int, bool]]) -> None:
    score, truth = (np.array(column) for column in zip(*rows, strict=True))
    cut, value = best_threshold(score, truth)
    slow = [((score >= t) & truth).sum() / ((score >= t) | truth).sum() for t in set(score)]
    assert value == pytest.approx(max(slow))
    if truth.any():
        shown = score >= cut
        assert (shown & truth).sum() / (shown | truth).sum() == pytest.approx(value)


def test_dimensions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="dimension"):
        TextSegmenter(np.zeros((2, 3)), np.zeros(3), TWO)
