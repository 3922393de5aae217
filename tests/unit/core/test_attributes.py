"""Known attributes: columns, masks, matches, entanglement, and what chance alone would find."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from core.attribute_columns import Attribute, from_column, from_masks
from core.attributes import AttributeConfig, AttributeReport, match_attributes
from core.errors import ConfigError

QUICK = AttributeConfig(permutations=39, strong=0.65)


def test_a_yes_no_column_is_one_attribute_with_gaps() -> None:
    (hair,) = from_column("hair", [1, "0", "", True, None, "no", float("nan")])
    assert hair.name == "hair"
    assert hair.truth_M.tolist() == [True, False, False, True, False, False, False]
    assert hair.known_M.tolist() == [True, True, False, True, False, True, False]
    assert hair.positives == 2


def test_words_and_few_numbers_are_categories() -> None:
    found = from_column("exposure", [5, 6, 5, None])
    assert [a.name for a in found] == ["exposure = 5", "exposure = 6"]
    assert found[0].truth_M.tolist() == [True, False, True, False]
    assert [a.name for a in from_column("site", ["Arm", "Leg"])] == ["site = Arm", "site = Leg"]


def test_many_numbers_are_cut_at_the_median() -> None:
    (bright,) = from_column("light", [float(i) for i in range(11)])
    assert bright.name == "light > 5"
    assert bright.truth_M.tolist() == [False] * 6 + [True] * 5


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, 1, None], "does not vary"),
        ([f"w{i}" for i in range(13)], "too many"),
        ([9.0] * 12 + [float(i) for i in range(9)], "largest value"),
    ],
)
def test_columns_that_say_nothing_are_refused(values: list[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        from_column("x", values)


def test_masks_become_patches() -> None:
    mask = np.zeros((8, 12), bool)
    mask[:4, :4] = True  # the first of 2 x 3 patches, whole
    mask[4:, 4:5] = True  # a quarter of the fifth
    attribute = from_masks("crack", [mask, None], (2, 3))
    assert attribute.truth_M.tolist() == [True, False, False, False, True, False] + [False] * 6
    with pytest.raises(ConfigError, match="dimensions"):
        from_masks("crack", [np.zeros((2, 2, 3), bool)], (2, 3))
    with pytest.raises(ConfigError, match="no masks"):
        from_masks("crack", [], (2, 3))


def planted(seed: int = 0, images: int = 300) -> tuple[sparse.csr_array, list[Attribute]]:
    """Concept 0 is "a"; 1 and 2 are halves of "b"; 3 serves both "a" and "c"; the rest is noise."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.random(images) < 0.5 for _ in range(3))
    half = rng.random(images) < 0.5
    codes = np.zeros((images, 12))
    codes[:, 0] = a * (1 + rng.random(images))
    codes[:, 1] = (b & half) * (1 + rng.random(images))
    codes[:, 2] = (b & ~half) * (1 + rng.random(images))
    codes[:, 3] = (a | c) * (1 + rng.random(images))
    codes[:, 4:] = np.maximum(rng.standard_normal((images, 8)), 0)
    known = np.ones(images, bool)
    truths = zip("abc", (a, b, c), strict=True)
    return sparse.csr_array(codes), [Attribute(name, t, known) for name, t in truths]


@pytest.fixture(scope="module")
def report() -> AttributeReport:
    return match_attributes(*planted(), config=QUICK)


def test_a_concept_that_is_the_attribute_is_found(report: AttributeReport) -> None:
    match = report.matches[0]
    assert (match.attribute, match.concept) == ("a", 0)
    assert (match.auc, match.iou, match.purity, match.recall) == (1.0, 1.0, 1.0, 1.0)
    assert match.significant
    assert match.p_value == 1 / 40
    assert not match.spread
    assert match.chance_auc is not None
    assert 0.5 < match.chance_auc < 0.85


def test_an_attribute_over_several_concepts_is_put_together(report: AttributeReport) -> None:
    match = report.matches[1]
    assert set(match.pieces) == {1, 2}
    assert match.spread
    assert match.pieces_iou == 1.0 > match.iou
    assert match.purity == 1.0 > match.recall


def test_a_concept_that_serves_two_attributes_is_entangled(report: AttributeReport) -> None:
    found = [e for e in report.entanglements if e.concept == 3]
    assert [e.attributes for e in found] == [("a", "c")]
    assert found[0].entangled
    assert all(value is not None and value > 0.9 for value in found[0].apart)
    assert {fit.concept for fit in report.concepts} == {0, 1, 2, 3}
    assert report.concepts[0].purity == 1.0


def test_attributes_that_merely_come_together_do_not_entangle() -> None:
    codes, (a, _, _) = planted()
    rng = np.random.default_rng(5)
    shadow = Attribute("shadow", a.truth_M ^ (rng.random(300) < 0.1), a.known_M)
    report = match_attributes(codes, [a, shadow], config=QUICK)
    (pair,) = [e for e in report.entanglements if e.concept == 0]
    assert not pair.entangled
    assert pair.correlation > 0.6


def test_chance_finds_nothing() -> None:
    false_alarms = 0
    for seed in range(6):
        codes, attributes = planted(seed)
        rng = np.random.default_rng(seed + 100)
        dealt = [Attribute(a.name, rng.permutation(a.truth_M), a.known_M) for a in attributes]
        found = match_attributes(codes, dealt, config=QUICK)
        false_alarms += any(m.significant for m in found.matches)
    assert false_alarms <= 1  # expected .3 of 6


def test_patches_of_one_image_are_dealt_out_together() -> None:
    """Every image has the thing in its middle: place alone, not the image, gives the AUC."""
    rng = np.random.default_rng(3)
    middle = np.tile([False, True, True, False], 40)
    codes = sparse.csr_array((middle * (1 + rng.random(160)))[:, None])
    truth = middle & (rng.random(160) < 0.8)
    report = match_attributes(codes, [Attribute("x", truth, np.ones(160, bool))], 4, QUICK)
    (match,) = report.matches
    assert report.level == "patch"
    assert match.auc is not None
    assert match.auc > 0.8
    assert not match.significant


def test_missing_answers_are_left_out_and_the_report_is_json() -> None:
    codes, attributes = planted()
    known = np.ones(300, bool)
    known[:20] = False
    gappy = [Attribute(a.name, a.truth_M, known) for a in attributes]
    report = match_attributes(codes, gappy, config=QUICK)
    assert report.places == 280
    raw = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert raw["matches"][1]["spread"] is True
    assert match_attributes(codes, gappy, config=QUICK).as_json() == report.as_json()


def test_an_attribute_that_no_concept_shows() -> None:
    truth = np.arange(16) % 2 == 0
    attribute = Attribute("x", truth, np.ones(16, bool))
    report = match_attributes(sparse.csr_array((16, 2)), [attribute], config=QUICK)
    assert report.matches[0].concept is None
    assert report.concepts == report.entanglements == ()
    json.dumps(report.as_json(), allow_nan=False)


def test_what_does_not_fit_is_refused() -> None:
    codes, attributes = planted()
    with pytest.raises(ConfigError, match="no attribute"):
        match_attributes(codes, [])
    with pytest.raises(ConfigError, match="one answer for each"):
        match_attributes(codes[:100], attributes)
    with pytest.raises(ConfigError, match="whole number of images"):
        match_attributes(codes, attributes, patches=7)
    with pytest.raises(ConfigError, match="too few"):
        match_attributes(codes, attributes, patches=50)
    with pytest.raises(ConfigError, match="permutations"):
        AttributeConfig(permutations=0)
