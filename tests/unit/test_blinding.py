"""What is hidden before one's own word is in: everything that would tell it, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dashboard.services.blinding import blinded, hidden_now, image_name, word_is_in
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    ClassSetView,
    FlipView,
    LayerView,
    PeerView,
    PlaceView,
    VerdictView,
    WhatIfView,
)
from tests import fakes
from tests.fakes.cases import case_view

AT = datetime(2026, 5, 4, tzinfo=UTC)
PEER = PeerView("Bo", "spurious", "here", "artefact")


@pytest.fixture
def case() -> CaseView:
    shown = case_view(fakes.Book(), 0, [fakes.uid("case", 0)], "ada")
    return replace(
        shown,
        cues=tuple(replace(cue, peers=(PEER,)) for cue in shown.cues),
        flip=FlipView((("ruler", 1.0, 0.0),), "naevus", 0.4, None),
        class_set=ClassSetView(("melanoma",), 0.9, True, ""),
        what_if=WhatIfView(("a", "b"), (1.0, 0.0), 1.0, ()),
        layers=(
            LayerView("mask", "Ground truth", "mask", "/m"),
            LayerView("grad", "Grad-CAM", "attribution", "/g"),
        ),
        place=PlaceView("uncertain: the model is unsure, 52 % sure", None, None, 1, 0),
    )


def word(**more: object) -> AssessmentView:
    content = {"agree": None, "corrected_label": None, "comment": "", **more}
    return AssessmentView("id", revision=1, at=AT, reviewer="Ada", **content)  # type: ignore[arg-type]


def spoken(case: CaseView, at: int, value: str = "correct") -> CaseView:
    verdict = VerdictView("v", value, "here", None, "", 1, AT, "Ada")  # type: ignore[arg-type]
    cues = list(case.cues)
    cues[at] = replace(cues[at], mine=verdict)
    return replace(case, cues=tuple(cues))


def test_a_word_is_agreement_or_a_label_of_ones_own() -> None:
    assert not word_is_in(None)
    assert not word_is_in(word(comment="hm", ratings=(("clarity", 3),)))
    assert word_is_in(word(agree=False))
    assert word_is_in(word(corrected_label="naevus"))
    assert hidden_now({"model", "labels"}, None) == {"model", "labels"}
    assert hidden_now({"model", "labels"}, word(agree=True)) == frozenset()


def test_peers_wait_for_ones_own_verdict_on_that_cue(case: CaseView) -> None:
    assert not any(cue.peers for cue in blinded(case, frozenset()).cues)
    shown = blinded(spoken(case, 1), frozenset())
    assert [bool(cue.peers) for cue in shown.cues][:3] == [False, True, False]
    taken_back = blinded(spoken(case, 1, "withdrawn"), frozenset())
    assert not any(cue.peers for cue in taken_back.cues)
    assert not any(cue.peers for cue in blinded(spoken(case, 1), {"peers"}).cues)


def test_a_hidden_prediction_leaves_no_trace(case: CaseView) -> None:
    shown = blinded(case, {"prediction"})
    assert (shown.prediction, shown.confidence, shown.probabilities) == ("", 0.0, ())
    assert (shown.narrative, shown.flip, shown.class_set, shown.what_if) == ("", None, None, None)
    assert (shown.logit, shown.bias, shown.other) == (0.0, 0.0, 0.0)
    assert all(cue.contribution == cue.causal_effect == 0 for cue in shown.cues)
    assert not any(cue.agree_note for cue in shown.cues)
    assert all(node.total == node.contribution == 0 for node in shown.tree)
    assert all(child.total == 0 for node in shown.tree for child in node.children)
    assert [layer.key for layer in shown.layers] == ["mask"]
    assert shown.place is not None
    assert shown.place.reason == ""
    assert shown.hidden == {"prediction"}
    assert case.prediction not in repr(replace(shown, label=None))


def test_what_may_be_seen_stays(case: CaseView) -> None:
    shown = blinded(case, {"prediction"})
    assert [(c.letter, c.name, c.map_u8) for c in shown.cues] == [
        (c.letter, c.name, c.map_u8) for c in case.cues
    ]
    assert shown.label == case.label
    assert shown.version_hash == case.version_hash


def test_hidden_labels_take_the_name_and_the_mask_along(case: CaseView) -> None:
    case = replace(case, image_name=f"{case.label}/1.png")
    shown = blinded(case, {"labels"})
    assert shown.label is None
    assert shown.image_name == f"image {case.image_id[:8]}"
    assert [layer.key for layer in shown.layers] == ["grad"]
    assert shown.prediction == case.prediction
    assert image_name("a.png", "ff" * 32, frozenset()) == "a.png"


def test_a_hidden_model_hides_its_version(case: CaseView) -> None:
    shown = blinded(case, {"model"})
    assert shown.version_hash == ""
    assert shown.prediction == case.prediction
    assert blinded(case, frozenset()).version_hash == case.version_hash
