"""Where a decision is read off: by hand for both ways of pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.heads import LinearHead, Pooling
from core.region_mass import region_mass

ACTS_PN = np.array([[4.0, 0.0], [1.0, 2.0], [1.0, 0.0], [2.0, 2.0]])


def head(pooling: Pooling) -> LinearHead:
    weight = np.array([[1.0, -3.0], [0.0, 0.0]], np.float32)
    return LinearHead(weight, np.array([9.0, 0.0], np.float32), ("a", "b"), pooling=pooling)


def test_the_maximum_lies_on_one_patch() -> None:
    """Parts 4 x 1 on patch 0 and 2 x -3 on patch 1 (the first of equal ones)."""
    first = np.array([True, False, False, False])
    assert region_mass(head("max"), ACTS_PN, first) == (4.0, 10.0)
    assert region_mass(head("max"), ACTS_PN, np.array([False, True, False, False])) == (6.0, 10.0)
    assert region_mass(head("max"), ACTS_PN, np.array([False, False, True, True])) == (0.0, 10.0)


def test_the_mean_is_shared_by_all_patches() -> None:
    """Parts 8 / 4 x 1 and 4 / 4 x -3; patch 3 has 2 / 4 and 2 x 3 / 4 of them."""
    last = np.array([False, False, False, True])
    inside, whole = region_mass(head("mean"), ACTS_PN, last)
    assert whole == pytest.approx(2.0 + 3.0)
    assert inside == pytest.approx(0.5 + 1.5)


def test_it_is_the_decided_class_that_counts() -> None:
    weight = np.array([[1.0, 0.0], [5.0, 0.0]], np.float32)
    second = LinearHead(weight, np.zeros(2, np.float32), ("a", "b"))
    assert region_mass(second, ACTS_PN, np.ones(4, bool)) == (20.0, 20.0)


def test_what_does_not_fit_is_refused() -> None:
    for acts, region in ((ACTS_PN, np.ones(3, bool)), (ACTS_PN[:, :1], np.ones(4, bool))):
        with pytest.raises(ConfigError):
            region_mass(head("max"), acts, region)


@given(st.integers(0, 200), st.sampled_from(["max", "mean"]))
def test_a_region_and_the_rest_make_the_whole(seed: int, pooling: Pooling) -> None:
    rng = np.random.default_rng(seed)
    acts = rng.random((6, 4)) * (rng.random((6, 4)) < 0.5)
    some = LinearHead(rng.normal(size=(3, 4)).astype(np.float32), np.zeros(3, np.float32),
                      ("a", "b", "c"), pooling=pooling)  # fmt: skip
    region = rng.random(6) < 0.4
    inside, whole = region_mass(some, acts, region)
    outside, same = region_mass(some, acts, ~region)
    assert inside + outside == pytest.approx(whole)
    assert whole == same
    assert 0 <= inside <= whole + 1e-12
