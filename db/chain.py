"""The hash chain over what was said: how a row and an entry become a hash. Pure.

Every row of an append-only table has one entry in the chain of its project (audit lines without a
project: in the chain "workspace"). An entry's hash covers the entry before it, so that no entry
can be changed, removed, put in or moved without every later hash being wrong. The hash of a row
covers what was said, not where one database keeps it: `seq` and the number of an audit line are
left out, and SQLite and PostgreSQL give the same hashes.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Double, inspect

from db.columns import TupleJSON, UtcDateTime

TAG = "insight-chain-1"
WORKSPACE = "workspace"  # the chain of audit lines that belong to no project
OWN = {"audit_log": frozenset({"id"})}
"""Columns that number rows within one database; `seq` is one in every table."""
_COLUMNS: dict[str, tuple[tuple[str, Callable[[Any], Any]], ...]] = {}  # per table, read once


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, ASCII only, floats by `repr`: one text per content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def genesis(project: str) -> str:
    """What stands before the first entry of a chain."""
    return digest({"chain": TAG, "project": project, "place": 0})


def entry_hash(
    *, project: str, place: int, former: str, table: str, row_id: str, row_hash: str, behind: int,
    at: datetime,
) -> str:  # fmt: skip
    """The hash of an entry, over the hash of the one before it (`former`).

    Args:
        behind: how many rows earlier in the chain stand later in the database's own order of
            events; 0 but where two writers committed at once. It binds that order to the chain.
        at: when the row was said.
    """
    return digest(
        {
            "chain": TAG,
            "project": project,
            "place": place,
            "former": former,
            "table": table,
            "id": row_id,
            "row": row_hash,
            "behind": behind,
            "at": moment(at),
        }
    )


def moment(at: datetime) -> str:
    """A time as hashes see it: ISO 8601, UTC, microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def row_hash(table: str, content: Mapping[str, Any]) -> str:
    """The hash of a row's content as `content_of` gives it."""
    return digest({"table": table, **{f"={name}": value for name, value in content.items()}})


def content_of(model: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row is hashed, as plain JSON: every column but a database's own."""
    return {name: as_json(values.get(name)) for name, as_json in _columns(model)}


def _columns(model: type[Any]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    table = model.__tablename__
    known = _COLUMNS.get(table)
    if known is not None:
        return known
    left_out = OWN.get(table, frozenset()) | {"seq"}
    _COLUMNS[table] = tuple(
        (attribute.key, _reader(attribute.columns[0].type))
        for attribute in inspect(model).column_attrs
        if attribute.key not in left_out
    )
    return _COLUMNS[table]


def _reader(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, UtcDateTime):
        return lambda value: moment(value) if isinstance(value, datetime) else _plain(value)
    if isinstance(kind, (JSON, TupleJSON)):
        return lambda value: None if value is None else _plain(json.loads(json.dumps(value)))
    if isinstance(kind, Double):
        return lambda value: _plain(float(value) if type(value) is int else value)
    if isinstance(kind, Boolean):
        return lambda value: bool(value) if value in (0, 1) else _plain(value)
    return _plain


def _plain(value: Any) -> Any:
    """What JSON can keep without a change; anything odd as text that says so."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return {type(value).__name__: value.hex() if isinstance(value, bytes) else repr(value)}
