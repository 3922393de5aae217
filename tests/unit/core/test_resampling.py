"""The bootstrap: what is drawn, what is paired, and that its width is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decided import mean_of
from core.errors import ConfigError
from core.intervals import Estimate
from core.resampling import Drawn, Statistic, bootstrap, draws_for


def test_the_variance_is_that_of_a_mean() -> None:
    """Rao and Wu: drawing m - 1 of m gives s^2 / m, also with five cases."""
    values = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    found = bootstrap({"mean": mean_of(values)}, resamples=40000, seed=1)["mean"]
    assert found.value == 3.0
    assert found.draw_B.mean() == pytest.approx(3.0, abs=0.05)
    assert found.draw_B.var() == pytest.approx(values.var(ddof=1) / 5, rel=0.03)


def test_copies_in_a_cluster_add_nothing() -> None:
    values = np.random.default_rng(0).random(40)
    copied, patient = np.repeat(values, 10), np.repeat(np.arange(40), 10)
    alone = bootstrap({"m": mean_of(values)}, seed=3, resamples=500)["m"]
    together = bootstrap({"m": mean_of(copied)}, cluster_I=patient, seed=3, resamples=500)["m"]
    apart = bootstrap({"m": mean_of(copied)}, seed=3, resamples=500)["m"]
    assert np.allclose(alone.draw_B, together.draw_B)
    assert apart.draw_B.std() < 0.5 * together.draw_B.std()


def test_strata_keep_their_sizes() -> None:
    stratum = np.array(["a"] * 7 + ["b"] * 3)
    counts = Statistic(
        np.stack([stratum == "a", stratum == "b"], axis=1).astype(float), lambda s: s[..., 1]
    )
    found = bootstrap({"b": counts}, stratum_I=stratum, resamples=200)["b"]
    assert np.allclose(found.draw_B, 3.0)
    free = bootstrap({"b": counts}, resamples=200)["b"]
    assert free.draw_B.std() > 0.5


def test_strata_of_one_cluster_are_put_together() -> None:
    """Alone they would never vary, and the interval would be too narrow."""
    values = np.array([0.0, 10.0, 1.0, 1.0, 1.0])
    stratum = np.array([0, 1, 2, 2, 2])
    found = bootstrap({"m": mean_of(values)}, stratum_I=stratum, resamples=400)["m"]
    assert found.draw_B.std() > 0.5
    one = bootstrap({"m": mean_of(values[1:])}, stratum_I=stratum[1:], resamples=400)["m"]
    assert one.draw_B.std() > 0.5


def test_two_figures_share_their_draws() -> None:
    values = np.random.default_rng(4).random(50)
    found = bootstrap({"a": mean_of(values), "b": mean_of(values + 1)}, resamples=300)
    apart = found["b"].minus(found["a"])
    assert np.allclose(apart.draw_B, 1.0)
    # All draws are alike: no interval, for a width of nothing would claim certainty.
    assert apart.estimate() == Estimate(pytest.approx(1.0))


def test_blocks_are_as_one() -> None:
    """However few draws are held at a time, their variance stays."""
    values = np.arange(20.0)
    whole = bootstrap({"m": mean_of(values)}, resamples=3000, seed=5)["m"]
    parts = bootstrap({"m": mean_of(values)}, resamples=3000, seed=5, cells=50)["m"]
    assert len(parts.draw_B) == 3000
    assert parts.draw_B.std() == pytest.approx(whole.draw_B.std(), rel=0.1)


def test_the_same_seed_gives_the_same_draws() -> None:
    values = np.arange(9.0)
    one, two, other = (
        bootstrap({"m": mean_of(values)}, resamples=50, seed=s)["m"].draw_B for s in (1, 1, 2)
    )
    assert (one == two).all()
    assert (one != other).any()


def test_what_is_undefined_stays_so() -> None:
    assert Drawn(float("nan"), np.array([1.0])).estimate() == Estimate(None)
    mostly = Drawn(1.0, np.array([1.0, np.nan, np.nan]))
    assert mostly.estimate() == Estimate(1.0)
    assert Drawn(1.0, np.zeros(0)).estimate() == Estimate(1.0)
    assert Drawn(1.0, np.zeros(0)).p_zero() is None


def test_p_counts_the_draws_beyond_zero() -> None:
    draws = np.concatenate([np.full(30, -0.1), np.full(970, 0.1)])
    assert Drawn(0.1, draws).p_zero() == pytest.approx(2 * 31 / 1001)
    assert Drawn(0.0, np.zeros(100)).p_zero() == 1.0


def test_the_pivotal_interval_mirrors() -> None:
    draws = np.linspace(0.2, 0.4, 1001)
    plain, turned = Drawn(0.25, draws).estimate(), Drawn(0.25, draws).estimate(pivotal=True)
    assert plain == Estimate(0.25, pytest.approx(0.205), pytest.approx(0.395))
    assert turned == Estimate(0.25, pytest.approx(0.105), pytest.approx(0.295))


def test_many_cases_need_fewer_draws() -> None:
    assert [draws_for(n) for n in (0, 20_000, 40_000, 10**7)] == [2000, 2000, 1000, 400]


def test_what_does_not_fit_is_refused() -> None:
    assert bootstrap({}) == {}
    with pytest.raises(ConfigError):
        bootstrap({"a": mean_of(np.ones(2)), "b": mean_of(np.ones(3))})
    with pytest.raises(ConfigError):
        bootstrap({"a": mean_of(np.ones(2))}, cluster_I=np.ones(3))
    with pytest.raises(ConfigError):
        bootstrap({"a": mean_of(np.ones(0))})


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=30), st.integers(1, 5), st.integers(1, 5))
def test_intervals_hold_their_value(hits: list[int], strata: int, clusters: int) -> None:
    right = np.array(hits, dtype=float)
    rows = np.arange(len(right))
    found = bootstrap(
        {"m": mean_of(right)}, stratum_I=rows % strata, cluster_I=rows // clusters, resamples=40
    )["m"].estimate(0.0, 1.0)
    assert found.value == pytest.approx(right.mean())
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= (found.value or 0) <= found.high <= 1
