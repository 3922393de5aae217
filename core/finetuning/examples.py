"""What a model is tuned on: cases, their labels, and what people rejected in them.

Legend: I cases; B cases of a batch; "..." the shape of one input; P patches; N concepts;
D embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Batch:
    """Some cases; every tensor has B rows, and what no loss needs may be None."""

    inputs: Tensor  # float32 [B, ...]
    labels_B: Tensor  # int64
    weight_B: Tensor  # float32, >= 0
    rejected: Tensor | None = None  # bool, broadcastable to the inputs
    accepted: Tensor | None = None  # the same: parts that a person called correct
    filled: Tensor | None = None  # float32 [B, ...]: inputs whose rejected part is filled
    region_BP: Tensor | None = None  # bool: rejected patches, for models that read concepts
    concepts_BN: Tensor | None = None  # bool: concepts rejected in the case; None: all of them
    anchor_BPD: Tensor | None = None  # float32: tokens before the tuning

    def select(self, rows_M: Tensor) -> Batch:
        """Only these rows."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[rows_M] for k, v in given.items() if v is not None})

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        if device.type == "cpu":
            return self
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in given.items() if v is not None})


class Source(Protocol):
    """Cases that can be read a batch at a time; `Examples` holds them in memory."""

    @property
    def labels_I(self) -> Tensor:
        """Class of each case, int64 [I]."""
        ...

    @property
    def weight_I(self) -> Tensor | None:
        """Weight of each case, float32 [I], >= 0; None weighs all alike."""
        ...

    @property
    def marked_I(self) -> NDArray[np.bool_]:
        """Whether anything is rejected in each case."""
        ...

    @property
    def identity(self) -> str:
        """Hash over everything that decides the batches."""
        ...

    def take(self, rows_B: NDArray[np.int64]) -> Batch:
        """The cases of these rows, in this order."""
        ...


@dataclass(frozen=True, eq=False)
class Examples:
    """Cases in memory. A `Source`.

    inputs      float32 [I, ...]
    labels_I    int64, class of each case
    rejected    bool [I, ...], 1 allowed for an axis of the inputs: the part that a person called
                spurious; a row without True is a case without a mark. None: no marks at all.
    weight_I    float32, >= 0; any scale (the loop divides by the mean). None weighs all alike.
    accepted    bool like `rejected`: parts called correct; nothing is pasted over them
    filled      float32 like `inputs`: each case with its rejected part filled, for fill="given"
    region_IP, concepts_IN, anchor_IPD   for models that read concepts, see Batch

    Raises:
        ConfigError: shapes do not fit, or a value is not finite.
    """

    inputs: Tensor
    labels_I: Tensor
    rejected: Tensor | None = None
    weight_I: Tensor | None = None
    accepted: Tensor | None = None
    filled: Tensor | None = None
    region_IP: Tensor | None = None
    concepts_IN: Tensor | None = None
    anchor_IPD: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.inputs)
        if count == 0 or not bool(torch.isfinite(self.inputs).all()):
            raise ConfigError("a model is tuned on at least one case, of finite numbers")
        if self.labels_I.shape != (count,) or int(self.labels_I.min()) < 0:
            raise ConfigError(f"labels {list(self.labels_I.shape)} do not fit {count} cases")
        for name, value in self._optional():
            if value is not None and len(value) != count:
                raise ConfigError(f"{name} has {len(value)} rows for {count} cases")
        for name in ("rejected", "accepted"):
            _check_mask(name, getattr(self, name), self.inputs)
        if self.filled is not None and self.filled.shape != self.inputs.shape:
            raise ConfigError("filled has not the shape of the inputs")
        if self.weight_I is not None:
            _check_weights(self.weight_I)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def marked_I(self) -> NDArray[np.bool_]:
        """Whether anything is rejected in each case."""
        for mask in (self.rejected, self.region_IP):
            if mask is not None:
                return np.asarray(mask.flatten(1).any(1).numpy(), np.bool_)
        return np.zeros(len(self), np.bool_)

    @property
    def identity(self) -> str:
        """sha256 over names, types, shapes and bits of all tensors."""
        digest = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                digest.update(f"{field.name} {value.dtype} {list(value.shape)}".encode())
                digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def take(self, rows_B: NDArray[np.int64]) -> Batch:
        """The cases of these rows."""
        rows = torch.from_numpy(rows_B)

        def part(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[rows]

        weight = torch.ones(len(rows)) if self.weight_I is None else self.weight_I[rows]
        return Batch(
            self.inputs[rows], self.labels_I[rows], weight, part(self.rejected),
            part(self.accepted), part(self.filled), part(self.region_IP), part(self.concepts_IN),
            part(self.anchor_IPD),
        )  # fmt: skip

    def subset(self, rows: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Only these cases."""
        kept = torch.as_tensor(np.asarray(rows, np.int64))
        parts = {name: None if v is None else v[kept] for name, v in self._optional()}
        return replace(self, inputs=self.inputs[kept], labels_I=self.labels_I[kept], **parts)

    def _optional(self) -> list[tuple[str, Tensor | None]]:
        names = [f.name for f in fields(self) if f.name not in ("inputs", "labels_I")]
        return [(name, getattr(self, name)) for name in names]


def _check_mask(name: str, mask: Tensor | None, inputs: Tensor) -> None:
    if mask is None:
        return
    fits = mask.ndim == inputs.ndim and all(
        m in (1, s) for m, s in zip(mask.shape[1:], inputs.shape[1:], strict=True)
    )
    if mask.dtype != torch.bool or not fits:
        raise ConfigError(
            f"{name} is bool and broadcastable to {list(inputs.shape)}: "
            f"{mask.dtype} {list(mask.shape)}"
        )


def _check_weights(weight_I: Tensor) -> None:
    fine = bool(torch.isfinite(weight_I).all()) and float(weight_I.min()) >= 0
    if weight_I.ndim != 1 or not fine or float(weight_I.sum()) == 0:
        raise ConfigError("weights are one finite number >= 0 per case, not all of them 0")
