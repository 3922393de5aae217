import numpy as np
import pytest

from benchmarks.segmentation import (
    _SIGNS,
    Scores,
    common_threshold,
    label_accuracy,
    mean_iou,
    own_thresholds,
)
from core.phantoms.spec import CUE_NAMES


def test_mean_iou_by_hand() -> None:
    shown = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    truth = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], bool)
    # 2 of 3, 0 of 2; the third cue does not occur
    assert mean_iou(shown, truth) == pytest.approx((2 / 3 + 0) / 2)


def test_thresholds_come_from_select_alone() -> None:
    select = np.array([[0.9], [0.5], [0.1]])
    truth = np.array([[True], [True], [False]])
    test = Scores(select, np.array([[0.6], [0.4], [0.2]]))
    cuts, iou = own_thresholds(test, truth, np.array([[True], [True], [False]]))
    assert cuts.tolist() == [0.5]
    assert iou == 0.5


def test_one_common_threshold() -> None:
    score = np.array([[0.5, 0.1], [0.0, 0.3]])
    truth = np.array([[True, False], [False, True]])
    assert common_threshold(Scores(score, score), truth, truth) == 1.0
    worse = np.array([[0.5, 0.4], [0.0, 0.3]])
    assert common_threshold(Scores(worse, worse), truth, truth) == pytest.approx(0.75)


def test_label_accuracy_looks_at_signs_only() -> None:
    score = np.zeros((3, len(CUE_NAMES)))
    truth = np.zeros((3, len(CUE_NAMES)), bool)
    truth[:, CUE_NAMES.index("skin")] = True
    score[:, CUE_NAMES.index("skin")] = 9.0
    truth[0, _SIGNS[2]] = truth[1, _SIGNS[3]] = True
    score[0, _SIGNS[2]] = score[1, _SIGNS[4]] = 1.0
    assert label_accuracy(score, truth) == 0.5  # the third patch shows no sign
