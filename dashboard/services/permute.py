"""An order of its own for each reviewer, without storing one: a keyed permutation of 0..n-1.

A Feistel network over the smallest even number of bits that holds n, walked until the value
falls below n again (cycle walking, Black and Rogaway 2002; four walks at most on average). Both
directions cost the same, so that "the case after this one" and "the place of this case" never
need the whole order, however long the queue is. The key comes from the project's seed and the
reviewer's id: the same seed gives everybody the same order again, and no two people the same.

It shuffles; it is no cipher. A queue that grows is shuffled anew.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

ROUNDS = 6


class Permutation:
    """A bijection of range(n).

    >>> order = Permutation(5, "key")
    >>> sorted(order.at(place) for place in range(5)), order.place(order.at(3))
    ([0, 1, 2, 3, 4], 3)
    """

    def __init__(self, n: int, key: str) -> None:
        if n < 0:
            raise ValueError(f"there is no range of {n}")
        self.n = n
        self._half = max(1, (max(n - 1, 0).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = tuple(_digest(f"{key}/{turn}".encode()) for turn in range(ROUNDS))

    def at(self, place: int) -> int:
        """What stands at a place."""
        self._check(place)
        value = self._forward(place)
        while value >= self.n:
            value = self._forward(value)
        return value

    def place(self, item: int) -> int:
        """Where an item stands: the inverse of `at`."""
        self._check(item)
        value = self._backward(item)
        while value >= self.n:
            value = self._backward(value)
        return value

    def _check(self, value: int) -> None:
        if not 0 <= value < self.n:
            raise IndexError(f"{value} is outside 0..{self.n - 1}")

    def _forward(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right, key) & self._mask)
        return left << self._half | right

    def _backward(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for key in reversed(self._keys):
            left, right = right ^ (_mix(left, key) & self._mask), left
        return left << self._half | right


@lru_cache(maxsize=256)
def for_reviewer(n: int, seed: int, reviewer_id: str) -> Permutation:
    """The order in which one reviewer meets the n cases of a queue."""
    return Permutation(n, f"{seed}/{reviewer_id}")


def _digest(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def _mix(value: int, key: int) -> int:
    """A 64-bit finaliser (splitmix64): every bit of value and key reaches the low bits."""
    mixed = (value + key) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return mixed ^ (mixed >> 31)
