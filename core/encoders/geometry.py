"""From pixels to one grid of patches: input size, sliding windows, and how they are put together.

Legend: Y, X input rows and columns in pixels; G, V patch grid of the whole input; g, v patch grid
of one window (P = g*v patches); B images, K windows, D channels.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from core.encoders.spec import EncoderSpec
from core.errors import EncoderError

Side = TypeVar("Side", int, Tensor)


@dataclass(frozen=True)
class Geometry:
    """Input size, patches and windows of an encoder; without windows there is one, the whole."""

    size: tuple[int, int]  # (Y, X) pixels
    patch: tuple[int, int]  # pixels of a patch, rows and columns
    window: tuple[int, int]  # pixels of a window; equal to `size` without windows
    starts: tuple[tuple[int, int], ...]  # upper left corner of each window, in patches

    @property
    def grid(self) -> tuple[int, int]:
        """(G, V)."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]

    @property
    def window_grid(self) -> tuple[int, int]:
        """(g, v)."""
        return self.window[0] // self.patch[0], self.window[1] // self.patch[1]

    @property
    def windowed(self) -> bool:
        """Whether there is more than one window."""
        return len(self.starts) > 1

    def cut_pixels(self, pixels_BCYX: Tensor) -> Tensor:
        """The windows of a batch, [B*K, C, y, x], the windows of an image side by side."""
        (high, wide), (height, width) = self.patch, self.window
        parts = [
            pixels_BCYX[:, :, row * high : row * high + height, col * wide : col * wide + width]
            for row, col in self.starts
        ]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def cut_grid(self, values_BGV: Tensor) -> Tensor:
        """The cells of each window, [B*K, P], row-major."""
        rows, columns = self.window_grid
        parts = [values_BGV[:, r : r + rows, c : c + columns].flatten(1) for r, c in self.starts]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def add_up(self, values_MPD: Tensor) -> Tensor:
        """Sum over the windows that hold a patch, [B, G*V, D], from [B*K, P, D]; differentiable."""
        (rows, columns), (high, wide) = self.window_grid, self.grid
        images = len(values_MPD) // len(self.starts)
        parts_BKgvD = values_MPD.view(images, len(self.starts), rows, columns, -1)
        total_BGVD = values_MPD.new_zeros(images, high, wide, values_MPD.shape[-1])
        for k, (r, c) in enumerate(self.starts):
            total_BGVD[:, r : r + rows, c : c + columns] += parts_BKgvD[:, k]
        return total_BGVD.flatten(1, 2)

    def counts_GV(self) -> Tensor:
        """In how many windows each patch lies, float32 >= 1."""
        rows, columns = self.window_grid
        total_GV = torch.zeros(self.grid)
        for r, c in self.starts:
            total_GV[r : r + rows, c : c + columns] += 1.0
        return total_GV

    def average(self, values_MPD: Tensor) -> Tensor:
        """Mean over the windows that hold a patch, [B, G*V, D], from [B*K, P, D]."""
        if not self.windowed:
            return values_MPD
        counts_P1 = self.counts_GV().view(-1, 1).to(values_MPD.device)
        return self.add_up(values_MPD) / counts_P1


def make_geometry(spec: EncoderSpec, native: tuple[int, int], patch: tuple[int, int]) -> Geometry:
    """Geometry of a spec on a tower made for `native` pixels in patches of `patch` pixels.

    Windows step by the stride and the last one ends with the image, so all of it is covered.

    Raises:
        EncoderError: a side is no multiple of the patch, or the window is larger than the image.
    """
    size = spec.size or native
    _check_multiple(spec, "size", size, patch)
    if spec.window is None:
        return Geometry(size, patch, size, ((0, 0),))
    window = (spec.window, spec.window)
    _check_multiple(spec, "window", window, patch)
    if window[0] > size[0] or window[1] > size[1]:
        raise EncoderError(
            f"encoder {spec}: a window of {spec.window} pixels is larger than the input "
            f"({size[0]} x {size[1]}): give a larger size="
        )
    # Half the window by default, rounded down to whole patches, at least one.
    step = [
        spec.stride if spec.stride is not None else max(spec.window // 2 // p, 1) * p for p in patch
    ]
    _check_multiple(spec, "stride", (step[0], step[1]), patch)
    rows, columns = (
        _starts(whole // p, part // p, s // p)
        for whole, part, s, p in zip(size, window, step, patch, strict=True)
    )
    return Geometry(size, patch, window, tuple((r, c) for r in rows for c in columns))


def options_hash(
    digest: str, spec: EncoderSpec, geometry: Geometry, native: tuple[int, int]
) -> str:
    """Hash of an encoder with options; where they change nothing, that of the encoder itself.

    Args:
        digest: sha256 of configuration and weights, hex.
    """
    if spec.dense == "projected" and geometry.size == native and not geometry.windowed:
        return digest
    options = {
        "dense": spec.dense,
        "size": geometry.size,
        "window": geometry.window if geometry.windowed else None,
        "starts": geometry.starts if geometry.windowed else None,
    }
    text = json.dumps([digest, options], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _starts(whole: int, part: int, step: int) -> list[int]:
    """First patch of every window along one side."""
    starts = list(range(0, whole - part + 1, step))
    return starts if starts[-1] == whole - part else [*starts, whole - part]


def _check_multiple(
    spec: EncoderSpec, name: str, value: tuple[int, int], patch: tuple[int, int]
) -> None:
    if any(v % p for v, p in zip(value, patch, strict=True)):
        raise EncoderError(
            f"encoder {spec}: {name} {value[0]} x {value[1]} is no multiple of its patches of "
            f"{patch[0]} x {patch[1]} pixels"
        )
