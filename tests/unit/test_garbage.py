"""The collector's callback: sets survivors aside after a slow full collection, and only then."""

import gc
from collections.abc import Iterator

import pytest

from dashboard.services.garbage import SlowCollections, watch


class Fake:
    """A clock that is told what to say, and a freeze that counts."""

    def __init__(self, *times: float) -> None:
        self._times: Iterator[float] = iter(times)
        self.frozen = 0

    def clock(self) -> float:
        return next(self._times)

    def freeze(self) -> None:
        self.frozen += 1


def collect(watcher: SlowCollections, generation: int = 2) -> None:
    watcher("start", {"generation": generation})
    watcher("stop", {"generation": generation, "collected": 0, "uncollectable": 0})


def test_a_slow_full_collection_sets_the_survivors_aside() -> None:
    fake = Fake(1.0, 1.4)
    watcher = SlowCollections(fake.freeze, fake.clock, slow=0.03)
    collect(watcher)
    assert (fake.frozen, watcher.times) == (1, 1)


def test_a_quick_one_does_not() -> None:
    fake = Fake(1.0, 1.02)
    watcher = SlowCollections(fake.freeze, fake.clock, slow=0.03)
    collect(watcher)
    assert (fake.frozen, watcher.times) == (0, 0)


@pytest.mark.parametrize("generation", [0, 1])
def test_younger_generations_are_not_looked_at(generation: int) -> None:
    fake = Fake()  # a look at the clock would fail
    watcher = SlowCollections(fake.freeze, fake.clock)
    collect(watcher, generation)
    assert fake.frozen == 0


def test_a_process_is_watched_once() -> None:
    first = watch()
    try:
        assert watch() is first
        assert gc.callbacks.count(first) == 1
    finally:
        gc.callbacks.remove(first)
        gc.unfreeze()
