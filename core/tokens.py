"""Dense tokens of images on disk: half-precision shards keyed by the image's sha256.

The store is a cache: it can be deleted and made again from images and encoder. Each write
batch becomes one shard (`NAME.npy`, [I, P, D]) and then its list of keys (`NAME.json`, atomic).
A shard without its list, as a kill leaves it, does not exist for readers. A shard holds fp16, or
bfloat16 as its bits in uint16 (NumPy has no such type) with "dtype": "bf16" in its list.

Legend: I images, P patches, D embedding, M tokens.
"""

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BundleError
from core.files import write_json
from core.shuffling import shuffled

ShardType = Literal["fp16", "bf16"]
"""fp16: 11 bits of precision, up to 65504. bf16: 8 bits, the range of fp32. Two bytes each."""
Place = tuple[str, int]  # shard name, row


class TokenStore:
    """Memory-mapped half-precision tokens, one entry per image.

    Readable from many threads and processes while one or more writers append.

    Args:
        folder: of the shards; made by the first write.
        dtype: of the shards that this object writes; any are read.
    """

    def __init__(self, folder: Path, dtype: ShardType = "fp16") -> None:
        self.folder = folder
        self.dtype = dtype
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._seen: dict[str, ShardType] = {}
        self._open = lru_cache(maxsize=64)(self._open_shard)
        self.refresh()

    def refresh(self) -> None:
        """Take up shards that were written since, by this or another process."""
        with self._lock:
            for listing in sorted(self.folder.glob("shard-*.json")):
                name = listing.name.removesuffix(".json")
                if name in self._seen:
                    continue
                found = json.loads(listing.read_text(encoding="utf-8"))
                for row, sha in enumerate(found["shas"]):
                    self._places.setdefault(sha, (name, row))
                self._seen[name] = _shard_type(listing.name, found.get("dtype", "fp16"))

    def __contains__(self, sha: str) -> bool:
        return sha in self._places

    def __len__(self) -> int:
        return len(self._places)

    def shas(self) -> tuple[str, ...]:
        """Every key present, in order of writing within a shard."""
        return tuple(self._places)

    def missing(self, shas: Iterable[str]) -> list[str]:
        """The keys that are not here yet, without repeats, in the order given."""
        return [sha for sha in dict.fromkeys(shas) if sha not in self._places]

    def write(self, items: Iterable[tuple[str, Tensor]], *, shard_images: int = 64) -> int:
        """Add images; ones already present are skipped.

        Args:
            items: (sha256, tokens [P, D] of any float type); P and D the same for all.
            shard_images: images per shard: what a kill can lose, and what is held in memory.

        Returns:
            Count of images added.

        Raises:
            ValueError: shapes differ, or a value is not finite or beyond the shards' type.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        batch: dict[str, NDArray[Any]] = {}
        added = 0
        for sha, tokens_PD in items:
            if sha in self._places or sha in batch:
                continue
            batch[sha] = _packed(sha, tokens_PD, self.dtype)
            if len(batch) == shard_images:
                added += self._write_shard(batch)
                batch = {}
        return added + (self._write_shard(batch) if batch else 0)

    def get(self, sha: str) -> Tensor:
        """Tokens of one image, float32 [P, D]. Raises KeyError when it is not here."""
        return self.half(sha).float()

    def half(self, sha: str) -> Tensor:
        """Tokens of one image as stored, float16 or bfloat16 [P, D]. Raises KeyError."""
        name, row = self._places[sha]
        bits = torch.from_numpy(np.array(self._open(name)[row]))
        return bits.view(torch.bfloat16) if self._seen[name] == "bf16" else bits

    def rows(self, shas: Sequence[str]) -> Tensor:
        """Tokens of several images (at least one), float32 [I, P, D]."""
        return torch.stack([self.get(sha) for sha in shas])

    def shuffled_batches(
        self, shas: Sequence[str], batch: int, seed: int, buffer: int = 131_072
    ) -> Iterator[Tensor]:
        """All tokens of the given images once, in a random order, in batches.

        Images are visited in a random order and their tokens go through a shuffle buffer (see
        `core.shuffling`). Memory is bounded by the buffer, whatever the number of images.

        Args:
            shas: keys, all present.
            batch: tokens per batch; only the last one may be shorter.
            seed: the order is a function of seed and arguments alone.
            buffer: tokens held, at least one batch is used.

        Yields:
            float32 [M, D].
        """
        rng = np.random.default_rng(seed)
        images = _Images(self, [shas[position] for position in rng.permutation(len(shas))])
        for tokens_MD in shuffled(images, batch, buffer, rng):
            yield tokens_MD.float()

    def _write_shard(self, batch: dict[str, NDArray[Any]]) -> int:
        shapes = {tokens.shape for tokens in batch.values()} | self._shape()
        if len(shapes) != 1:
            raise ValueError(f"tokens of different shapes in one store: {sorted(shapes)}")
        name = f"shard-{len(self._seen):06d}-{uuid.uuid4().hex[:8]}"
        with (self.folder / f"{name}.npy").open("wb") as handle:
            np.save(handle, np.stack(list(batch.values())))
        kind = {} if self.dtype == "fp16" else {"dtype": self.dtype}
        write_json(self.folder / f"{name}.json", {"shas": list(batch), **kind})
        self.refresh()
        return len(batch)

    def _shape(self) -> set[tuple[int, ...]]:
        """Shape [P, D] of what is stored, as a set: empty for an empty store."""
        first = next(iter(self._places), None)
        return set() if first is None else {tuple(self.half(first).shape)}

    def _open_shard(self, name: str) -> NDArray[Any]:
        try:
            shard: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise BundleError(f"{name}.npy", "a shard of tokens is missing or damaged") from error
        expected = np.uint16 if self._seen[name] == "bf16" else np.float16
        if shard.ndim != 3 or shard.dtype != expected:
            raise BundleError(f"{name}.npy", "a shard of tokens has another form than recorded")
        return shard


class _Images:
    """Images of a store as blocks of rows, for `shuffled`."""

    def __init__(self, store: TokenStore, shas: Sequence[str]) -> None:
        self._store = store
        self._shas = shas

    def __len__(self) -> int:
        return len(self._shas)

    def rows(self, block: int) -> int:
        """Tokens of an image."""
        return len(self._store.half(self._shas[block]))

    def read(self, block: int) -> Tensor:
        """Tokens of an image, [P, D] as stored."""
        return self._store.half(self._shas[block])


def _packed(sha: str, tokens_PD: Tensor, dtype: ShardType) -> NDArray[Any]:
    """Tokens as a shard keeps them: float16, or the bits of bfloat16 in uint16."""
    if tokens_PD.ndim != 2:
        raise ValueError(f"tokens of {sha}: expected [P, D], got {list(tokens_PD.shape)}")
    values = tokens_PD.detach().cpu().float()
    match dtype:
        case "fp16":
            half = values.half()
        case "bf16":
            half = values.bfloat16()
        case _:
            assert_never(dtype)
    if not bool(torch.isfinite(half).all()):
        raise ValueError(f"tokens of {sha} are not finite or beyond the range of {dtype}")
    return half.numpy() if dtype == "fp16" else half.view(torch.uint16).numpy()


def _shard_type(listing: str, name: str) -> ShardType:
    match name:
        case "fp16" | "bf16":
            return name
        case _:
            raise BundleError(listing, f"shards of type {name!r} are unknown")
