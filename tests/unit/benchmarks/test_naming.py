"""The arithmetic of the naming benchmark, by hand."""

import numpy as np
import pytest
from scipy import sparse

from benchmarks.naming import (
    VARIANTS,
    Shown,
    ancestors,
    correlations,
    fits,
    fitting,
    judged,
    repeating,
    showing,
    shuffled,
)
from benchmarks.phantom_concepts import TARGETS, Matches
from core.naming import NamingConfig
from core.phantoms.spec import CUE_NAMES
from core.types import Relation


def test_ancestors_follow_both_kinds_of_edges() -> None:
    above = ancestors()
    assert above["ruler"] == {"artefact"}
    assert above["typical network"] == {"pigment network", "lesion structure", "lesion"}
    assert above["irregular border"] == {"lesion border", "lesion"}
    assert above["lesion"] == frozenset()


def test_shares_by_hand() -> None:
    shown = [
        Shown(0, "ruler", "ruler"),  # right
        Shown(1, "ruler", "ruler"),  # right
        Shown(2, "ruler", "ruler"),  # another cue
        Shown(3, "regular border", "lesion border"),  # the general term
        Shown(4, "hair", "hair"),  # no name
    ]
    names = ["ruler", "ruler", "hair", "lesion border", None, "skin"]
    found = judged(names, shown)
    assert found == pytest.approx(
        {
            "top1": 2 / 4,
            "right_of_all": 2 / 5,
            "abstained": 1 / 5,
            "top1_lenient": 3 / 4,
            "top1_best": 3 / 4,
            "top1_by_cue": (2 / 3 + 0) / 2,
            "cues_named": 1 / 17,
        }
    )


def test_nothing_matching_gives_no_share() -> None:
    found = judged(["ruler"], [])
    assert np.isnan(found["top1"])
    assert np.isnan(found["abstained"])


def test_a_concept_matches_the_cue_chosen_on_select_if_test_agrees() -> None:
    ruler, hair, border = (TARGETS.index(t) for t in ("ruler", "hair", "lesion border"))
    select_NT, test_NT = np.zeros((3, len(TARGETS))), np.zeros((3, len(TARGETS)))
    select_NT[0, ruler], test_NT[0, ruler] = 0.5, 0.31
    select_NT[1, ruler], test_NT[1, ruler], test_NT[1, hair] = 0.5, 0.3, 0.9
    select_NT[2, hair], test_NT[2, hair], select_NT[2, border] = 0.4, 0.4, 0.6
    empty = np.zeros_like(test_NT)
    found = showing(Matches((), (), select_NT, test_NT, empty, empty, empty))
    assert found == (Shown(0, "ruler", "ruler"), Shown(2, "hair", "lesion border"))


def test_a_name_fits_when_half_of_the_strongest_patches_show_it() -> None:
    codes_MN = np.zeros((40, 2))
    codes_MN[:, 0] = np.arange(40)  # the strongest 30 are the last ones
    codes_MN[:3, 1] = 1.0  # fires on too few patches
    truth_MT = np.zeros((40, len(TARGETS)), bool)
    ruler, hair = TARGETS.index("ruler"), TARGETS.index("hair")
    truth_MT[10:25, ruler] = True
    truth_MT[10:24, hair] = True
    share_NT = fits(sparse.csr_array(codes_MN), truth_MT)
    assert share_NT[0, [ruler, hair]] == pytest.approx([15 / 30, 14 / 30])
    assert np.isnan(share_NT[1]).all()
    assert fitting(["ruler", "ruler"], share_NT) == 1.0
    assert fitting(["hair", None], share_NT) == 0.0
    assert np.isnan(fitting(["melanoma", None], share_NT))


def test_repeated_names_are_counted_among_named_pairs() -> None:
    edges = [Relation(c, p, "is-a", 0.9, 30) for c, p in ((1, 0), (2, 0), (3, 0))]
    assert repeating(["skin", "skin", "hair", None], edges) == 0.5
    assert np.isnan(repeating([None, None], edges[:1]))


def test_the_control_is_as_good_as_chance() -> None:
    names = [*CUE_NAMES, *[None] * 3]
    shown = [Shown(n, cue, cue) for n, cue in enumerate(CUE_NAMES)]
    alive_N = np.array([True] * 17 + [False] * 3)
    assert shuffled(names, shown, alive_N, seed=0) == pytest.approx(1 / 17, abs=0.02)
    assert shuffled(names, shown, alive_N, 0) == shuffled(names, shown, alive_N, 0)


def test_each_variant_leaves_something_out() -> None:
    assert all(config != NamingConfig() for config in VARIANTS.values())
    assert not VARIANTS["no_gap"].gap
    assert VARIANTS["no_mixing"].mix == 0.0


def test_correlations_are_numpys() -> None:
    rng = np.random.default_rng(0)
    left, right = (np.maximum(rng.normal(size=(50, n)), 0.0) for n in (3, 4))
    right[:, 0] = 2.0  # constant
    found = correlations(sparse.csr_array(left), sparse.csr_array(right))
    expected = np.corrcoef(left.T, right[:, 1:].T)[:3, 3:]
    assert found[:, 1:] == pytest.approx(expected)
    assert found[:, 0] == pytest.approx(0.0)
