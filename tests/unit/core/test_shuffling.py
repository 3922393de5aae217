from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.shuffling import shuffled


class Numbered:
    """Blocks of rows that hold their own numbers; counts what is read."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, block: int) -> int:
        return self.sizes[block]

    def read(self, block: int) -> Tensor:
        self.reads.append(block)
        first = sum(self.sizes[:block])
        return torch.arange(first, first + self.sizes[block]).float().unsqueeze(1)


def order(blocks: Numbered, batch: int, buffer: int, seed: int = 0, skip: int = 0) -> list[Tensor]:
    return list(shuffled(blocks, batch, buffer, np.random.default_rng(seed), skip))


SIZES = st.lists(st.integers(0, 9), max_size=12)


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, batch=st.integers(1, 12), buffer=st.integers(1, 40), skip=st.integers(0, 30))
def test_every_row_once_and_any_place_is_reached_again(
    sizes: list[int], batch: int, buffer: int, skip: int
) -> None:
    whole = order(Numbered(sizes), batch, buffer)
    rows = torch.cat([torch.zeros(0, 1), *whole]).flatten().tolist()
    assert sorted(rows) == list(range(sum(sizes)))
    assert all(len(part) == batch for part in whole[:-1])
    rest = order(Numbered(sizes), batch, buffer, skip=skip)
    assert [part.tolist() for part in rest] == [part.tolist() for part in whole[skip:]]


def test_the_order_is_random_and_depends_on_the_seed() -> None:
    first, again, other = (order(Numbered([50] * 4), 10, 80, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.cat(first), torch.cat(again))
    assert not torch.equal(torch.cat(first), torch.cat(other))
    assert torch.cat(first).flatten().tolist() != list(range(200))


def test_a_place_is_reached_without_reading_what_went_before() -> None:
    """With a pool of 20 of 1000 rows, hardly any of the first 800 is still held."""
    blocks = Numbered([10] * 100)
    rest = order(blocks, 10, 20, skip=80)
    assert len(rest) == 20
    assert len(blocks.reads) < 35
    assert min(blocks.reads) > 50


def test_the_pool_is_bounded() -> None:
    """A row leaves the pool no earlier than it was read, and at most buffer + block are inside."""
    blocks = Numbered([10] * 30)
    given_out = 0
    for part in shuffled(blocks, 5, 25, np.random.default_rng(0)):
        assert 10 * len(blocks.reads) - given_out <= 25 + 10
        given_out += len(part)
