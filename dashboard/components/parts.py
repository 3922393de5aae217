"""The case's part of the desk's packet: plain JSON out of view models, words where they help."""

from typing import Any

from dashboard.components import words
from dashboard.viewmodels import (
    AssessmentView,
    CaseView,
    CueView,
    FlipView,
    NodeView,
    NoteView,
    PlaceView,
    VerdictView,
    WhatIfView,
)

MINUS = "\u2212"


def case_part(case: CaseView) -> dict[str, Any]:
    """Everything of a case but its pictures."""
    return {
        "id": case.id,
        "position": case.position,
        "total": case.total,
        "previous_id": case.previous_id,
        "next_id": case.next_id,
        "hidden": sorted(case.hidden),
        "alt": words.picture(case),
        "label": case.label,
        "prediction": case.prediction,
        "confidence": case.confidence,
        "logit": case.logit,
        "bias": case.bias,
        "probabilities": sorted(case.probabilities, key=lambda pair: -pair[1]),
        "set_text": words.held(case.class_set, len(case.probabilities)),
        "set_note": words.held_in_full(case.class_set),
        "reconstruction": case.reconstruction,
        "other_text": f"{case.other:+.2f}".replace("-", MINUS),
        "trust": _trust(case.trust),
        "version": case.version_hash[:10],
        "narrative": case.narrative,
        "cues": [_cue(cue) for cue in case.cues],
        "tree": [_node(node) for node in case.tree],
        "assessment": _assessment(case.assessment),
        "criteria": [
            {"key": each.key, "label": each.label, "text": each.text} for each in case.criteria
        ],
        "reasons": list(case.reasons),
        "notes": [_note(note) for note in case.notes],
        "what_if": _what_if(case.what_if),
        "flip": _flip(case.flip),
        "place": _place(case.place),
    }


def _trust(value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "word": words.trust(value)}


def _cue(cue: CueView) -> dict[str, Any]:
    return {
        "id": cue.id,
        "letter": cue.letter,
        "concept_id": cue.concept_id,
        "concept": cue.concept,
        "name": cue.name,
        "qualifier": cue.qualifier,
        "named": cue.named,
        "level": cue.level,
        "activation": cue.activation,
        "contribution": cue.contribution,
        "effect": cue.causal_effect,
        "grid": list(cue.grid),
        "where": words.place(cue.regions),
        "mine": _verdict(cue.mine),
        "agree_note": cue.agree_note,
        "trust": _trust(cue.trust),
        "peers": [
            {
                "reviewer": peer.reviewer,
                "value": peer.value,
                "scope": peer.scope,
                "reason": peer.reason,
            }
            for peer in cue.peers
        ],
    }


def _verdict(verdict: VerdictView | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "value": verdict.value,
        "scope": verdict.scope,
        "reason": verdict.reason,
        "comment": verdict.comment,
        "revision": verdict.revision,
        "at": f"{verdict.at.astimezone():%H:%M}",
    }


def _node(node: NodeView) -> dict[str, Any]:
    return {
        "concept_id": node.concept_id,
        "name": node.name,
        "qualifier": node.qualifier,
        "kind": node.kind,
        "contribution": node.contribution,
        "total": node.total,
        "cue_id": node.cue_id,
        "children": [_node(child) for child in node.children],
    }


def _assessment(word: AssessmentView | None) -> dict[str, Any] | None:
    if word is None:
        return None
    return {
        "agree": word.agree,
        "corrected_label": word.corrected_label,
        "comment": word.comment,
        "revision": word.revision,
        "ratings": dict(word.ratings),
    }


def _note(note: NoteView) -> dict[str, Any]:
    return {
        "id": note.id,
        "kind": note.kind,
        "text": note.text,
        "payload": note.payload,
        "reviewer": note.reviewer,
        "at": f"{note.at.astimezone():%d %b %H:%M}",
    }


def _what_if(found: WhatIfView | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "classes": list(found.classes),
        "logits": list(found.logits),
        "temperature": found.temperature,
        "levers": [
            {
                "concept_id": lever.concept_id,
                "concept": lever.concept,
                "name": lever.name,
                "activation": lever.activation,
                "top": lever.top,
                "weights": list(lever.weights),
            }
            for lever in found.levers
        ],
    }


def _flip(flip: FlipView | None) -> dict[str, Any] | None:
    if flip is None:
        return None
    return {
        "changes": [list(change) for change in flip.changes],
        "prediction": flip.prediction,
        "reread": flip.reread,
    }


def _place(place: PlaceView | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {
        "reason": place.reason,
        "held_by": place.held_by,
        "until": f"{place.until.astimezone():%H:%M}" if place.until else None,
        "wanted": place.wanted,
        "reviewers": place.reviewers,
        "marks": list(place.marks),
        "mine_done": place.mine_done,
        "team_done": place.team_done,
        "total": place.total,
    }
