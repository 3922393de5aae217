"""What dbos stores between steps: JSON, never pickle."""

from __future__ import annotations

import json
from typing import Any

from dbos import Serializer


class WorkflowFailure(RuntimeError):
    """An exception of a workflow, read back from the worker's database by its text."""


class JsonSerializer(Serializer):
    """Plain JSON; an exception travels as its type's name and its text."""

    def serialize(self, data: Any) -> str:
        """JSON of arguments, of a step's result, or of an exception."""
        if isinstance(data, BaseException):
            return json.dumps({"__error__": f"{type(data).__name__}: {data}"})
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        """The value again; tuples have become lists."""
        value = json.loads(serialized_data)
        if isinstance(value, dict) and set(value) == {"__error__"}:
            return WorkflowFailure(value["__error__"])
        return value

    def name(self) -> str:
        """How dbos tells rows of this kind from others."""
        return "insight_json"
