"""Sparse counts beside the dense definition and the scipy product, and what they promise."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from core.cooccurrence import Cooccurrence, cooccurrence, strong_part, usual_maximum
from core.errors import ConfigError

Dense = NDArray[np.float64]


def scipy_counts(codes_MN: sparse.csr_array, patches: int) -> tuple[Dense, Dense, Dense]:
    """The slow reference: D, joint counts and patches per image by sparse products."""
    present_MN = codes_MN.sign()
    weight = (codes_MN.T @ present_MN).toarray()
    joint = (present_MN.T @ present_MN).toarray()
    images = present_MN.toarray().reshape(-1, patches, codes_MN.shape[1]).sum(axis=1)
    return weight, joint, images


def random_codes(rows: int, concepts: int, seed: int, dtype: type = np.float32) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((rows, concepts)) < 0.15, rng.exponential(size=(rows, concepts)), 0)
    return sparse.csr_array(dense.astype(dtype))


def same(a: Cooccurrence, b: Cooccurrence) -> bool:
    """Bit for bit."""
    pairs = ((a.weight_NN, b.weight_NN), (a.joint_NN, b.joint_NN), (a.images_IN, b.images_IN))
    return all(
        np.array_equal(x.indptr, y.indptr)
        and np.array_equal(x.indices, y.indices)
        and np.array_equal(x.data, y.data)
        for x, y in pairs
    )


def test_hand_counted() -> None:
    # Two images of two patches. Concept 0 fires with 1, 2, 4; concept 1 beside the 2 and alone.
    codes_MN = sparse.csr_array(np.array([[1, 0], [2, 5], [0, 3], [4, 0.0]]))
    counts = cooccurrence(codes_MN, 2)
    assert counts.weight_NN.toarray().tolist() == [[7, 2], [5, 8]]
    assert counts.joint_NN.toarray().tolist() == [[3, 1], [1, 2]]
    assert counts.images_IN.toarray().tolist() == [[2, 1], [1, 1]]
    assert counts.found_IN.toarray().tolist() == [[1, 1], [1, 1]]
    assert counts.patches_N.tolist() == [3, 2]
    assert counts.conditional_NN.toarray() == pytest.approx(np.array([[1, 2 / 7], [5 / 8, 1]]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("concepts", [3, 70])
def test_equals_the_scipy_product(concepts: int, dtype: type) -> None:
    codes_MN = random_codes(120, concepts, 1, dtype)
    counts = cooccurrence(codes_MN, 10)
    weight, joint, images = scipy_counts(codes_MN.astype(np.float64), 10)
    assert counts.weight_NN.toarray() == pytest.approx(weight)
    assert np.array_equal(counts.joint_NN.toarray(), joint)
    assert np.array_equal(counts.images_IN.toarray(), images)
    assert np.array_equal(counts.patches_N, joint.diagonal())


def test_the_number_of_threads_never_changes_a_bit() -> None:
    codes_MN = random_codes(400, 2100, 2)  # several tasks
    one, three = (cooccurrence(codes_MN, 8, 0.3, least=0.1, threads=t) for t in (1, 3))
    assert same(one, three)
    assert one.weight_NN.has_sorted_indices


@given(st.integers(0, 50), st.floats(0.01, 0.9))
@settings(deadline=None, max_examples=25)
def test_least_leaves_out_exactly_the_small_pairs(seed: int, least: float) -> None:
    codes_MN = random_codes(60, 12, seed, np.float64)
    every, kept = cooccurrence(codes_MN, 6), cooccurrence(codes_MN, 6, least=least)
    weight = every.weight_NN.toarray()
    large = (weight >= least * np.diag(weight)[:, None]) & (weight > 0)
    assert np.array_equal(kept.weight_NN.toarray(), np.where(large, weight, 0))
    assert np.array_equal(kept.joint_NN.toarray(), np.where(large, every.joint_NN.toarray(), 0))
    assert np.array_equal(kept.images_IN.toarray(), every.images_IN.toarray())
    # What bounds the memory: at most (mean codes beside i) / least pairs a row.
    active_M = np.diff(codes_MN.indptr)
    for i in range(12):
        a_M = codes_MN[:, [i]].toarray().ravel()
        if a_M.any():
            assert large[i].sum() <= (a_M @ active_M / a_M.sum()) / least + 1e-9


def test_unsorted_repeated_and_zero_entries_count_once() -> None:
    # Patch 0 names concept 2 twice (1 + 2) and concept 0 with an explicit zero.
    start, concept = np.array([0, 4, 5]), np.array([2, 1, 2, 0, 1])
    messy = sparse.csr_array((np.array([1, 4, 2, 0, 7.0]), concept, start), shape=(2, 3))
    tidy = sparse.csr_array(np.array([[0, 4, 3], [0, 7, 0.0]]))
    assert same(cooccurrence(messy, 1), cooccurrence(tidy, 1))
    assert messy.nnz == 5, "the codes given stay as they are"


def test_the_usual_maximum_is_numpys_quantile() -> None:
    values = np.random.default_rng(3).exponential(size=300).astype(np.float32)
    start_N = np.array([0, 1, 1, 3, 130, 300])
    spans = pairwise(start_N)
    expected = [np.quantile(values[a:b].astype(float), 0.99) if b > a else 0 for a, b in spans]
    assert usual_maximum(values, start_N) == pytest.approx(np.array(expected))


def test_presence_leaves_the_glimmer_out() -> None:
    codes_MN = sparse.csr_array(np.array([[0.1, 1], [10, 0], [6, 1], [4, 0.0]]))
    assert strong_part(codes_MN, 0.5).toarray().tolist() == [[0, 1], [10, 0], [6, 1], [0, 0]]
    assert strong_part(codes_MN, 0.0).nnz == 6
    assert cooccurrence(codes_MN, 1, 0.5).joint_NN.toarray().tolist() == [[2, 1], [1, 2]]


@pytest.mark.parametrize("shape", [(0, 3), (4, 3)])
def test_nothing_fires(shape: tuple[int, int]) -> None:
    counts = cooccurrence(sparse.csr_array(shape, dtype=np.float32), 2, 0.5)
    assert counts.weight_NN.nnz == 0
    assert counts.conditional_NN.shape == (3, 3)
    assert counts.images_IN.shape == (shape[0] // 2, 3)


def test_patches_make_whole_images() -> None:
    with pytest.raises(ConfigError, match="whole number of images"):
        cooccurrence(random_codes(5, 3, 0), 2)
