"""A few threads that work on fixed ranges of rows.

Kernels let go of the interpreter lock, so Python threads are enough. Compared with numba's own
parallel loops: no third pool that spins beside torch's on a small machine, no abort when two
trainings run in one process, and much faster compilation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Runs a function over ranges in `count` threads; in the caller's where count is 1."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        if count > 1:
            own = torch.get_num_threads()
            self._pool = ThreadPoolExecutor(count, "sae", initializer=_alone)
            started = Barrier(count)  # so that every thread exists before the setting is undone
            list(self._pool.map(lambda _: started.wait(), range(count)))
            torch.set_num_threads(own)  # part of the setting is shared between threads

    def map(self, function: Callable[[int, int], T], size: int, block: int) -> list[T]:
        """function(start, stop) over 0..size in ranges of `block`; results in their order.

        The ranges depend only on size and block, so results do not depend on the threads.
        """
        starts = range(0, size, block)
        if self._pool is None:
            return [function(start, min(start + block, size)) for start in starts]
        stops = [min(start + block, size) for start in starts]
        return list(self._pool.map(function, starts, stops))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _alone() -> None:
    """A worker's own torch products use no further threads."""
    torch.set_num_threads(1)
