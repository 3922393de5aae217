"""Drift checks by simulation: rare false alarms, real shifts found and named."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.drift import Drift, DriftConfig, decisions_shift, detect, detectable
from core.errors import ConfigError

CONFIG = DriftConfig(deals=99, rows=100)
THRESHOLD = np.random.default_rng(7).uniform(0.2, 2.2, 40)  # from common to rare concepts
LOAD = np.random.default_rng(8).normal(0, 0.5, (3, 40))  # concepts fire together


def codes(rng: np.random.Generator, count: int, shift: float = 0.0, of: int = 4) -> np.ndarray:
    drawn = rng.normal(size=(count, 3)) @ LOAD + rng.normal(size=(count, 40)) - THRESHOLD
    drawn[:, of] += shift
    return np.maximum(drawn, 0)


def check(seed: int, shift: float, count: int = 80) -> Drift:
    rng = np.random.default_rng(seed)
    both = np.vstack([codes(rng, 240), codes(rng, count, shift)])
    return detect(csr_array(both), np.arange(len(both)) >= 240, config=CONFIG)


def test_no_drift_no_alert() -> None:
    # At most one in twenty; of 40 checks 8 or more would be less than one in a thousand.
    assert sum(check(seed, 0.0).alert for seed in range(40)) <= 7


def test_a_shifted_concept_is_found_and_named_first() -> None:
    found = [check(seed, 1.5) for seed in range(10)]
    assert sum(each.alert for each in found) >= 9
    assert all(each.alerts[0] == 4 for each in found if each.alert)
    assert all(each.superiority_N[4] > 0.6 for each in found)


def test_the_stated_size_is_found_as_often_as_stated() -> None:
    size = detectable(240, 80, 40)
    assert 0.1 < size < 0.25
    # Normal values without ties, shifted so that P(new > known) is just that much above 1/2.
    from scipy.stats import norm

    move, hits = float(norm.ppf(0.5 + size)) * 2**0.5, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        both = np.abs(rng.normal(20, 1, (320, 40)))
        both[240:, 0] += move
        config = DriftConfig(deals=19, rows=30)
        hits += 0 in detect(both, np.arange(320) >= 240, config=config).alerts
    assert 26 <= hits <= 39  # four in five


def test_a_small_difference_in_many_images_is_no_alert() -> None:
    rng = np.random.default_rng(1)
    both = rng.random((24_000, 3))
    both[12_000:, 0] += 0.03
    found = detect(both, np.arange(24_000) >= 12_000, config=CONFIG)
    assert found.p < 1e-6
    assert found.q_N[0] < 1e-6
    assert abs(found.superiority_N[0] - 0.5) < 0.05
    assert not found.alert
    assert found.alerts == ()


def test_a_shortcut_that_changes_sides_is_seen_within_labels() -> None:
    rng = np.random.default_rng(2)
    label, new = np.arange(400) % 2, np.arange(400) >= 280
    both = codes(rng, 400)
    both[:, 9] = np.where((label == 1) ^ new, rng.random(400) + 0.5, 0.0)
    assert detect(both, new, config=CONFIG).q_N[9] > 0.05
    within = detect(both, new, stratum_I=label, config=CONFIG)
    assert within.alert
    assert within.alerts[0] == 9
    assert within.strata == (0, 1)
    assert within.stratum_N[9] in (0, 1)
    # In the stratum named it fires in all of one side and in none of the other.
    assert within.superiority_N[9] == (1.0 if within.stratum_N[9] == 0 else 0.0)


def test_images_of_one_patient_count_once() -> None:
    rng = np.random.default_rng(3)
    patients = codes(rng, 60)
    both = np.repeat(patients, 8, axis=0) + 1e-6 * rng.random((480, 40))
    patient, new = np.repeat(np.arange(60), 8), np.repeat(np.arange(60) >= 35, 8)
    alone = detect(both, new, config=CONFIG)
    together = detect(both, new, cluster_I=patient, config=CONFIG)
    assert alone.p < 0.05  # eight copies of each witness
    assert together.p > 0.05
    assert together.units == (35, 25)
    assert np.allclose(together.unlike_I[::8], together.unlike_I[7::8])


def test_decisions() -> None:
    # 20 new, 20 known, decided alike; then all new ones decided otherwise: 2 / C(40, 20).
    new = np.arange(40) < 20
    assert decisions_shift(np.arange(40) % 2, new) > 0.9
    assert decisions_shift(np.where(new, "a", "b"), new) == pytest.approx(1 / 2000)
    with pytest.raises(ConfigError, match="at least one"):
        decisions_shift(np.zeros(4), np.zeros(4, bool))


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = check(5, 0.4), check(5, 0.4)
    assert first.p == second.p
    assert np.array_equal(first.unlike_I, second.unlike_I, equal_nan=True)


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_images_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="at least 20 are needed"):
        check(0, 0.0, count)


@pytest.mark.parametrize(
    "bad", [{"level": 0.0}, {"level": 0.7}, {"least_effect": 0.6}, {"least_units": 1}, {"deals": 5}]
)
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        DriftConfig(**bad)


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        detect(np.ones((5, 2)), np.ones(4, bool))
    with pytest.raises(ConfigError, match="clusters"):
        detect(np.ones((50, 2)), np.arange(50) < 25, cluster_I=np.zeros(3))
