"""Values of columns as JSON and back, alike for every back end."""

import base64
import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, String

from db.columns import TupleJSON, UtcDateTime, ZlibBytes
from db.errors import InvalidValue


def as_json(column: Column[Any], value: Any) -> Any:
    """A value that json.dumps(allow_nan=False) takes."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # "inf", "-inf", "nan": JSON has no word for them
    return value


def from_json(column: Column[Any], value: Any) -> Any:
    """What `as_json` was given. Raises InvalidValue for anything that is not of the column's type.

    The value is checked, not trusted: it may have been written by anybody.
    """
    if value is None:
        if column.nullable or column.type.should_evaluate_none:
            return None
        raise InvalidValue(f"{column.name} is empty")
    for kind, read in _READERS:
        if isinstance(column.type, kind):
            try:
                return read(value)
            except (ValueError, TypeError, OverflowError, binascii.Error):
                break
    raise InvalidValue(f"{column.name} holds a value that does not fit")


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError
    value.encode("utf-8")  # lone surrogates
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _real(value: Any) -> float:
    if type(value) is str and value in ("inf", "-inf", "nan"):
        return float(value)
    if type(value) not in (int, float):
        raise ValueError
    return float(value)


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _time(value: Any) -> datetime:
    found = datetime.fromisoformat(_text(value))
    if found.tzinfo is None:
        raise ValueError
    return found.astimezone(UTC)


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError
    return value


# In this order: a decorated type is no instance of the type that it decorates.
_READERS: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (UtcDateTime, _time),
    (TupleJSON, _list),
    (ZlibBytes, _bytes),
    (LargeBinary, _bytes),
    (Boolean, _truth),
    (Integer, _whole),
    (Float, _real),
    (JSON, _object),
    (String, _text),
)
