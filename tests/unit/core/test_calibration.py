import numpy as np
import pytest

from core.calibration import expected_calibration_error, fit_temperature
from core.errors import ConfigError


def test_error_by_hand() -> None:
    # Two cases at .9 (one right): gap |.5 - .9|; two at .6 (both right): gap |1 - .6|.
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1])
    assert expected_calibration_error(probs, labels) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_a_confidence_on_an_edge_belongs_to_the_bin_it_closes() -> None:
    # 0.8 = 12/15 closes bin 12; 0.81 opens bin 13: separate bins, separate gaps.
    probs = np.array([[0.8, 0.2], [0.81, 0.19]])
    assert expected_calibration_error(probs, np.array([0, 1])) == pytest.approx((0.2 + 0.81) / 2)


def test_perfect_confidence_has_no_error() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_no_case_gives_nan() -> None:
    assert np.isnan(expected_calibration_error(np.zeros((0, 2)), np.zeros(0)))


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    noise = rng.gumbel(size=logits.shape)
    labels = (logits + noise).argmax(1)  # drawn from softmax(logits)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.1)


def test_weights_count_as_copies() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(30, 2)), rng.integers(0, 2, 30)
    weight = rng.integers(1, 4, 30)
    rows = np.repeat(np.arange(30), weight)
    assert fit_temperature(logits, labels, weight) == pytest.approx(
        fit_temperature(logits[rows], labels[rows]), rel=1e-3
    )


def test_without_cases_the_temperature_is_one() -> None:
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0)) == 1.0


def test_lengths_must_match() -> None:
    with pytest.raises(ConfigError, match="labels"):
        fit_temperature(np.zeros((3, 2)), np.zeros(2))
