"""Exports by the clock: what is made when, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Every = Literal["day", "week", "month"]


@dataclass(frozen=True)
class ScheduledRun:
    """One export that a schedule asked for."""

    run_id: str
    state: str  # queued, running, succeeded, failed, cancelled, interrupted
    due: datetime | None  # the time it was due at; None: started by hand
    at: datetime  # when it ended, else when it was asked for
    message: str  # why it failed
    files: tuple[tuple[str, str, int], ...]  # format, path inside the workspace, bytes


@dataclass(frozen=True)
class ScheduleView:
    """One schedule as it stands."""

    id: str
    name: str
    every: Every
    at: str  # "06:00"
    weekday: int  # 0: Monday; only for "week"
    day: int  # 1..31; only for "month"; a month that is shorter: its last day
    tz: str  # IANA zone, "UTC" unless another was chosen
    formats: tuple[str, ...]
    scope: str  # in words
    active: bool
    words: str  # "every Monday at 06:00 UTC"
    by: str
    changed_at: datetime
    revision: int  # give it back as `based_on`
    next_due: datetime | None  # None: paused
    runs: tuple[ScheduledRun, ...] = ()  # newest first
    missing: tuple[str, ...] = ()  # formats that this installation cannot make

    @property
    def failed(self) -> bool:
        """Whether the latest export of it came to nothing."""
        return bool(self.runs) and self.runs[0].state in ("failed", "interrupted")
