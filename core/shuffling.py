"""Rows in random order through a bounded pool, and the same order again from any place in it.

Which row goes where depends on the counts of rows and on the generator alone, never on values. So
a position in the order is reached again without reading what was handed out before it: the
shuffle is replayed on row numbers, then only the rows still in the pool are read.

Legend: M rows handed out at a time, D width of a row.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BITS = 32  # a row's number is block << 32 | row within the block


class Blocks(Protocol):
    """Rows that come in blocks, whose sizes are known before or after they are read."""

    def __len__(self) -> int:
        """Count of blocks."""
        ...

    def rows(self, block: int) -> int:
        """Rows of a block, without reading it. Asked only for blocks that were read once."""
        ...

    def read(self, block: int) -> Tensor:
        """Rows [rows, D] of a block; the same bits each time."""
        ...


def shuffled(
    blocks: Blocks, batch: int, buffer: int, rng: np.random.Generator, skip: int = 0
) -> Iterator[Tensor]:
    """Every row once, in random order, in batches.

    Blocks are read in their order into a pool; whenever it holds `buffer` rows, a batch is drawn
    from it at random. Memory: at most buffer (or batch, if that is more) rows and one block.

    Args:
        blocks: where the rows come from.
        batch: rows per batch; only the last one may be shorter.
        buffer: rows in the pool, at least one batch is used.
        rng: consumed; the order is a function of it and the counts of rows.
        skip: leave out so many batches, without reading more than the pool then holds.

    Yields:
        [M, D] in the dtype of the blocks.
    """
    pool, given = _Pool(max(buffer, batch)), 0
    for block in range(len(blocks)):
        if given >= skip:
            pool.add(block, blocks.read(block))
        else:
            pool.add_unread(block, blocks.rows(block))
        while pool.held >= max(buffer, batch):
            rows_MD = pool.draw(batch, rng)
            given += 1
            if given == skip:
                pool.read(blocks)
            if rows_MD is not None and given > skip:
                yield rows_MD
    pool.mix(rng)
    while pool.held and given < skip:
        pool.drop(batch)
        given += 1
    pool.read(blocks)
    yield from torch.split(pool.values(), batch) if pool.held else ()


class _Pool:
    """Row numbers and, unless they are only replayed, their values."""

    def __init__(self, capacity: int) -> None:
        self.held = 0
        self._ids = np.empty(capacity, np.int64)
        self._values_CD: Tensor | None = None

    def add(self, block: int, rows_MD: Tensor) -> None:
        """Take in the rows of a block."""
        start = self.held
        self.add_unread(block, len(rows_MD))
        if self._values_CD is None:
            self._values_CD = rows_MD.new_empty(len(self._ids), rows_MD.shape[1])
        elif len(self._values_CD) < len(self._ids):
            more = len(self._ids) - len(self._values_CD)
            empty = rows_MD.new_empty(more, rows_MD.shape[1])
            self._values_CD = torch.cat((self._values_CD, empty))
        self._values_CD[start : self.held] = rows_MD

    def add_unread(self, block: int, rows: int) -> None:
        """Take in the numbers of a block's rows."""
        more = self.held + rows - len(self._ids)
        if more > 0:
            self._ids = np.concatenate([self._ids, np.empty(more, np.int64)])
        self._ids[self.held : self.held + rows] = (block << _BITS) + np.arange(rows)
        self.held += rows

    def draw(self, size: int, rng: np.random.Generator) -> Tensor | None:
        """Take out `size` random rows; None where values are not read."""
        chosen = rng.choice(self.held, size, replace=False)
        taken = np.zeros(self.held, np.bool_)
        taken[chosen] = True
        keep = self.held - size
        holes, movers = np.flatnonzero(taken[:keep]), keep + np.flatnonzero(~taken[keep:])
        out = None
        if self._values_CD is not None:
            out = self._values_CD[torch.from_numpy(chosen)]
            self._values_CD[torch.from_numpy(holes)] = self._values_CD[torch.from_numpy(movers)]
        self._ids[holes] = self._ids[movers]
        self.held = keep
        return out

    def mix(self, rng: np.random.Generator) -> None:
        """Bring what is held into a random order."""
        order = rng.permutation(self.held)
        self._ids = self._ids[order]
        if self._values_CD is not None:
            self._values_CD = self._values_CD[torch.from_numpy(order)]

    def drop(self, size: int) -> None:
        """Leave out the first rows."""
        self._ids, self.held = self._ids[size:], max(0, self.held - size)
        if self._values_CD is not None:
            self._values_CD = self._values_CD[size:]

    def read(self, blocks: Blocks) -> None:
        """Read the values of all rows held, where that was not done yet."""
        if self._values_CD is not None or not self.held:
            return
        owner = self._ids[: self.held] >> _BITS
        for block in np.unique(owner).tolist():
            rows_MD = blocks.read(block)
            if self._values_CD is None:
                self._values_CD = rows_MD.new_empty(len(self._ids), rows_MD.shape[1])
            places = np.flatnonzero(owner == block)
            self._values_CD[torch.from_numpy(places)] = rows_MD[self._rows_at(places)]

    def values(self) -> Tensor:
        """The values of all rows held, [held, D]. There must be one."""
        assert self._values_CD is not None
        return self._values_CD[: self.held]

    def _rows_at(self, places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._ids[places] & ((1 << _BITS) - 1))
