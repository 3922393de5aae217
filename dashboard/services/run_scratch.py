"""What one step of a run leaves on disk for the next: JSON and safetensors, written atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import InsightError

if TYPE_CHECKING:
    from core.heads import LinearHead

HEAD = "head.safetensors"


class Scratch:
    """A folder of one workflow; another attempt of the run has another folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write_json(self, name: str, content: Any) -> None:
        """Writes a file whole or not at all."""
        self._write(name, json.dumps(content, allow_nan=False).encode("utf-8"))

    def read_json(self, name: str) -> Any:
        """What write_json wrote. Raises InsightError where it has gone."""
        return json.loads(self._read(name))

    def write_head(self, head: LinearHead) -> None:
        """Keeps a head: weights as safetensors, the rest as metadata."""
        from safetensors.numpy import save

        meta = {"classes": json.dumps(head.classes), "temperature": repr(head.temperature)}
        # safetensors writes the buffer as it lies in memory: a transposed array would come back
        # scrambled, and scikit-learn does return its coefficients column by column.
        arrays = {
            "weight": np.ascontiguousarray(head.weight_CN),
            "bias": np.ascontiguousarray(head.bias_C),
        }
        self._write(HEAD, save(arrays, metadata=meta))

    def read_head(self) -> LinearHead:
        """The kept head."""
        from safetensors import safe_open

        from core.heads import LinearHead

        self._read(HEAD)
        with safe_open(str(self._folder / HEAD), framework="numpy") as opened:
            meta = opened.metadata()
            return LinearHead(
                opened.get_tensor("weight"),
                opened.get_tensor("bias"),
                tuple(json.loads(meta["classes"])),
                float(meta["temperature"]),
            )

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{name}.{os.getpid()}.tmp"
        fresh.write_bytes(content)
        fresh.replace(self._folder / name)

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise InsightError(
                f"the run's intermediate file {name} has gone; restart the run"
            ) from None
