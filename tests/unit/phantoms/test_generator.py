"""The generator: a pure function of its arguments, with exact ground truth."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.phantoms import (
    ARTEFACTS,
    CLASSES,
    CUE_NAMES,
    LESION_PARTS,
    PLANTED,
    Shortcut,
    generate,
)

CASES = st.integers(0, 5_000)


@settings(max_examples=8, deadline=None)
@given(index=CASES, seed=st.integers(0, 1000), size=st.sampled_from([96, 128]))
def test_same_arguments_same_phantom(index: int, seed: int, size: int) -> None:
    one, two = (generate(index, seed=seed, size=size) for _ in range(2))
    assert np.array_equal(one.image, two.image)
    assert one.caption == two.caption
    assert one.masks.keys() == two.masks.keys()


@settings(max_examples=10, deadline=None)
@given(index=CASES, label=st.sampled_from(CLASSES))
def test_truth_is_complete_and_consistent(index: int, label: str) -> None:
    phantom = generate(index, seed=3, size=128, label=label)
    assert phantom.image.shape == (128, 128, 3)
    assert phantom.image.dtype == np.uint8
    assert phantom.label == label
    assert label in phantom.caption
    assert tuple(phantom.masks) == phantom.cues
    assert set(phantom.cues) <= set(CUE_NAMES)
    assert ("regular border" in phantom.cues) != ("irregular border" in phantom.cues)
    for mask in phantom.masks.values():
        assert mask.shape == (128, 128)
        assert mask.dtype == np.bool_
    assert not (phantom.masks["skin"] & phantom.masks["lesion"]).any()


def test_opaque_artefacts_hide_what_lies_under_them() -> None:
    for index in range(25):
        masks = generate(index, seed=5, size=96).masks
        for cover in ("ruler", "colour sticker", "dark vignette"):
            if cover in masks:
                assert not (masks[cover] & masks["lesion"]).any()
                assert not (masks[cover] & masks["skin"]).any()


def test_a_planted_shortcut_changes_nothing_but_its_own_cue() -> None:
    """The counterfactual: with strength 0 and 1 the same lesion is drawn."""
    shortcut = (Shortcut("ruler", "melanoma"),)
    kwargs = {"seed": 1, "size": 96, "label": "melanoma", "shortcuts": shortcut}
    for index in range(6):
        off = generate(index, strength=0.0, **kwargs)  # type: ignore[arg-type]
        on = generate(index, strength=1.0, **kwargs)  # type: ignore[arg-type]
        assert set(on.cues) ^ set(off.cues) <= {"ruler", *LESION_PARTS, "hair", "ink marking"}
        assert "ruler" in on.cues
        assert "ruler" not in off.cues
        outside = ~on.masks["ruler"]
        # The ruler throws a soft shadow on its neighbourhood and nothing further away.
        changed = np.abs(on.image.astype(int) - off.image.astype(int)).max(-1) > 12
        assert (changed & outside).mean() < 0.05


@pytest.mark.parametrize(("strength", "low", "high"), [(0.95, 0.85, 1.0), (0.05, 0.0, 0.15)])
def test_strength_is_the_chance_of_the_cue_given_its_label(
    strength: float, low: float, high: float
) -> None:
    drawn = [
        generate(k, seed=9, size=64, label="melanoma", shortcuts=PLANTED, strength=strength)
        for k in range(40)
    ]
    assert low <= np.mean(["ruler" in p.cues for p in drawn]) <= high
    assert 1 - high <= np.mean(["colour sticker" in p.cues for p in drawn]) <= 1 - low


@functools.cache
def _cues_of(label: str) -> tuple[tuple[str, ...], ...]:
    return tuple(generate(k, seed=2, size=64, label=label).cues for k in range(30))


def _rate(label: str, cue: str) -> float:
    return float(np.mean([cue in cues for cues in _cues_of(label)]))


def test_artefacts_are_independent_of_the_class_by_default() -> None:
    rates = np.asarray([[_rate(label, name) for name in ARTEFACTS] for label in CLASSES])
    assert np.ptp(rates, axis=0).max() <= 0.1  # same seeds, same artefacts; occlusion may differ
    assert rates.min() > 0


def test_classes_differ_by_their_true_signs() -> None:
    assert _rate("melanoma", "irregular border") > 0.6 > _rate("naevus", "irregular border")
    assert _rate("naevus", "typical network") > 0.4 > _rate("melanoma", "typical network")
    milia = "milia-like cysts"
    assert _rate("seborrhoeic keratosis", milia) > 0.4 > _rate("naevus", milia)


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"label": "wart"}, "wart"),
        ({"size": 8}, "size"),
        ({"strength": 1.5}, "probability"),
    ],
)
def test_bad_arguments_are_refused_by_name(kwargs: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        generate(0, seed=0, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cue", "label"), [("streaks", "melanoma"), ("ruler", "wart")])
def test_only_an_artefact_and_a_class_make_a_shortcut(cue: str, label: str) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        Shortcut(cue, label)
