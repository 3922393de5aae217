"""What the viewer says: typed events, parsed strictly from what the browser sends.

The browser is untrusted: unknown kinds, wrong types and over-long texts are dropped here, so
that services see only well-formed requests.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from uuid import UUID

from dashboard.viewmodels import Scope, VerdictValue
from dashboard.viewmodels.marks import DrawingKind, NoteKind, Shape

MAX_EVENTS = 200
MAX_COMMENT = 2000
MAX_POINTS = 2000  # of one lasso
MAX_PAYLOAD = 20_000  # characters of a note's payload as JSON
MAX_NAME = 200
RATINGS = range(1, 6)

Mode = Literal["review", "diagnose", "validate", "discover"]
Mark = Literal["skip", "flag", "escalate", "resolve"]
Way = Literal["next", "previous", "direct"]


@dataclass(frozen=True)
class VerdictGiven:
    """A verdict on one cue; `id` is made by the browser, so that a repeat is harmless."""

    id: str
    cue_id: str
    case_id: str
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    based_on: int


@dataclass(frozen=True)
class CaseAssessed:
    """A word on the whole case."""

    id: str
    case_id: str
    agree: bool | None
    corrected_label: str | None
    comment: str
    based_on: int
    ratings: Mapping[str, int] = field(default_factory=dict)  # criterion key, 1 to 5


@dataclass(frozen=True)
class UndoAsked:
    """Take back the reviewer's latest word, whatever kind it was."""

    id: str
    case_id: str


@dataclass(frozen=True)
class Drawn:
    """A place that the reviewer drew on the picture."""

    id: str
    case_id: str
    cue_id: str | None
    kind: DrawingKind
    shape: Shape
    points: tuple[tuple[float, float], ...]  # (x, y) in fractions of the image; a box has two
    note: str


@dataclass(frozen=True)
class Erased:
    """Take a drawing away."""

    id: str
    case_id: str
    drawing_id: str


@dataclass(frozen=True)
class Noted:
    """A remark on the case; `payload` holds a what-if's sliders."""

    id: str
    case_id: str
    kind: NoteKind
    text: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Marked:
    """Skip, flag or escalate the case, or say that this is settled."""

    id: str
    case_id: str
    kind: Mark
    reason: str


@dataclass(frozen=True)
class Pinned:
    """Put the case into a collection of case studies."""

    id: str
    case_id: str
    collection_id: str | None  # None: the collection called `title`, new if there is none
    title: str
    note: str


@dataclass(frozen=True)
class CaseOpened:
    """Go to another case."""

    case_id: str
    how: Way = "direct"


@dataclass(frozen=True)
class ModeChosen:
    """Ask another question of the same desk."""

    mode: Mode


Said = VerdictGiven | CaseAssessed | UndoAsked | Drawn | Erased | Noted | Marked | Pinned
"""What is stored and answered; the other events only move about."""
Event = Said | CaseOpened | ModeChosen

Item = Mapping[Any, Any]


def parse_events(raw: object) -> tuple[Event, ...]:
    """The well-formed events of what the browser sent, in order; the rest is dropped."""
    if not isinstance(raw, list):
        return ()
    found = (_parse(item) for item in raw[:MAX_EVENTS])
    return tuple(event for event in found if event is not None)


def _parse(item: object) -> Event | None:
    if not isinstance(item, Mapping):
        return None
    kind = item.get("kind")
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        return None
    try:
        return parse(item)
    except (KeyError, ValueError):
        return None


def _verdict(item: Item) -> VerdictGiven:
    return VerdictGiven(
        id=_uuid(item, "id"),
        cue_id=_uuid(item, "cue_id"),
        case_id=_uuid(item, "case_id"),
        value=_one_of(item["value"], get_args(VerdictValue)),
        scope=_one_of(item["scope"], get_args(Scope)),
        reason=_reason(item.get("reason")),
        comment=_text(item, "comment"),
        based_on=_revision(item),
    )


def _assessment(item: Item) -> CaseAssessed:
    agree, label = item.get("agree"), item.get("corrected_label")
    if not isinstance(agree, bool | None) or not isinstance(label, str | None):
        raise ValueError("agree or corrected_label of a wrong type")
    return CaseAssessed(
        id=_uuid(item, "id"),
        case_id=_uuid(item, "case_id"),
        agree=agree,
        corrected_label=label,
        comment=_text(item, "comment"),
        based_on=_revision(item),
        ratings=_ratings(item.get("ratings", {})),
    )


def _undo(item: Item) -> UndoAsked:
    return UndoAsked(_uuid(item, "id"), _uuid(item, "case_id"))


def _drawing(item: Item) -> Drawn:
    shape: Shape = _one_of(item["shape"], get_args(Shape))
    cue_id = item.get("cue_id")
    return Drawn(
        id=_uuid(item, "id"),
        case_id=_uuid(item, "case_id"),
        cue_id=None if cue_id is None else _uuid(item, "cue_id"),
        kind=_one_of(item["drawing"], get_args(DrawingKind)),
        shape=shape,
        points=_points(item["points"], shape),
        note=_text(item, "note"),
    )


def _erased(item: Item) -> Erased:
    return Erased(_uuid(item, "id"), _uuid(item, "case_id"), _uuid(item, "drawing_id"))


def _note(item: Item) -> Noted:
    payload = item.get("payload", {})
    if not isinstance(payload, dict) or len(json.dumps(payload)) > MAX_PAYLOAD:
        raise ValueError("the payload is no small object")
    return Noted(
        id=_uuid(item, "id"),
        case_id=_uuid(item, "case_id"),
        kind=_one_of(item["note"], get_args(NoteKind)),
        text=_text(item, "text"),
        payload=payload,
    )


def _mark(item: Item) -> Marked:
    mark: Mark = _one_of(item["mark"], get_args(Mark))
    return Marked(_uuid(item, "id"), _uuid(item, "case_id"), mark, _text(item, "reason"))


def _pin(item: Item) -> Pinned:
    collection = item.get("collection_id")
    return Pinned(
        id=_uuid(item, "id"),
        case_id=_uuid(item, "case_id"),
        collection_id=None if collection is None else _uuid(item, "collection_id"),
        title=_text(item, "title", MAX_NAME),
        note=_text(item, "note"),
    )


def _opened(item: Item) -> CaseOpened:
    how: Way = _one_of(item.get("how", "direct"), get_args(Way))
    return CaseOpened(_uuid(item, "case_id"), how)


def _mode(item: Item) -> ModeChosen:
    return ModeChosen(_one_of(item["mode"], get_args(Mode)))


_PARSERS: dict[str, Callable[[Item], Event]] = {
    "verdict": _verdict,
    "assess": _assessment,
    "undo": _undo,
    "draw": _drawing,
    "erase": _erased,
    "note": _note,
    "mark": _mark,
    "pin": _pin,
    "open": _opened,
    "mode": _mode,
}


def _uuid(item: Item, key: str) -> str:
    value = item[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return str(UUID(value))


def _one_of(value: object, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not allowed")
    return value


def _reason(value: object) -> str | None:
    """A reason; whether the project lists it is the service's to say."""
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise ValueError("the reason is no short text")
    return value


def _text(item: Item, key: str, most: int = MAX_COMMENT) -> str:
    text = item.get(key, "")
    if not isinstance(text, str):
        raise ValueError(f"{key} is no text")
    return text[:most]


def _revision(item: Item) -> int:
    revision = item["based_on"]
    if not _whole(revision) or revision < 0:
        raise ValueError("based_on is no revision")
    return int(revision)


def _ratings(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ValueError("the ratings are no object")
    for key, rating in value.items():
        if not isinstance(key, str) or len(key) > MAX_NAME:
            raise ValueError("a criterion is no short text")
        if not _whole(rating) or rating not in RATINGS:
            raise ValueError("a rating is not one of 1 to 5")
    return dict(value)


def _points(value: object, shape: Shape) -> tuple[tuple[float, float], ...]:
    least, most = (2, 2) if shape == "box" else (3, MAX_POINTS)
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ValueError("a box has two points, a lasso three or more")
    return tuple(_point(pair) for pair in value)


def _point(pair: object) -> tuple[float, float]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError("a point is not two numbers")
    x, y = (float(at) if _number(at) else math.nan for at in pair)
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError("a point lies outside the image")
    return x, y


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
