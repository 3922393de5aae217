"""Windows of time, and what other processes did to the cores meanwhile."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class Clock:
    """Seconds per token of every window, by name, and what others did to the cores meanwhile."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wall: float = 0.0
    foreign: float = 0.0  # core seconds

    def window(self, name: str, tokens: int, work: Callable[[], object]) -> None:
        """Run once and note the time per token."""
        busy, own, start = busy_seconds(), sum(os.times()[:2]), time.perf_counter()
        work()
        wall = time.perf_counter() - start
        self.seconds.setdefault(name, []).append(wall / tokens)
        self.wall += wall
        self.foreign += max(0.0, busy_seconds() - busy - (sum(os.times()[:2]) - own))

    def ratios(self, slow: str, fast: str) -> NDArray[np.float64]:
        """slow / fast, window by window."""
        return np.asarray(np.divide(self.seconds[slow], self.seconds[fast]), np.float64)

    def speed(self, name: str) -> float:
        """Tokens per second, median over windows."""
        return float(1.0 / np.median(self.seconds[name]))


def busy_seconds() -> float:
    """Core seconds that the machine was not idle since it started; 0 where it is not told."""
    source = Path("/proc/stat")
    if not source.exists():
        return 0.0
    ticks = [int(x) for x in source.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
