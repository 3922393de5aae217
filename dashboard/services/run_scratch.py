"""What one step of a run leaves on disk for the next: JSON and safetensors, written atomically."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import InsightError

if TYPE_CHECKING:
    from core.heads import LinearHead

HEAD = "head.safetensors"


class Scratch:
    """A folder of one run and one set of inputs; other inputs of the same run have another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where a part of the work keeps its own files (checkpoints, tokens); made if missing."""
        place = self._folder / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def has(self, name: str) -> bool:
        """Whether a file was written here."""
        return (self._folder / name).is_file()

    def write_json(self, name: str, content: Any) -> None:
        """Writes a file whole or not at all."""
        self._write(name, json.dumps(content, allow_nan=False).encode("utf-8"))

    def read_json(self, name: str) -> Any:
        """What write_json wrote. Raises InsightError where it has gone."""
        return json.loads(self._read(name))

    def write_head(self, head: LinearHead) -> None:
        """Keeps a head: all that a model version keeps of it, in one file."""
        from safetensors.numpy import save

        from core.bundle_parts import head_parts

        settings, arrays = head_parts(head)
        # safetensors writes the buffer as it lies in memory: a transposed array would come back
        # scrambled, and scikit-learn does return its coefficients column by column.
        contiguous = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        self._write(HEAD, save(contiguous, metadata={"head": json.dumps(settings)}))

    def read_head(self) -> LinearHead:
        """The kept head. Raises BundleError for a damaged file."""
        from safetensors import safe_open

        from core.bundle_parts import read_head

        blob = self._read(HEAD)
        with safe_open(str(self._folder / HEAD), framework="numpy") as opened:
            settings = opened.metadata()["head"]
        return read_head(settings.encode("utf-8"), blob)

    def clear(self) -> None:
        """Removes the folder: the run has succeeded and nothing in it is needed any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

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
                f"the run's intermediate file {name} has gone; start the run anew"
            ) from None
