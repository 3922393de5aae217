"""The desk as a Streamlit component: image, cues and tree in one, so that looking is free.

The picture, the maps and the figures go to the browser in one binary packet (Streamlit hands
bytes through untouched only when they are the whole of `data`); a list of events comes back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.components import words
from dashboard.components.bundle import asset, bundle
from dashboard.viewmodels import (
    REASONS,
    AssessmentView,
    CaseView,
    CueView,
    NodeView,
    VerdictView,
)

NAME = "insight_viewer"

_mount = st.components.v2.component(NAME, css=asset("viewer.css"), js=bundle())


@dataclass(frozen=True)
class Picture:
    """Encoded image bytes and their media type."""

    content: bytes
    mime: str


@dataclass(frozen=True)
class Ack:
    """The server's answer to one event: `ok` only once it is stored."""

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Sitting:
    """Who looks at what: enough for the browser to keep unanswered events apart."""

    session: str  # changes with every server session, so that the browser sends again
    reviewer_id: str
    project_id: str
    classes: tuple[str, ...]


def viewer(
    case: CaseView,
    picture: Picture,
    sitting: Sitting,
    acks: Mapping[str, Ack],
    *,
    key: str,
    on_events: Callable[[], None],
) -> None:
    """Mount the desk. `on_events` is called when events wait under `key` (see `raw_events`)."""
    _mount(key=key, data=packet(case, picture, sitting, acks), on_events_change=on_events)


def raw_events(value: object) -> object:
    """The untyped events out of what Streamlit keeps under the component's key."""
    return value.get("events") if isinstance(value, Mapping) else None


def packet(case: CaseView, picture: Picture, sitting: Sitting, acks: Mapping[str, Ack]) -> bytes:
    """uint32 little-endian length of the JSON, the JSON, then the blobs one after another.

    The JSON's `blobs` maps a blob's name ("image", "map0", ...) to its start and size.
    """
    blobs = {"image": picture.content}
    blobs |= {f"map{index}": cue.map_u8 for index, cue in enumerate(case.cues)}
    table: dict[str, list[int]] = {}
    at = 0
    for name, content in blobs.items():
        table[name] = [at, len(content)]
        at += len(content)
    model = _case(case, picture) | _sitting(sitting) | {"acks": _acks(acks), "blobs": table}
    head = json.dumps(model, ensure_ascii=False).encode()
    return b"".join((len(head).to_bytes(4, "little"), head, *blobs.values()))


def _sitting(sitting: Sitting) -> dict[str, Any]:
    return {
        "session": sitting.session,
        "reviewer_id": sitting.reviewer_id,
        "project_id": sitting.project_id,
        "classes": list(sitting.classes),
        "reasons": list(REASONS),
    }


def _acks(acks: Mapping[str, Ack]) -> dict[str, Any]:
    return {key: {"ok": ack.ok, "message": ack.message} for key, ack in acks.items()}


def _case(case: CaseView, picture: Picture) -> dict[str, Any]:
    return {
        "id": case.id,
        "position": case.position,
        "total": case.total,
        "previous_id": case.previous_id,
        "next_id": case.next_id,
        "image": {
            "id": case.image_id,
            "name": case.image_name,
            "mime": picture.mime,
            "size": f"{case.width} x {case.height} pixels",
        },
        "alt": words.picture(case),
        "label": case.label,
        "prediction": case.prediction,
        "confidence": case.confidence,
        "logit": case.logit,
        "bias": case.bias,
        "probabilities": sorted(case.probabilities, key=lambda pair: -pair[1]),
        "set_text": words.held(case.class_set, len(case.probabilities)),
        "set_note": case.class_set.note if case.class_set else "",
        "reconstruction": case.reconstruction,
        "other_text": f"{case.other:+.2f}".replace("-", "\u2212"),
        "version": case.version_hash[:10],
        "narrative": case.narrative,
        "cues": [_cue(cue) for cue in case.cues],
        "tree": [_node(node) for node in case.tree],
        "assessment": _assessment(case.assessment),
    }


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
    }
