"""What a reviewer may not see before their own word is in. Pure functions over view models.

A project can hide the model's identity, its prediction and the prior labels until the reviewer's
own word on the whole case is in (`word_is_in`); then everything is shown. The server blanks what
is hidden, so it never reaches the browser. What would tell it indirectly goes as well: signed
figures tell the predicted class apart, a file's name or its ground-truth mask often tells the
label, the reason for a place in the queue may speak of either.

Others' verdicts on a cue are hidden until one's own verdict on that cue stands; a project that
hides "peers" shows them only once the word on the whole case is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from dashboard.viewmodels import AssessmentView, CaseView, CueView, NodeView

OF_THE_CASE = frozenset({"model", "prediction", "labels", "peers"})


def word_is_in(assessment: AssessmentView | None) -> bool:
    """Whether the reviewer committed to a word: agreement, or a label of their own."""
    return assessment is not None and (
        assessment.agree is not None or assessment.corrected_label is not None
    )


def hidden_now(blind: Iterable[str], assessment: AssessmentView | None) -> frozenset[str]:
    """What a project hides of a case at this moment."""
    return frozenset() if word_is_in(assessment) else frozenset(blind) & OF_THE_CASE


def blinded(case: CaseView, hidden: Set[str]) -> CaseView:
    """The case without what is hidden, and without peers where one's own verdict is missing."""
    shown = replace(
        case,
        hidden=frozenset(hidden),
        cues=tuple(_without_peers(cue, "peers" in hidden) for cue in case.cues),
    )
    if "model" in hidden:
        shown = replace(shown, version_hash="")
    if "labels" in hidden:
        shown = _without_label(shown)
    return _without_prediction(shown) if "prediction" in hidden else shown


def image_name(name: str, image_id: str, hidden: Set[str]) -> str:
    """The image's name, or a neutral one where the name might tell the label.

    >>> image_name("melanoma/17.png", "ab34cd56-ef", {"labels"})
    'image ab34cd56'
    """
    return f"image {image_id[:8]}" if "labels" in hidden else name


def _without_peers(cue: CueView, until_the_end: bool) -> CueView:
    spoken = cue.mine is not None and cue.mine.value != "withdrawn"
    return cue if spoken and not until_the_end else replace(cue, peers=())


def _without_label(case: CaseView) -> CaseView:
    return replace(
        case,
        label=None,
        image_name=image_name(case.image_name, case.image_id, {"labels"}),
        layers=tuple(layer for layer in case.layers if layer.kind != "mask"),
        place=replace(case.place, reason="") if case.place else None,
    )


def _without_prediction(case: CaseView) -> CaseView:
    return replace(
        case,
        prediction="",
        confidence=0.0,
        logit=0.0,
        bias=0.0,
        other=0.0,
        probabilities=(),
        narrative="",
        flip=None,
        class_set=None,
        what_if=None,
        cues=tuple(_unsigned(cue) for cue in case.cues),
        tree=tuple(_unsigned_node(node) for node in case.tree),
        layers=tuple(layer for layer in case.layers if layer.kind == "mask"),
        place=replace(case.place, reason="") if case.place else None,
    )


def _unsigned(cue: CueView) -> CueView:
    # Their order, by the size of the effect, stays.
    return replace(cue, contribution=0.0, causal_effect=0.0, agree_note=None)


def _unsigned_node(node: NodeView) -> NodeView:
    children = tuple(_unsigned_node(child) for child in node.children)
    return replace(node, contribution=0.0, total=0.0, children=children)
