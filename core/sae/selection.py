"""Which activations a batch keeps: exact, without sorting the batch.

Tensors of pre-activations (the torch path) and blocks of their bits (the numba path), chosen by
the same rules.

Legend: M tokens, N latents, C columns (N, padded), R rows of a block, B blocks, Z kept entries,
K entries per row.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

import numpy as np
import torch
from torch import Tensor

from core.sae.config import SAEConfig
from core.sae.kernels import Array, keep_largest, scan, scan_rows

SAMPLE_STRIDE: Final = 61
"""Every 61st activation is sampled: a prime, so that no dictionary size aliases with it."""


def select_largest(pre_MN: Tensor, keep: int) -> Tensor:
    """Flat positions of the `keep` largest positive values, ascending, int64 [Z <= keep].

    Exact. A full top-k over M*N values is slow on a CPU, so a sample first gives a floor that
    is almost surely below the answer; the top-k then runs over what lies above it, and over all
    positive values where the floor was too high after all.
    """
    flat = pre_MN.flatten()
    floor = floor_of_sample(flat[::SAMPLE_STRIDE], keep)
    above = torch.nonzero(flat > floor).squeeze(1)
    if len(above) < keep and floor > 0:
        above = torch.nonzero(flat > 0).squeeze(1)
    if len(above) > keep:
        chosen = torch.topk(flat[above], keep, sorted=False).indices
        above = above[chosen.sort().values]
    return above


def floor_of_sample(sample: Tensor, keep: int) -> float:
    """A value that about 1.2 * keep entries (and 4 standard deviations more) exceed, or 0.

    Args:
        sample: every SAMPLE_STRIDE-th value.
        keep: how many of all values are wanted.
    """
    expected = keep / SAMPLE_STRIDE
    rank = math.ceil(1.2 * expected + 4 * math.sqrt(expected) + 4)
    if rank >= len(sample):
        return 0.0
    return max(0.0, float(torch.topk(sample, rank).values[-1]))


def largest_per_row(pre_MN: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` largest positive values of every row, strongest first within the row.

    Returns:
        flat positions and ranks within the row (0 is the strongest), both int64 [Z], by row.
    """
    top = torch.topk(pre_MN, min(keep, pre_MN.shape[1]), dim=1)
    rows_M1 = torch.arange(len(pre_MN), device=pre_MN.device).unsqueeze(1)
    ranks_K = torch.arange(top.values.shape[1], device=pre_MN.device)
    positive = top.values > 0
    flat_MK = top.indices + rows_M1 * pre_MN.shape[1]
    return flat_MK[positive], ranks_K.expand_as(flat_MK)[positive]


@dataclass(frozen=True)
class Chosen:
    """The entries that a variant keeps of a batch: by row, and by rising level within a row."""

    first_M: Array  # int64 [M + 1], first entry of every row
    row_Z: Array  # int32
    column_Z: Array  # int32
    level_Z: Array  # uint8
    smallest: float | None  # smallest of the batch's k*M largest positive; None without any


class Selector(Protocol):
    """Chooses entries while blocks of pre-activations come in, in any order of the blocks."""

    def start(self, rows: int, block: int) -> None:
        """Get ready for a batch of rows that comes in blocks of `block` rows."""
        ...

    def see(self, block: int, keys_RC: Array) -> None:
        """Look at the pre-activations of one block (bits, see `core.sae.kernels.scan`)."""
        ...

    def finish(self, keys_MC: Array) -> Chosen:
        """The choice, once every block was seen; the whole batch is given for a second look."""
        ...


def make_selector(config: SAEConfig, bias_C: Array, shift: int) -> Selector:
    """The selector of a variant.

    Args:
        bias_C: float32, looked at in every batch; minus infinity in padded columns.
        shift: 16 for bfloat16 pre-activations, 0 for float32.
    """
    match config.variant:
        case "matryoshka" | "batch-topk":
            return BatchSelector(config, bias_C, shift)
        case "topk" | "nested-k":
            return RowSelector(config, bias_C, shift)
        case _:
            assert_never(config.variant)


class BatchSelector:
    """The k*M largest of the batch, exactly.

    Blocks are scanned for what lies above a floor a little under the last batch's cut, and the
    k*M largest are taken of these survivors. Where the floor was too high (or the blocks held
    more than there was room for) a sample of the batch gives another one. So the floor only
    decides how long it takes, never what is chosen.
    """

    def __init__(self, config: SAEConfig, bias_C: Array, shift: int) -> None:
        self._k, self._bias_C, self._shift = config.k, bias_C, shift
        self._level_N = np.repeat(np.arange(len(config.groups), dtype=np.uint8), config.groups)
        self._floor, self._margin = math.inf, 0.05
        self._rows, self._block = 0, 1
        self._counts: list[int] = []
        self._at_BZ = np.zeros((0, 0), np.int64)
        self._value_BZ = np.zeros((0, 0), np.float32)

    def start(self, rows: int, block: int) -> None:
        """See `Selector`."""
        self._rows, self._block = rows, block
        self._counts = [0] * math.ceil(rows / block)
        self._make_room(2 * self._k * block)

    def see(self, block: int, keys_RC: Array) -> None:
        """See `Selector`."""
        at_Z, value_Z = self._at_BZ[block], self._value_BZ[block]
        floor = np.float32(self._floor)
        self._counts[block] = scan(keys_RC, self._shift, self._bias_C, floor, at_Z, value_Z)

    def finish(self, keys_MC: Array) -> Chosen:
        """See `Selector`."""
        keep = self._k * self._rows
        for floor in self._other_floors(keys_MC, keep):
            self._floor = floor
            self._look_again(keys_MC)
            if max(self._counts) > self._at_BZ.shape[1]:
                self._make_room(max(self._counts))
                self._look_again(keys_MC)
            if sum(self._counts) >= keep:
                break
        return self._choose(keep, keys_MC.shape[1])

    def _other_floors(self, keys_MC: Array, keep: int) -> Iterator[float]:
        """Floors to try when the present one does not serve; the last one lets all pass."""
        found = sum(self._counts)
        if found >= keep and max(self._counts) <= self._at_BZ.shape[1]:
            return
        if found >= keep:  # more than there was room for
            self._margin *= 0.6
        elif math.isfinite(self._floor):
            self._margin = min(2 * self._margin, 0.5)
        sample = keys_MC.reshape(-1)[::SAMPLE_STRIDE].astype(np.uint32)
        values = (sample << np.uint32(self._shift)).view(np.float32)
        columns = np.arange(0, keys_MC.size, SAMPLE_STRIDE) % keys_MC.shape[1]
        yield floor_of_sample(torch.from_numpy(values + self._bias_C[columns]), keep)
        yield 0.0

    def _look_again(self, keys_MC: Array) -> None:
        for block, start in enumerate(range(0, self._rows, self._block)):
            self.see(block, keys_MC[start : start + self._block])

    def _make_room(self, entries: int) -> None:
        blocks = len(self._counts)
        if self._at_BZ.shape[0] < blocks or self._at_BZ.shape[1] < entries:
            self._at_BZ = np.empty((blocks, entries), np.int64)
            self._value_BZ = np.empty((blocks, entries), np.float32)

    def _choose(self, keep: int, width: int) -> Chosen:
        used = list(enumerate(self._counts))
        value_Z = np.concatenate([self._value_BZ[b, :count] for b, count in used])
        offset = self._block * width  # positions count from the start of their block
        at_Z = np.concatenate([self._at_BZ[b, :count] + b * offset for b, count in used])
        smallest = None
        if len(value_Z) > keep:
            cut = np.partition(value_Z, len(value_Z) - keep)[len(value_Z) - keep]
            kept_Z = np.empty(keep, np.int64)
            keep_largest(value_Z, cut, keep - int((value_Z > cut).sum()), kept_Z)
            crowd = len(value_Z) / keep
            self._margin *= 0.8 if crowd > 1.5 else 1.05 if crowd < 1.05 else 1.0
            at_Z, smallest = at_Z[kept_Z], float(cut)
        elif len(value_Z):
            smallest = float(value_Z.min())
        self._floor = max(0.0, (1 - self._margin) * smallest) if smallest else math.inf
        row_Z = (at_Z // width).astype(np.int32)
        column_Z = (at_Z % width).astype(np.int32)
        first_M = np.searchsorted(row_Z, np.arange(self._rows + 1))
        return Chosen(first_M, row_Z, column_Z, self._level_N[column_Z], smallest)


class RowSelector:
    """The k largest of every row, exactly; the level is the tier of the rank (nested-k) or 0.

    `smallest` is still that of the k*M largest of the batch: one threshold for all tokens then
    lets k latents per token through on average, which the smallest of all rows would not.
    """

    def __init__(self, config: SAEConfig, bias_C: Array, shift: int) -> None:
        self._k, self._bias_C, self._shift = config.k, bias_C, shift
        tiers = config.tiers if config.variant == "nested-k" else (config.k,)
        self._level_K = np.searchsorted(tiers, np.arange(config.k), side="right").astype(np.uint8)
        self._block = 1
        self._whole = BatchSelector(config, bias_C, shift)
        self._column_MK = np.zeros((0, self._k), np.int32)
        self._value_MK = np.zeros((0, self._k), np.float32)
        self._count_M = np.zeros(0, np.int64)

    def start(self, rows: int, block: int) -> None:
        """See `Selector`."""
        self._block = block
        self._whole.start(rows, block)
        self._column_MK = np.zeros((rows, self._k), np.int32)
        self._value_MK = np.zeros((rows, self._k), np.float32)
        self._count_M = np.zeros(rows, np.int64)

    def see(self, block: int, keys_RC: Array) -> None:
        """See `Selector`."""
        rows = slice(block * self._block, block * self._block + len(keys_RC))
        out = self._column_MK[rows], self._value_MK[rows], self._count_M[rows]
        scan_rows(keys_RC, self._shift, self._bias_C, *out)
        self._whole.see(block, keys_RC)

    def finish(self, keys_MC: Array) -> Chosen:
        """See `Selector`."""
        rows = len(self._count_M)
        used_MK = np.arange(self._k) < self._count_M[:, None]
        first_M = np.concatenate([[0], np.cumsum(self._count_M)]).astype(np.int64)
        row_MK = np.broadcast_to(np.arange(rows, dtype=np.int32)[:, None], used_MK.shape)
        level_MK = np.broadcast_to(self._level_K, used_MK.shape)
        return Chosen(
            first_M,
            row_MK[used_MK],
            self._column_MK[used_MK],
            level_MK[used_MK],
            self._whole.finish(keys_MC).smallest,
        )
