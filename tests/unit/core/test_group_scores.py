"""Groups of cases: figures by hand, tests, and what chance alone would show."""

import numpy as np
import pytest

from core.calibration import expected_calibration_error
from core.decided import Decided
from core.errors import ConfigError
from core.group_scores import accuracies, by_group
from core.intervals import wilson
from core.significance import fisher, holm


def deciding(right: np.ndarray, labels: np.ndarray, confidence: np.ndarray | float) -> Decided:
    sure = np.broadcast_to(np.asarray(confidence, dtype=float), labels.shape)
    chosen = np.where(right, labels, 1 - labels)
    probs = np.empty((len(labels), 2))
    probs[np.arange(len(labels)), chosen] = sure
    probs[np.arange(len(labels)), 1 - chosen] = 1 - sure
    return Decided(probs)


def test_by_hand() -> None:
    labels = np.array([0, 1] * 20)
    site = ["north"] * 20 + ["south"] * 20
    right = np.array([1] * 18 + [0] * 2 + [1] * 8 + [0] * 12, dtype=bool)
    mass = np.full(40, 2.0)
    rejected = np.where(np.arange(40) < 20, 0.5, 1.5)
    plain = deciding(right, labels, 0.8)
    found = by_group(Decided(plain.probs_IC, mass, rejected), labels, site, resamples=200)
    south, north = found.rows
    assert (south.name, south.n, north.name, north.n) == ("south", 20, "north", 20)
    assert south.accuracy == wilson(8, 20)
    assert north.balanced == pytest.approx(0.9)
    assert (south.reliance.value, north.reliance.value) == (0.75, 0.25)
    assert south.reliance.low is None  # the same in every case: no interval, no claim
    assert south.overconfidence.value == pytest.approx(0.4)
    assert north.overconfidence.value == pytest.approx(-0.1)
    assert found.overall.accuracy.value == pytest.approx(26 / 40)
    assert found.spread == pytest.approx(0.5)
    p = fisher(8, 20, 18, 20)
    assert p is not None
    assert south.p == pytest.approx(p)
    assert [row.p_adjusted for row in found.rows] == pytest.approx(holm([p, p]))
    assert south.differs
    assert found.p is not None
    assert found.p < 0.02
    inside = np.arange(40) >= 20
    assert south.ece.value == pytest.approx(
        expected_calibration_error(plain.probs_IC[inside], labels[inside])
    )


def test_a_mix_of_labels_moves_the_accuracy_but_not_the_balanced_one() -> None:
    """Label 0 always right, label 1 right in half; south has more of label 1."""
    labels = np.array([0] * 30 + [1] * 10 + [0] * 10 + [1] * 30)
    right = np.concatenate([np.ones(30), [1, 0] * 5, np.ones(10), [1, 0] * 15]).astype(bool)
    site = ["north"] * 40 + ["south"] * 40
    found = by_group(deciding(right, labels, 0.9), labels, site, resamples=0)
    assert [row.accuracy.value for row in found.rows] == pytest.approx([25 / 40, 35 / 40])
    assert [row.balanced for row in found.rows] == pytest.approx([0.75, 0.75])
    assert found.p is not None
    assert found.p > 0.3  # dealt within labels there is no difference


def test_labels_as_groups_are_compared_as_such() -> None:
    labels = np.array([0] * 30 + [1] * 30)
    right = np.array([1] * 30 + [1, 0] * 15, dtype=bool)
    decided = deciding(right, labels, 0.9)
    names = [str(k) for k in labels]
    shares, p = accuracies(decided, labels, names, within_labels=False)
    assert shares == {"0": 1.0, "1": 0.5}
    assert p is not None
    assert p < 0.01
    assert by_group(decided, labels, names, within_labels=False, resamples=0).p == p
    assert accuracies(decided, labels, names)[1] == 1.0  # within a label nothing can be dealt


def test_small_groups_are_shown_but_not_tested() -> None:
    labels = np.array([0, 1] * 10)
    site = ["a"] * 16 + ["b"] * 3 + ["c"]
    found = by_group(deciding(np.ones(20, bool), labels, 0.9), labels, site, resamples=0)
    assert [(row.name, row.small, row.p) for row in found.rows] == [
        ("a", False, 1.0), ("b", True, None), ("c", True, None),
    ]  # fmt: skip
    assert found.spread is None
    assert found.p is None
    assert found.overall.p is None


def test_copies_do_not_make_a_group_differ() -> None:
    """Three of eight southern patients are decided wrongly, ten images each."""
    patient = np.repeat(np.arange(16), 10)
    labels = patient % 2
    right = ~np.isin(patient, [8, 11, 13])
    site = ["north" if p < 8 else "south" for p in patient]
    decided = deciding(right, labels, 0.9)
    alone = by_group(decided, labels, site, resamples=400)
    together = by_group(decided, labels, site, cluster_I=patient, resamples=400)
    assert alone.rows[0].differs
    assert alone.p is not None
    assert together.p is not None
    assert alone.p < 0.01 < together.p
    lows = [t.rows[0].accuracy.low for t in (alone, together)]
    assert lows[0] is not None
    assert lows[1] is not None
    assert lows[1] < lows[0]


def test_by_chance_alone_one_table_in_twenty_shows_a_difference() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        labels = rng.integers(0, 2, 120)
        site = [str(k) for k in rng.integers(0, 6, 120)]
        right = rng.random(120) < 0.8
        table = by_group(deciding(right, labels, 0.8), labels, site, resamples=0)
        alarms += any(row.differs for row in table.rows)
    assert alarms / 200 <= 0.08


def test_one_value_is_no_group_against_others() -> None:
    labels = np.array([0, 1] * 5)
    found = by_group(deciding(np.ones(10, bool), labels, 0.9), labels, ["x"] * 10, resamples=0)
    assert found.rows[0].p is None
    with pytest.raises(ConfigError):
        by_group(deciding(np.ones(2, bool), labels[:2], 0.9), labels[:2], ["x"])
    with pytest.raises(ConfigError):
        by_group(Decided(np.zeros((0, 2))), np.zeros(0), [])
