"""A row of a file becomes something that somebody said, or a reason why it cannot."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from core.errors import ConfigError
from dashboard.services.data_forms import TABLES, Column, Row
from dashboard.services.names import MAX_NAME, clean_name
from db.desk_records import DrawingKind, NoteKind, Shape
from db.records import Scope

MOST_TEXT: Final = 100_000  # characters of a comment
MOST_JSON: Final = 1_000_000
VALUES: Final = ("correct", "spurious", "unsure")
_NAMESPACE: Final = uuid.UUID("0d5f3f52-5f8e-5c0a-8f5e-3f0f4c1c7a11")
_CHOICES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("verdicts", "value"): VALUES,
    ("class_verdicts", "value"): VALUES,
    ("column_verdicts", "value"): VALUES,
    ("verdicts", "scope"): get_args(Scope),
    ("drawings", "kind"): get_args(DrawingKind),
    ("drawings", "shape"): get_args(Shape),
    ("notes", "kind"): get_args(NoteKind),
}
# What may be missing from a file made by hand.
_DEFAULTS: Final[dict[str, Any]] = {
    "id": None, "version": None, "dictionary": None, "image": None, "image_sha256": None,
    "scope": "here", "reason": None, "comment": "", "note": "", "given_at": None, "blind": False,
    "ratings": {}, "payload": {}, "agree": None, "corrected_label": None, "concept": None,
}  # fmt: skip
# What a row only shows: looked up anew, never taken from a file.
_SHOWN: Final = frozenset({"concept_name", "prediction", "label", "revision"})


@dataclass(frozen=True)
class Word:
    """Something said, not yet looked up in a project."""

    table: str
    place: str
    id: str
    reviewer: str
    given_at: datetime | None
    values: Mapping[str, Any]  # the other columns of the table, checked

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


def parse(table: str, place: str, row: Row, now: datetime) -> Word:
    """The word that a row tells.

    Raises ConfigError, in words for whoever made the file, where it tells none.
    """
    if "" in row:
        raise ConfigError(str(row[""]))
    values = {
        column.name: _value(table, column, row)
        for column in TABLES[table]
        if column.name not in _SHOWN
    }
    _check(table, values)
    given_at = values.pop("given_at")
    if given_at is not None and given_at > now + timedelta(days=1):
        raise ConfigError("given_at lies in the future")
    name = clean_name(values.pop("reviewer"), "the reviewer's name")
    text = values.pop("id")
    return Word(table, place, _id(text, table, name, given_at, values), name, given_at, values)


def _value(table: str, column: Column, row: Row) -> Any:
    value = row.get(column.name)
    if value is None or value == "":
        if column.name in _DEFAULTS:
            return _DEFAULTS[column.name]
        if column.optional:
            return None
        if value is None or (table, column.name) in _CHOICES or column.name in ("reviewer", "name"):
            raise ConfigError(f"{column.name} is missing")
    found = _READ[column.kind](column.name, value)
    choices = _CHOICES.get((table, column.name))
    if choices is not None and found not in choices:
        raise ConfigError(f"{column.name} must be one of {', '.join(choices)}, not {found!r:.80}")
    return found


def _check(table: str, values: dict[str, Any]) -> None:
    """What a table asks for beyond its columns."""
    if table in ("verdicts", "class_verdicts", "names") and values["concept"] is None:
        raise ConfigError("concept is missing")
    if table in ("verdicts", "assessments", "drawings") and not (
        values["image"] or values["image_sha256"]
    ):
        raise ConfigError("names no image: give image_sha256 or image")
    if table == "assessments":
        _check_assessment(values)
    if table == "drawings":
        _check_points(values["points"])
    if table == "notes" and not isinstance(values["payload"], dict):
        raise ConfigError("payload must be an object")
    if table == "names":
        values["name"] = clean_name(values["name"], "the concept's name")


def _check_assessment(values: dict[str, Any]) -> None:
    ratings = values["ratings"]
    fits = isinstance(ratings, dict) and all(
        type(each) is int and 1 <= each <= 5 and len(key) <= MAX_NAME
        for key, each in ratings.items()
    )
    if not fits:
        raise ConfigError("ratings must be criteria with numbers from 1 to 5")
    said = values["agree"] is not None or values["corrected_label"] or ratings or values["comment"]
    if not said:
        raise ConfigError("says nothing")


def _check_points(points: Any) -> None:
    fits = isinstance(points, list) and all(
        isinstance(each, list)
        and len(each) == 2
        and all(type(at) in (int, float) and math.isfinite(at) for at in each)
        for each in points
    )
    if not fits:
        raise ConfigError("points must be a list of x and y")


def _id(
    text: str | None, table: str, name: str, given_at: datetime | None, values: Mapping[str, Any]
) -> str:
    """The row's own id, or one made of its content, so that a second import finds it."""
    if text is not None:
        try:
            return str(uuid.UUID(text))
        except ValueError:
            raise ConfigError(f"id is not a uuid: {text!r:.80}") from None
    content = json.dumps([table, name, str(given_at), values], sort_keys=True, default=str)
    return str(uuid.uuid5(_NAMESPACE, content))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text")
    if len(value) > MOST_TEXT:
        raise ConfigError(f"{name} is longer than {MOST_TEXT} characters")
    if "\x00" in value or any("\ud800" <= ch <= "\udfff" for ch in value):
        raise ConfigError(f"{name} holds characters that cannot be stored")
    return value


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ConfigError(f"{name} must be a number, not {value!r:.80}")
    return value


def _real(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a number, not {value!r:.80}")
    return float(value)


def _truth(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ConfigError(f"{name} must be true or false, not {value!r:.80}")
    return value


def _time(name: str, value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(_text(name, value))
    except ValueError:
        raise ConfigError(f"{name} is no time: {value!r:.80}") from None
    if found.tzinfo is None:
        raise ConfigError(f"{name} has no time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{name} is no time: {value!r:.80}") from None


def _json(name: str, value: Any) -> Any:
    if isinstance(value, str):
        raise ConfigError(f"{name} is no JSON")
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (ValueError, RecursionError):
        raise ConfigError(f"{name} is no JSON that can be stored") from None
    if size > MOST_JSON:
        raise ConfigError(f"{name} is too large")
    return value


_READ: Final = {
    "text": _text, "int": _whole, "float": _real, "bool": _truth, "time": _time, "json": _json,
}  # fmt: skip
