"""The JSON Schema (2020-12) of the JSON form, drawn from the classes that the form is made of.

The schema lies beside the templates and is shipped with the package; a test keeps it equal to what
`generated` says.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from dashboard.services.data_forms import FORMAT, SCHEMA, TABLES, Column
from dashboard.viewmodels.report_content import CaseContent, ReportContent

FILE: Final = Path(__file__).parent / "templates" / "report.schema.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": ["number", "null"]},  # null: not finite
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
}
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"},
    "bool": {"type": "boolean"}, "time": {"type": "string", "format": "date-time"},
    "json": {"type": ["array", "object"]},
}  # fmt: skip


def shipped() -> str:
    """The schema as it lies in the package."""
    return FILE.read_text(encoding="utf-8")


def generated() -> str:
    """The schema as the classes have it now."""
    found: dict[str, Any] = {}
    content, case = _of(ReportContent, found), _of(CaseContent, found)
    body = {
        "$schema": DIALECT,
        "$id": f"urn:{FORMAT}:{SCHEMA}",
        "title": "Review data of Insight Review",
        "type": "object",
        "required": ["format", "schema", "form", "project", "scope", "rows", "report", "cases",
                     "tables"],
        "properties": {
            "format": {"const": FORMAT}, "schema": {"const": SCHEMA}, "form": {"const": "json"},
            "project": {"type": "string"},
            "classes": {"type": "array", "items": {"type": "string"}},
            "notice": {"type": ["string", "null"]},
            "scope": {"type": "object", "additionalProperties": {"type": "string"}},
            "scope_sentence": {"type": "string"},
            "version": {"type": ["string", "null"]},
            "dictionaries": {"type": "array", "items": {"type": "string"}},
            "rows": _object({name: {"type": "integer"} for name in TABLES}),
            "report": content,
            "cases": {"type": "array", "items": case},
            "tables": _object({
                name: {"type": "array", "items": _object({c.name: _column(c) for c in columns})}
                for name, columns in TABLES.items()
            }),
        },
        "additionalProperties": False,
        "$defs": dict(sorted(found.items())),
    }  # fmt: skip
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def _column(column: Column) -> dict[str, Any]:
    kind = _KINDS[column.kind]
    if column.optional:
        listed = kind["type"] if isinstance(kind["type"], list) else [kind["type"]]
        kind = kind | {"type": [*listed, "null"]}
    return kind | {"description": column.about}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def _of(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; dataclasses are told once, in `found`."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return _of_class(kind, found)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(each, found) for each in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments[-1] is not Ellipsis:
        return {
            "type": "array", "prefixItems": [_of(each, found) for each in arguments],
            "minItems": len(arguments), "maxItems": len(arguments),
        }  # fmt: skip
    if origin in (tuple, list, set, frozenset):
        return {"type": "array", "items": _of(arguments[0], found)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1], found)}
    raise TypeError(f"{kind} has no place in a report")


def _of_class(kind: type[Any], found: dict[str, Any]) -> dict[str, Any]:
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    if name not in found:
        found[name] = {}  # it may hold itself
        hints = get_type_hints(kind)
        shown = {each.name: hints[each.name] for each in fields(kind)}
        about = (kind.__doc__ or "").strip().splitlines()[0]
        found[name] = {"description": about} | _object(
            {key: _of(hint, found) for key, hint in shown.items() if hint is not bytes}
        )
    return {"$ref": f"#/$defs/{name}"}
