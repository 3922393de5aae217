"""Progress of long work, told to a caller at a bearable rate."""

import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
PAUSE = 0.25  # least seconds between two reports of one stage


def paced(progress: Progress | None, pause: float = PAUSE) -> Progress:
    """Pass reports on at most every `pause` seconds; the first and the last always pass.

    The share told never falls.
    """
    last_time, last_share = -float("inf"), 0.0

    def tell(share: float, stage: str) -> None:
        nonlocal last_time, last_share
        now = time.monotonic()
        if progress is None or (now - last_time < pause and share < 1.0):
            return
        last_time, last_share = now, max(last_share, min(share, 1.0))
        progress(last_share, stage)

    return tell


def part(progress: Progress, low: float, high: float, stage: str) -> Progress:
    """Progress of one part of the work, which spans low..high of the whole."""

    def tell(share: float, detail: str) -> None:
        progress(low + (high - low) * share, f"{stage}: {detail}")

    return tell
