import numpy as np
import pytest

from core.conformal import ConformalRule
from core.errors import ConfigError
from core.evaluation import evaluate, spurious_share
from tests.unit.core.tiny import head_of

# Concept 0 speaks for class a, concept 1 for class b, concept 2 for b only a little.
HEAD = head_of([[2, 0, 0], [0, 1, 0.5]], [0, 0])
CODES = np.array([[1, 0, 0], [1, 0, 2], [0, 1, 0], [1, 1, 0], [0, 2, 4]], dtype=float)
LABELS = np.array([0, 1, 1, 1, 1])  # predicted: a a b a b


def test_figures_by_hand() -> None:
    report = evaluate(HEAD, CODES, LABELS, ["x", "y", "y", "z", "z"], rejected=[2], min_n=1)
    assert report.n == 5
    assert report.accuracy == pytest.approx(3 / 5)
    assert [(g.name, g.n, g.accuracy) for g in report.groups] == [
        ("y", 2, 0.5),
        ("z", 2, 0.5),
        ("x", 1, 1.0),
    ]
    assert report.worst_group == 0.5
    assert report.average_group == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_spurious_share_by_hand() -> None:
    # |contributions| to the predicted class: a: 2, 2, 2; b: 1 and 2 + 4*.5 = 4; on concept 2: 2.
    predicted = HEAD.logits(CODES).argmax(1)
    assert predicted.tolist() == [0, 0, 1, 0, 1]
    assert spurious_share(HEAD, CODES, predicted, [2]) == pytest.approx(2 / (2 + 2 + 2 + 1 + 4))
    assert spurious_share(HEAD, CODES, predicted, [2, 2]) == pytest.approx(2 / 11)
    assert spurious_share(HEAD, CODES, predicted, []) == 0


def test_coverage_and_size_of_the_conformal_sets() -> None:
    # Scores of the label: cases 0..4 lead by 2, -1, 1, -1, 4; e.g. log(1 + e^1) = 1.31 for case 1.
    ruled = HEAD.with_conformal(ConformalRule(1.0, 0.1, 50))
    report = evaluate(ruled, CODES, LABELS, min_n=1)
    # Only a class that leads is in: cases 0, 2, 4 hold their label, one class each.
    assert (report.coverage, report.set_size) == (pytest.approx(3 / 5), 1.0)
    wide = evaluate(HEAD.with_conformal(ConformalRule(2.0, 0.1, 50)), CODES, LABELS, min_n=1)
    # Scores up to 2: a class up to 1.85 behind is in as well, that is in cases 1, 2 and 3.
    assert (wide.coverage, wide.set_size) == (1.0, pytest.approx(8 / 5))
    assert evaluate(HEAD, CODES, LABELS).metrics()["coverage"] is None


def test_negative_contributions_count_by_size() -> None:
    head = head_of([[3, -1], [0, 0]], [0, 0])
    assert spurious_share(head, np.array([[1.0, 1.0]]), np.array([0]), [1]) == pytest.approx(0.25)


def test_small_groups_are_left_out_and_listed() -> None:
    report = evaluate(HEAD, CODES, LABELS, ["x", "y", "y", "z", "z"], min_n=2)
    assert [g.name for g in report.left_out] == ["x"]
    assert report.average_group == 0.5


def test_without_groups_each_class_is_one() -> None:
    report = evaluate(HEAD, CODES, LABELS, min_n=1)
    assert {g.name: g.accuracy for g in report.groups} == {"a": 1.0, "b": 0.5}


def test_no_case_leaves_all_figures_open() -> None:
    report = evaluate(HEAD, np.zeros((0, 3)), np.zeros(0))
    assert report.n == 0
    assert set(report.metrics().values()) == {0, None}


def test_silent_codes_have_no_spurious_share() -> None:
    assert evaluate(HEAD, np.zeros((2, 3)), np.array([0, 1]), rejected=[1]).spurious_share is None


def test_groups_must_fit_the_cases() -> None:
    with pytest.raises(ConfigError, match="groups"):
        evaluate(HEAD, CODES, LABELS, ["x"])
