"""Tests of change and of groups, against values worked out by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.significance import (
    benjamini_hochberg,
    fisher,
    flip_signs,
    groups_differ,
    holm,
    mcnemar,
)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    with pytest.raises(ConfigError):
        mcnemar(-1, 2)


def test_sign_flips_are_mcnemar_where_each_case_is_a_cluster() -> None:
    net = np.array([1.0] * 9 + [-1.0] + [0.0] * 20)
    assert flip_signs(net, deals=40000, seed=3) == pytest.approx(mcnemar(1, 9), abs=0.004)
    assert flip_signs(np.zeros(5)) == 1.0


def test_a_cluster_of_copies_is_one_case() -> None:
    """Nine mended cases of one patient prove nothing: the sign of one cluster is a coin."""
    assert flip_signs(np.array([9.0])) == pytest.approx(1.0)
    assert mcnemar(0, 9) < 0.01


def test_fisher_by_hand() -> None:
    """The lady tasting tea: 3 of 4 against 1 of 4: p = 34 / 70."""
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher(0, 0, 1, 4) is None
    with pytest.raises(ConfigError):
        fisher(5, 4, 1, 4)


def test_adjustments_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([]) == []
    assert benjamini_hochberg([0.9, 0.8]) == pytest.approx([0.9, 0.9])
    with pytest.raises(ConfigError):
        holm([0.5, 1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_values_only_grow_and_follow_their_order(p: list[float]) -> None:
    for adjust in (holm, benjamini_hochberg):
        found = adjust(p)
        assert all(p[k] - 1e-12 <= found[k] <= 1 for k in range(len(p)))
        order = np.argsort(p, kind="stable")
        assert all(np.diff(np.array(found)[order]) >= -1e-12)
    assert all(a >= b - 1e-12 for a, b in zip(holm(p), benjamini_hochberg(p), strict=True))


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(min(holm(list(rng.random(10)))) < 0.05 for _ in range(4000))
    assert alarms / 4000 < 0.06


def test_groups_against_every_deal() -> None:
    """Four cases in two groups: of the 6 deals 2 are as far apart, so p is about 1/3."""
    value, group = np.array([1, 1, 0, 0]), np.array(["a", "a", "b", "b"])
    spreads = []
    for deal in product((0, 1), repeat=4):
        if sum(deal) == 2:
            mean = [
                np.mean([v for v, d in zip(value, deal, strict=True) if d == k]) for k in (0, 1)
            ]
            spreads.append((mean[0] - mean[1]) ** 2)
    exact = np.mean(np.array(spreads) >= max(spreads) - 1e-12)
    assert exact == pytest.approx(1 / 3)
    assert groups_differ(value, group, deals=6000, seed=1) == pytest.approx(exact, abs=0.03)


def test_a_mix_of_labels_is_no_difference_between_groups() -> None:
    """Label 0 is easy, label 1 hard; site A has more of label 0. Within labels sites are alike."""
    rng = np.random.default_rng(2)
    site = np.repeat([0, 1], 300)
    label = (rng.random(600) < np.where(site == 0, 0.2, 0.8)).astype(int)
    right = (rng.random(600) < np.where(label == 0, 0.95, 0.6)).astype(float)
    plain, within = groups_differ(right, site), groups_differ(right, site, label)
    assert plain is not None
    assert within is not None
    assert plain < 0.01
    assert within > 0.05


def test_one_group_alone_cannot_differ() -> None:
    assert groups_differ(np.ones(3), np.zeros(3)) is None


def test_groups_that_differ_are_found() -> None:
    right = np.array([1] * 30 + [0] * 20 + [1] * 10)
    p = groups_differ(right, np.repeat([0, 1], 30), deals=500)
    assert p == pytest.approx(1 / 501)
