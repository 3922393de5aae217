"""The parts of the relations benchmark: both statistics agree, ratios are per token."""

import numpy as np
import pytest
import torch

from benchmarks.clock import Clock
from benchmarks.relations_speed import dense_weight, difference, make_codes, scipy_weight
from core.cooccurrence import cooccurrence


def test_all_ways_to_count_give_the_same_weight() -> None:
    codes_MN = make_codes(0, 600, 40, 5)
    expected = dense_weight([torch.from_numpy(codes_MN.toarray())], 40).numpy()
    assert difference(expected, scipy_weight(codes_MN, chunk=250).toarray()) < 1e-5
    assert difference(expected, cooccurrence(codes_MN, 20).weight_NN.toarray()) < 1e-5


def test_codes_are_sparse_positive_and_seeded() -> None:
    codes_MN = make_codes(1, 500, 60, 4)
    assert codes_MN.shape == (500, 60)
    assert codes_MN.data.min() > 0
    assert np.diff(codes_MN.indptr).max() <= 4
    assert (codes_MN != make_codes(1, 500, 60, 4)).nnz == 0
    assert (codes_MN != make_codes(2, 500, 60, 4)).nnz > 0


def test_ratios_compare_neighbouring_windows_per_token() -> None:
    clock = Clock({"slow": [4.0, 9.0], "fast": [2.0, 3.0]})
    assert clock.ratios("slow", "fast").tolist() == [2, 3]
    assert clock.speed("fast") == pytest.approx(0.4)


def test_a_window_notes_time_per_token() -> None:
    clock, done = Clock(), []
    clock.window("work", 10, lambda: done.append(1))
    assert done == [1]
    assert 0 <= clock.seconds["work"][0] == pytest.approx(clock.wall / 10)


def test_difference_is_relative_above_one() -> None:
    assert difference(np.array([[10.0, 0.0]]), np.array([[11.0, 0.2]])) == pytest.approx(0.2)
    assert difference(np.array([[10.0]]), np.array([[11.0]])) == pytest.approx(0.1)
