"""What people put on a case besides verdicts: drawings, notes, ratings; and further layers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dashboard.viewmodels.words import Scope, VerdictValue

DrawingKind = Literal["missed", "wrong-part", "here", "spurious"]
Shape = Literal["box", "lasso"]
NoteKind = Literal["note", "what-if", "hypothesis"]


@dataclass(frozen=True)
class PeerView:
    """What another reviewer said of a cue."""

    reviewer: str
    value: VerdictValue
    scope: Scope
    reason: str | None


@dataclass(frozen=True)
class DrawingView:
    """A place that a reviewer drew: a missed sign, the wrong part of a cue, "here", or what must
    not count although no cue shows it."""

    id: str
    kind: DrawingKind
    shape: Shape
    points: tuple[tuple[float, float], ...]  # (x, y) in fractions of the image; a box has two
    note: str
    cue_id: str | None  # the cue it speaks of; None for the whole case
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class NoteView:
    """A remark on a case or a concept; `payload` holds what was set (a what-if's sliders)."""

    id: str
    kind: NoteKind
    text: str
    payload: dict[str, Any]
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class CriterionView:
    """One thing that a reviewer rates from 1 to 5, in the project's own words."""

    key: str
    label: str
    text: str  # what 1 and 5 mean


@dataclass(frozen=True)
class LayerView:
    """A picture that can be laid over the image; fetched by the browser when it is wanted."""

    key: str  # "mask", "grad-cam", ...
    name: str
    kind: Literal["mask", "attribution"]
    url: str  # gives an 8-bit grey PNG; "" where the app has no routes (tests)
    about: str = ""  # one line: what is this
