"""A file that was made for somebody: where it lies and what it is, byte by byte."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

CHUNK = 2**20  # bytes read at a time


@dataclass(frozen=True)
class MadeFile:
    """One file of a report, of its data forms or of an archive."""

    path: Path
    fmt: str  # "html", "pdf", "json", "csv", "parquet", "coco", "archive", ...
    sha256: str
    size: int  # bytes

    @classmethod
    def of(cls, path: Path, fmt: str) -> MadeFile:
        """The file at `path` as it lies there now. Raises OSError."""
        return cls(path, fmt, sha256_of(path), path.stat().st_size)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write to: it becomes `target` at the end of the block, or nothing is left of it.

    Raises InputError where the file cannot be written.
    """
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(target)
    except OSError as error:
        raise InputError(target.name, f"cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hash of a file of any size, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
