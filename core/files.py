"""Writing files so that a kill at any moment leaves the old content or the new, never a part."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON (UTF-8) atomically: to a temporary file beside it, synced, then renamed."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(content, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable, where the system can."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_blocks(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a file in blocks of `size`."""
    with path.open("rb") as handle:
        while block := handle.read(size):
            yield block


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    for block in file_blocks(path):
        digest.update(block)
    return digest.hexdigest()
