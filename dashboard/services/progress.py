"""Progress of long work: a callable that takes a fraction in [0, 1] and the name of the stage."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(fraction: float, stage: str) -> None:
    """Progress for callers that do not watch."""


def part(progress: Progress, low: float, high: float) -> Progress:
    """The progress of one stage, mapped from [0, 1] onto [low, high] of the whole."""

    def report(fraction: float, stage: str) -> None:
        progress(low + (high - low) * min(max(fraction, 0.0), 1.0), stage)

    return report
