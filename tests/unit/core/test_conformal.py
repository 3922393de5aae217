import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from core.bundle_parts import head_parts, read_head
from core.calibration import cautious_temperature
from core.conformal import (
    ConformalRule,
    cases_needed,
    conformal_rule,
    coverage_and_size,
    guarantee,
    scores,
)
from core.errors import BundleError, ConfigError
from core.first_head import calibrated
from core.heads import fit_head
from tests.unit.core.tiny import head_of


def drawn(cases: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of a model that is right about two times in three."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (cases, classes))
    labels = rng.integers(0, classes, cases)
    logits[np.arange(cases), labels] += 1.2
    return logits, labels


def test_the_quantile_by_hand() -> None:
    # Ten cases with probabilities .05, .15, ... .95 of the true class of two.
    p = np.arange(0.05, 1, 0.1)
    logits = np.log(np.stack((p, 1 - p), axis=1))
    rule = conformal_rule(logits, np.zeros(10, int), alpha=0.2)
    # ceil(11 * .8) = 9th smallest of -log p: the second smallest p, .15.
    assert rule.quantile == pytest.approx(-np.log(0.15))
    assert rule.sets(np.log([[0.86, 0.14], [0.8, 0.2]])).tolist() == [[True, False], [True, True]]
    found = rule.class_set(np.log([0.3, 0.7]), ("a", "b"))
    assert (found.classes, found.informed) == (("b", "a"), True)
    assert found.coverage == pytest.approx(0.8)
    assert "80 %" in found.note


def test_the_prediction_is_always_in_the_set() -> None:
    rule = ConformalRule(0.01, 0.1, 100)  # all held-out cases were easy
    assert rule.sets(np.array([[0.1, 0.0, 0.0]])).tolist() == [[True, False, False]]


@pytest.mark.parametrize(("alpha", "fewest"), [(0.1, 9), (0.2, 4), (0.05, 19), (0.5, 1)])
def test_too_few_cases_rule_nothing_out(alpha: float, fewest: int) -> None:
    logits, labels = drawn(fewest, 3, 1)
    assert cases_needed(alpha) == fewest
    assert conformal_rule(logits, labels, alpha=alpha).quantile is not None
    rule = conformal_rule(logits[1:], labels[1:], alpha=alpha)
    assert rule.quantile is None
    assert rule.sets(np.array([[9.0, 0, 0]])).all()
    assert f"at least {fewest} are needed" in guarantee(rule)
    assert conformal_rule(np.zeros((0, 3)), np.zeros(0), alpha=alpha).quantile is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([0.05, 0.1, 0.3]))
def test_the_promised_share_holds_the_truth(seed: int, classes: int, alpha: float) -> None:
    # Averaged over 40 draws of held-out cases: coverage is at least 1 - alpha but for chance.
    shares = []
    for draw in range(40):
        logits, labels = drawn(260, classes, seed + 7919 * draw)
        rule = conformal_rule(logits[:60], labels[:60], alpha=alpha)
        shares.append(coverage_and_size(rule, logits[60:], labels[60:])[0])
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) >= 1 - alpha - 4 * error


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its logits."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.classes_ = np.arange(classes)

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Given":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x).argmax(1)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return softmax(np.asarray(x), axis=1)


@pytest.mark.parametrize(("seed", "cases", "classes", "alpha"), [
    (0, 100, 3, 0.1), (1, 57, 5, 0.2), (2, 400, 2, 0.05), (3, 19, 4, 0.1),
])  # fmt: skip
def test_sets_are_those_of_mapie(seed: int, cases: int, classes: int, alpha: float) -> None:
    logits, labels = drawn(cases + 200, classes, seed)
    labels[:classes] = np.arange(classes)
    peer = SplitConformalClassifier(
        Given(classes), confidence_level=1 - alpha, conformity_score="lac", prefit=True
    )
    peer.conformalize(logits[:cases], labels[:cases])
    _, theirs = peer.predict_set(logits[cases:])
    ours = conformal_rule(logits[:cases], labels[:cases], alpha=alpha).sets(logits[cases:])
    theirs_IC = theirs[:, :, 0].copy()
    theirs_IC[np.arange(200), logits[cases:].argmax(1)] = True  # where theirs is empty
    np.testing.assert_array_equal(ours, theirs_IC)


def test_scores_keep_their_digits_where_a_probability_is_one() -> None:
    assert scores(np.array([[60.0, 0.0]]))[0, 0] == pytest.approx(np.exp(-60))


def test_coverage_of_no_case_is_open() -> None:
    assert np.isnan(coverage_and_size(ConformalRule(1.0, 0.1, 9), np.zeros((0, 2)), [])).all()


@pytest.mark.parametrize("raw", [None, {"quantile": 0.5, "alpha": 0.1, "cases": 40,
                                        "stand_in": True}])  # fmt: skip
def test_a_rule_survives_its_file(raw: dict[str, object] | None) -> None:
    rule = ConformalRule.from_json(raw)
    assert (rule and rule.as_json()) == raw


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_impossible_share_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        conformal_rule(np.zeros((20, 2)), np.zeros(20), alpha=alpha)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError):
        conformal_rule(np.zeros((20, 2)), np.zeros(19))
    with pytest.raises(ConfigError):
        ConformalRule(float("inf"), 0.1, 9)
    with pytest.raises(ConfigError):
        ConformalRule(0.1, 0.1, -1)


def test_a_head_keeps_rule_and_bounds_in_its_files_and_old_files_have_neither() -> None:
    plain = head_of([[1, 2], [3, 4]], [0, 0])
    settings, arrays = head_parts(plain)
    assert (set(settings), set(arrays)) == ({"classes", "temperature"}, {"weight_CN", "bias_C"})
    full = replace(plain, conformal=ConformalRule(0.5, 0.1, 40), upper_N=np.float32([5, 6]))
    for head in (plain, full):
        settings, arrays = head_parts(head)
        again = read_head(json.dumps(settings).encode(), safetensors.numpy.save(arrays))
        assert again.conformal == head.conformal
        np.testing.assert_array_equal(again.upper_N, head.upper_N)


@pytest.mark.parametrize("change", [{"alpha": 0}, {"quantile": "much"}, {"cases": -1}])
def test_a_damaged_rule_is_refused_as_a_damaged_file(change: dict[str, object]) -> None:
    head = head_of([[1, 2], [3, 4]], [0, 0]).with_conformal(ConformalRule(0.5, 0.1, 40))
    settings, arrays = head_parts(head)
    settings["conformal"] |= change
    with pytest.raises(BundleError):
        read_head(json.dumps(settings).encode(), safetensors.numpy.save(arrays))


def test_bounds_are_the_highest_training_activations() -> None:
    codes = np.array([[0, 1.5, 0], [2, 0, 0], [1, 1, 0], [0, 3, 0]])
    head = fit_head(codes, np.array([0, 1, 0, 1]), ("a", "b"), c=1.0)
    assert head.upper_N is not None
    assert head.upper_N.tolist() == [2, 3, 0]
    with pytest.raises(ConfigError, match="bounds"):
        replace(head, upper_N=np.zeros(2, np.float32))


def test_temperature_and_rule_come_from_the_same_held_out_cases() -> None:
    logits, labels = drawn(60, 2, 5)
    head = calibrated(head_of([[1, 2], [3, 4]], [0, 0]), logits, labels, alpha=0.2, stand_in=True)
    assert head.temperature == cautious_temperature(logits, labels)
    assert head.conformal == conformal_rule(logits, labels, alpha=0.2, stand_in=True)
    assert "about 80 %" in guarantee(head.conformal)
