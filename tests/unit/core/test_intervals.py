"""Intervals of shares, against values worked out by hand and published ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.intervals import NORMAL, Estimate, paired_difference, wilson


def test_wilson_by_hand() -> None:
    square = NORMAL**2
    none = wilson(0, 10)
    assert none.value == 0.0
    assert none.low == 0.0
    assert none.high == pytest.approx(square / (10 + square))
    half = wilson(5, 10)
    assert half.low == pytest.approx(0.2366, abs=1e-4)
    assert half.high == pytest.approx(0.7634, abs=1e-4)


def test_wilson_as_published() -> None:
    """Newcombe 1998, Stat. Med. 17:857, table I: 81 of 263 and 15 of 148, method 3."""
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        found = wilson(hits, n)
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)


def test_no_case_no_share() -> None:
    assert wilson(0, 0) == Estimate(None)
    assert paired_difference(0, 0, 0) == Estimate(None)
    with pytest.raises(ConfigError):
        wilson(3, 2)
    with pytest.raises(ConfigError):
        paired_difference(2, 2, 3)


def test_no_change_among_ten_is_no_proof_of_none() -> None:
    found = paired_difference(0, 0, 10)
    assert found.value == 0.0
    reach = NORMAL * math.sqrt((2 / 12) / 12)
    assert found.low == pytest.approx(-reach)
    assert found.high == pytest.approx(reach)


def test_a_change_by_hand() -> None:
    """30 cases, 1 broken, 7 mended: counts 2 and 8 of 32."""
    found = paired_difference(1, 7, 30)
    assert found.value == pytest.approx(0.2)
    reach = NORMAL * math.sqrt((10 / 32 - (6 / 32) ** 2) / 32)
    assert found.low == pytest.approx(6 / 32 - reach)
    assert found.high == pytest.approx(6 / 32 + reach)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_value_and_mirrors(counts: tuple[int, int]) -> None:
    hits, n = counts
    found, mirrored = wilson(hits, n), wilson(n - hits, n)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= hits / n <= found.high <= 1
    assert found.low < found.high
    assert found.low == pytest.approx(1 - (mirrored.high or 0), abs=1e-12)


@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize("shares", [(0.02, 0.02), (0.05, 0.3), (0.2, 0.2)])
def test_the_paired_interval_holds_its_level_exactly(n: int, shares: tuple[float, float]) -> None:
    """All outcomes of n cases with their multinomial probability: coverage is no estimate."""
    from scipy.stats import multinomial

    truth = shares[1] - shares[0]
    model = multinomial(n, [*shares, 1 - sum(shares)])
    covered = 0.0
    for broken in range(n + 1):
        for mended in range(n + 1 - broken):
            found = paired_difference(broken, mended, n)
            assert found.low is not None
            assert found.high is not None
            if found.low <= truth <= found.high:
                covered += float(model.pmf([broken, mended, n - broken - mended]))
    assert covered >= 0.94


def test_estimates_survive_json() -> None:
    for each in (Estimate(None), Estimate(0.5, 0.25, 0.75), Estimate(1.0)):
        assert Estimate.from_json(each.as_json()) == each
    with pytest.raises(ConfigError):
        Estimate.from_json([1, 2])
    assert np.isclose(Estimate.from_json([1, 0, 2]).value or 0, 1.0)
