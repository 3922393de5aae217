"""The arithmetic of the concepts and tiles benchmarks, on activations that can be counted."""

import numpy as np
import pytest
from scipy import sparse

from benchmarks.concepts import enlarged, largest
from benchmarks.phantom_concepts import TARGETS, match_codes
from benchmarks.tiles import probe
from core.phantoms.spec import CUE_NAMES, GENERAL_MEMBERS


def test_targets_are_the_cues_then_the_general_terms() -> None:
    assert TARGETS[:17] == CUE_NAMES
    assert TARGETS[17:] == tuple(GENERAL_MEMBERS)


def test_concept_and_threshold_come_from_select_and_the_score_from_test() -> None:
    """Concept 1 is better on test, but concept 0 was better on select."""
    truth = np.zeros((4, len(TARGETS)), bool)
    truth[:2] = True
    select = sparse.csr_array(np.array([[3.0, 0.0], [2.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
    test = sparse.csr_array(np.array([[3.0, 1.0], [0.5, 1.0], [4.0, 0.0], [0.0, 0.0]]))
    matches = match_codes(select, truth, test, truth)
    hair = matches.of("hair")
    assert (hair.concept, hair.threshold, hair.select_iou) == (0, 1.0, 1.0)
    assert hair.iou == pytest.approx(1 / 3)  # of {0, 2} against {0, 1}
    assert hair.auc == 0.5  # pairs: (3, 4) lost, (3, 0) won, (.5, 4) lost, (.5, 0) won
    assert matches.concepts[0].target == TARGETS[0]
    assert matches.concepts[1].iou == pytest.approx(1.0)


def test_a_concept_that_never_fires_on_select_matches_nothing() -> None:
    truth = np.ones((2, len(TARGETS)), bool)
    silent, loud = sparse.csr_array((2, 1)), sparse.csr_array(np.ones((2, 1)))
    assert match_codes(silent, truth, loud, truth).concepts[0].target is None


def test_the_largest_activation_of_an_image_counts() -> None:
    codes = np.array([[1.0, 0.0], [0.5, 2.0], [0.0, 0.0], [3.0, 1.0]])
    expected = [[1.0, 2.0], [3.0, 1.0]]
    assert largest(codes, 2).tolist() == expected
    assert largest(sparse.csr_array(codes), 2).tolist() == expected


def test_maps_are_enlarged_in_row_order() -> None:
    maps = np.array([[1.0], [1.0], [0.0], [0.0]])  # the upper half of a 2 x 2 grid
    big = enlarged(maps)[0]
    assert big.shape == (192, 192)
    assert big[:48].min() == 1.0
    assert big[-48:].max() == 0.0


def test_a_probe_takes_the_pooling_that_its_own_rows_prefer() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(120) < 0.5
    good = (truth[:, None] + 0.1 * rng.standard_normal((120, 2))).astype(np.float32)
    noise = rng.standard_normal((120, 2)).astype(np.float32)
    rows, test = np.arange(80), np.arange(80, 120)
    right = probe({"noise": noise, "good": good}, truth, rows, test, seed=0)
    assert right.shape == (40,)
    assert right.mean() > 0.95
    with pytest.raises(ValueError, match="features"):
        probe({}, truth, rows, test, seed=0)
