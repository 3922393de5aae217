"""The worker's sign of life: a small file in the workspace that it rewrites every few seconds."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dashboard.settings import Settings

INTERVAL = 5.0  # seconds between two beats
STALE_AFTER = 20.0  # seconds without a beat after which the worker counts as gone


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life: which process, on which host, when (UTC)."""

    pid: int
    host: str
    at: datetime

    def age(self, now: datetime) -> float:
        """Seconds since the beat, never negative."""
        return max(0.0, (now - self.at).total_seconds())


def beat(settings: Settings, *, now: datetime | None = None) -> None:
    """Write this process's sign of life; a reader sees the old one or the new one, whole."""
    moment = now or datetime.now(UTC)
    body = {"pid": os.getpid(), "host": platform.node(), "at": moment.isoformat()}
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps(body), encoding="utf-8")
    fresh.replace(path)


def read(settings: Settings) -> Heartbeat | None:
    """The last sign of life, or None where there never was one or it cannot be read."""
    try:
        raw = json.loads(_path(settings).read_text(encoding="utf-8"))
        return Heartbeat(int(raw["pid"]), str(raw["host"]), datetime.fromisoformat(raw["at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def alive(settings: Settings, now: datetime | None = None) -> bool:
    """True where a worker gave a sign of life lately (and, on this host, still exists)."""
    last = read(settings)
    if last is None or last.age(now or datetime.now(UTC)) > STALE_AFTER:
        return False
    return last.host != platform.node() or _exists(last.pid)


def clear(settings: Settings) -> None:
    """Remove this process's own sign of life, as a worker does when it ends."""
    last = read(settings)
    if last is not None and last.pid == os.getpid():
        _path(settings).unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _path(settings: Settings) -> Path:
    return settings.workspace / "worker.heartbeat.json"
