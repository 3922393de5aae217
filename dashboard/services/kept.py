"""Figures that take a pass over everything, kept until something was said."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")
PATIENCE: Final = 10.0  # how many times the time it took a value may be behind
QUICK: Final = 0.5  # seconds; what takes less is always fresh
MOST: Final = 16  # values


@dataclass(frozen=True)
class _Kept(Generic[Value]):
    stamp: Hashable
    at: float
    took: float
    value: Value


class Kept(Generic[Value]):
    """Values by key; safe to share between threads, and each is made once at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, _Kept[Value]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def of(self, key: Hashable, stamp: Hashable, make: Callable[[], Value]) -> Value:
        """The value for a stamp; one that was costly may be a little behind it."""
        with self._lock:
            known = self._values.get(key)
            making = self._making.setdefault(key, threading.Lock())
        if known is not None and self._good(known, stamp):
            return known.value
        with making:
            with self._lock:
                known = self._values.get(key)  # another thread may have made it meanwhile
            if known is not None and self._good(known, stamp):
                return known.value
            start = self._clock()
            value = make()
            now = self._clock()
            with self._lock:
                self._values[key] = _Kept(stamp, now, now - start, value)
                self._values.move_to_end(key)
                while len(self._values) > MOST:
                    gone, _ = self._values.popitem(last=False)
                    self._making.pop(gone, None)
        return value

    def _good(self, known: _Kept[Value], stamp: Hashable) -> bool:
        age = self._clock() - known.at
        return known.stamp == stamp or (known.took > QUICK and age < PATIENCE * known.took)
