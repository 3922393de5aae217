"""Resident memory of a process and of everything that it started, as Linux tells it in /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Resident:
    """Resident memory of one process, KiB."""

    now: int
    peak: int


def tree(pid: int) -> dict[int, Resident]:
    """The process `pid` and its descendants; empty where there is no /proc, or it has ended."""
    if not PROC.is_dir():
        return {}
    parents = {each: parent for each in _pids() if (parent := _parent(each)) is not None}
    wanted, todo = set(), [pid]
    while todo:
        found = todo.pop()
        wanted.add(found)
        todo += [child for child, parent in parents.items() if parent == found]
    return {each: seen for each in wanted if (seen := _resident(each)) is not None}


def _pids() -> list[int]:
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it ended meanwhile
    return int(fields.rpartition(")")[2].split()[1])


def _resident(pid: int) -> Resident | None:
    try:
        lines = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines.splitlines() if ":" in line)
    if "VmRSS" not in found or "VmHWM" not in found:
        return None  # it is ending
    return Resident(int(found["VmRSS"].split()[0]), int(found["VmHWM"].split()[0]))
