"""Find the images of a folder: recursive, in a stable order, never outside the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dashboard.services.labels import Problem, canonical

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jfif")
)
IGNORED_FOLDERS = frozenset(("__MACOSX", "__pycache__", "node_modules"))


@dataclass(frozen=True)
class Scan:
    """What a folder holds: image files (relative, sorted) and files that cannot be images."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]


def scan_folder(root: Path, *, also: Iterable[str] = (), without: Iterable[str] = (),
                workspace: Path | None = None) -> Scan:  # fmt: skip
    """Every file with an image's suffix, and those named in `also`, except `without`.

    Hidden files and folders, links to folders and the workspace itself are not entered. Names are
    compared in NFC form. A name in `also` that does not exist is left to the caller.
    """
    wanted = {canonical(name) for name in also}
    excluded = {canonical(name) for name in without} - wanted
    files: list[str] = []
    problems: list[Problem] = []
    notices: list[str] = []
    for relative, linked in _walk(root, workspace):
        if linked:
            notices.append(f"{relative}: a link to a folder, not followed")
            continue
        key = canonical(relative)
        suffix = PurePosixPath(relative).suffix.lower()
        if key in excluded or not (suffix in IMAGE_SUFFIXES or key in wanted):
            continue
        reason = _refusal(root / relative, relative)
        if reason is None:
            files.append(relative)
        else:
            problems.append(Problem(printable(relative), reason))
    return Scan(tuple(files), tuple(problems), tuple(notices))


def printable(name: str) -> str:
    """A file name fit to be stored and shown, whatever bytes the disk has."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _walk(root: Path, workspace: Path | None) -> Iterator[tuple[str, bool]]:
    """(relative path, is a link to a folder) of everything below root, sorted by folder."""
    for folder, names, files in os.walk(root, followlinks=False):
        here = Path(folder)
        names[:] = sorted(name for name in names if not _skipped(here / name, workspace))
        for name in names:
            if (here / name).is_symlink():
                yield (here / name).relative_to(root).as_posix(), True
        for name in sorted(files):
            if not name.startswith("."):
                yield (here / name).relative_to(root).as_posix(), False


def _skipped(folder: Path, workspace: Path | None) -> bool:
    return folder.name.startswith(".") or folder.name in IGNORED_FOLDERS or folder == workspace


def _refusal(path: Path, relative: str) -> str | None:
    """Why a directory entry cannot be an image, or None."""
    if printable(relative) != relative:
        return "its name is not valid UTF-8; rename it"
    try:
        mode = path.stat().st_mode
    except OSError:
        return "a link that leads nowhere" if path.is_symlink() else "cannot be read"
    return None if stat.S_ISREG(mode) else "not a regular file"
