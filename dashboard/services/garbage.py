"""Keeps the garbage collector from holding up the desk.

Streamlit runs a full collection after every run of a script. With torch, numba and scipy loaded
there are about a million long-lived objects to walk through each time, which holds every thread for
some 400 ms: most of what a verdict waited for. `gc.freeze` takes what is there to stay out of the
walk. Decision 0028 has the figures.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

SLOW = 0.03  # seconds of a full collection above which the survivors are set aside
OLDEST = 2  # the generation that a full collection ends with


class SlowCollections:
    """After a slow full collection, sets its survivors aside: the next one walks only what is new.

    What is set aside is never walked again. It just survived a collection, so it holds no garbage;
    a cycle among it that dies later stays in memory. That is a bounded price, since setting aside
    happens only when a whole batch of new objects (a library, a model) has made collecting slow.
    """

    def __init__(
        self,
        freeze: Callable[[], None] = gc.freeze,
        clock: Callable[[], float] = time.perf_counter,
        slow: float = SLOW,
    ) -> None:
        self._freeze = freeze
        self._clock = clock
        self._slow = slow
        self._began = 0.0
        self.times = 0  # how often survivors were set aside

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        """A callback of the collector (`gc.callbacks`)."""
        if info.get("generation") != OLDEST:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > self._slow:
            self._freeze()
            self.times += 1


def watch() -> SlowCollections:
    """Watch this process's collector from now on; called again it watches no second time."""
    with _LOCK:
        for known in gc.callbacks:
            if isinstance(known, SlowCollections):
                return known
        watcher = SlowCollections()
        gc.callbacks.append(watcher)
        return watcher


_LOCK = threading.Lock()
