"""Copies of cases in which the rejected part is other than it was.

Filled copies keep the label and change what the answer must not depend on (counterexamples of
explanatory interactive learning: Teso and Kersting 2019; the same with in-fills: Pfeuffer et al.
2023). Pasted copies keep the label too and get a part that was rejected in another marked case,
whatever its class: after that the artefact says nothing about the label.

Legend: B cases of a batch; "..." the shape of one input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ConfigError
from core.finetuning.config import Fill
from core.finetuning.examples import Batch, Source

Draw = Callable[[], Batch]
"""Other cases, as many as the batch has, drawn from all classes alike."""
_AT_ONCE = 256  # cases read at a time for the statistics


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and spread of the training cases at each place of the input, float32 [...]."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, source: Source) -> Statistics:
        """Of all cases of a source; sums are kept in float64."""
        total, squares = torch.zeros(()), torch.zeros(())
        count = len(source.labels_I)
        for start in range(0, count, _AT_ONCE):
            rows_B = np.arange(start, min(start + _AT_ONCE, count), dtype=np.int64)
            values = source.take(rows_B).inputs.double()
            total, squares = total + values.sum(0), squares + values.square().sum(0)
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt()
        return cls(mean.float(), spread.float())

    def to(self, device: torch.device) -> Statistics:
        """The same on another device."""
        return Statistics(self.mean.to(device), self.spread.to(device))


def fill(
    batch: Batch,
    how: Fill,
    *,
    others: Draw,
    marked: Draw,
    rng: np.random.Generator,
    statistics: Statistics | None = None,
) -> Tensor:
    """The inputs with their rejected parts filled, float32 [B, ...]; the rest is untouched.

    Args:
        batch: cases with `rejected`.
        how: see core.finetuning.config.Fill.
        others, marked: draw B cases; of all, or of the marked ones.
        rng: of the noise.
        statistics: of the training cases; "mean" and "noise" need them.

    Raises:
        ConfigError: nothing is rejected anywhere, or what the fill needs is missing.
    """
    if how == "given":
        if batch.filled is None:
            raise ConfigError('the fill "given" needs cases that come with their filled copies')
        return batch.filled
    if batch.rejected is None:
        raise ConfigError("there is no rejected part to fill")
    content: Tensor
    match how:
        case "others":
            content = others().inputs
        case "marked":
            content = rejected_content(marked())
        case "mean" | "noise":
            content = _typical(batch.inputs, statistics, None if how == "mean" else rng)
        case _:
            assert_never(how)
    return torch.where(batch.rejected, content, batch.inputs)


def _typical(
    inputs: Tensor, statistics: Statistics | None, rng: np.random.Generator | None
) -> Tensor:
    """The mean of the training cases, with normal noise of their spread where there is an rng."""
    if statistics is None:
        raise ConfigError("this fill needs the mean and the spread of the training cases")
    if rng is None:
        return statistics.mean.expand_as(inputs)
    drawn = rng.standard_normal(tuple(inputs.shape), dtype=np.float32)
    return statistics.mean + statistics.spread * torch.from_numpy(drawn).to(inputs.device)


def rejected_content(batch: Batch) -> Tensor:
    """What each case has rejected, spread over the whole input, float32 [B, ...].

    Elsewhere the mean of the rejected part stands, per channel (the first axis of an input) where
    an input has more than one axis. A case without a rejected part gives its own values.
    """
    x = batch.inputs
    if batch.rejected is None:
        return x
    inside = batch.rejected.expand_as(x)
    axes = tuple(range(2, x.ndim)) if x.ndim > 2 else tuple(range(1, x.ndim))
    count = inside.sum(axes, keepdim=True)
    mean = torch.where(inside, x, 0.0).sum(axes, keepdim=True) / count.clamp_min(1)
    return torch.where(inside, x, torch.where(count > 0, mean, x))


def paste(batch: Batch, donors: Batch) -> Tensor:
    """The inputs with the donors' rejected parts laid over them, float32 [B, ...].

    What a person called correct stays in sight: nothing is pasted over `accepted`.
    """
    if donors.rejected is None:
        raise ConfigError("there is no rejected part to paste")
    over = donors.rejected.expand_as(batch.inputs)
    if batch.accepted is not None:
        over = over & ~batch.accepted
    return torch.where(over, donors.inputs, batch.inputs)


def drawing(
    source: Source, pool: NDArray[np.int64], size: int, rng: np.random.Generator,
    device: torch.device,
) -> Draw:  # fmt: skip
    """Draw `size` cases of a pool with replacement, anew at every call."""

    def draw() -> Batch:
        return source.take(rng.choice(pool, size)).to(device)

    return draw
