"""The desk as a Streamlit component: image, cues and tree in one, so that looking is free.

The picture, the maps and the figures go to the browser in one binary packet (Streamlit hands
bytes through untouched only when they are the whole of `data`); a list of events comes back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.components.bundle import bundle
from dashboard.components.events import Mode
from dashboard.components.parts import case_part
from dashboard.components.picture import Picture, drawings_part, image_part, layers_part
from dashboard.components.served import loader, styles
from dashboard.viewmodels import CaseView

NAME = "insight_viewer"

_inline = st.components.v2.component(NAME, css=styles(), js=bundle())
_served = st.components.v2.component(f"{NAME}_served", js=loader())


@dataclass(frozen=True)
class Ack:
    """The server's answer to one event: `ok` only once it is stored."""

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Study:
    """A collection of case studies that a case can be kept in."""

    id: str
    title: str


@dataclass(frozen=True)
class Sitting:
    """Who looks at what: enough for the browser to keep unanswered events apart."""

    session: str  # changes with every server session, so that the browser sends again
    reviewer_id: str
    project_id: str
    classes: tuple[str, ...]
    mode: Mode = "review"
    studies: tuple[Study, ...] = ()


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
    mount = _served if picture.url else _inline  # a picture with an address: the routes run
    mount(key=key, data=packet(case, picture, sitting, acks), on_events_change=on_events)


def raw_events(value: object) -> object:
    """The untyped events out of what Streamlit keeps under the component's key."""
    return value.get("events") if isinstance(value, Mapping) else None


def packet(case: CaseView, picture: Picture, sitting: Sitting, acks: Mapping[str, Ack]) -> bytes:
    """uint32 little-endian length of the JSON, the JSON, then the blobs one after another.

    The JSON's `blobs` maps a blob's name ("image", "map0", ...) to its start and size.
    """
    blobs = {"image": picture.content} if picture.content else {}
    blobs |= {f"map{index}": cue.map_u8 for index, cue in enumerate(case.cues)}
    table: dict[str, list[int]] = {}
    at = 0
    for name, content in blobs.items():
        table[name] = [at, len(content)]
        at += len(content)
    model = case_part(case) | _pictures(case, picture) | _sitting(sitting)
    model |= {"acks": _acks(acks), "blobs": table}
    head = json.dumps(model, ensure_ascii=False).encode()
    return b"".join((len(head).to_bytes(4, "little"), head, *blobs.values()))


def _sitting(sitting: Sitting) -> dict[str, Any]:
    return {
        "session": sitting.session,
        "reviewer_id": sitting.reviewer_id,
        "project_id": sitting.project_id,
        "classes": list(sitting.classes),
        "mode": sitting.mode,
        "studies": [{"id": study.id, "title": study.title} for study in sitting.studies],
    }


def _acks(acks: Mapping[str, Ack]) -> dict[str, Any]:
    return {key: {"ok": ack.ok, "message": ack.message} for key, ack in acks.items()}


def _pictures(case: CaseView, picture: Picture) -> dict[str, Any]:
    return {
        "image": image_part(case, picture),
        "drawings": drawings_part(case),
        "layers": layers_part(case),
    }
