"""What the viewer says: typed events, parsed strictly from what the browser sends.

The browser is untrusted: unknown kinds, wrong types and over-long texts are dropped here, so
that services see only well-formed requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

from dashboard.viewmodels import REASONS, Scope, VerdictValue

MAX_EVENTS = 200
MAX_COMMENT = 2000


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


@dataclass(frozen=True)
class UndoAsked:
    """Take back the reviewer's latest verdict."""

    id: str
    case_id: str


@dataclass(frozen=True)
class CaseOpened:
    """Go to another case."""

    case_id: str


Event = VerdictGiven | CaseAssessed | UndoAsked | CaseOpened


def parse_events(raw: object) -> tuple[Event, ...]:
    """The well-formed events of what the browser sent, in order; the rest is dropped."""
    if not isinstance(raw, list):
        return ()
    found = (_parse(item) for item in raw[:MAX_EVENTS])
    return tuple(event for event in found if event is not None)


def _parse(item: object) -> Event | None:
    if not isinstance(item, Mapping):
        return None
    try:
        match item.get("kind"):
            case "verdict":
                return _verdict(item)
            case "assess":
                return _assessment(item)
            case "undo":
                return UndoAsked(_uuid(item, "id"), _uuid(item, "case_id"))
            case "open":
                return CaseOpened(_uuid(item, "case_id"))
            case _:
                return None
    except (KeyError, ValueError):
        return None


def _verdict(item: Mapping[Any, Any]) -> VerdictGiven:
    reason = item.get("reason")
    return VerdictGiven(
        id=_uuid(item, "id"),
        cue_id=_uuid(item, "cue_id"),
        case_id=_uuid(item, "case_id"),
        value=_one_of(item["value"], get_args(VerdictValue)),
        scope=_one_of(item["scope"], get_args(Scope)),
        reason=None if reason is None else _one_of(reason, REASONS),
        comment=_comment(item),
        based_on=_revision(item),
    )


def _assessment(item: Mapping[Any, Any]) -> CaseAssessed:
    agree, label = item.get("agree"), item.get("corrected_label")
    if not isinstance(agree, bool | None) or not isinstance(label, str | None):
        raise ValueError("agree or corrected_label of a wrong type")
    return CaseAssessed(
        id=_uuid(item, "id"),
        case_id=_uuid(item, "case_id"),
        agree=agree,
        corrected_label=label,
        comment=_comment(item),
        based_on=_revision(item),
    )


def _uuid(item: Mapping[Any, Any], key: str) -> str:
    value = item[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return str(UUID(value))


def _one_of(value: object, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not allowed")
    return value


def _comment(item: Mapping[Any, Any]) -> str:
    comment = item.get("comment", "")
    if not isinstance(comment, str):
        raise ValueError("the comment is no text")
    return comment[:MAX_COMMENT]


def _revision(item: Mapping[Any, Any]) -> int:
    revision = item["based_on"]
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
        raise ValueError("based_on is no revision")
    return revision
