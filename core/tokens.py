"""Dense tokens of images on disk: fp16 shards keyed by the image's sha256.

The store is a cache: it can be deleted and made again from images and encoder. Each write
batch becomes one shard (`NAME.npy`, [I, P, D] fp16) and then its list of keys (`NAME.json`,
atomic). A shard without its list, as a kill leaves it, does not exist for readers.

Legend: I images, P patches, D embedding, M tokens.
"""

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BundleError
from core.files import write_json

FP16_MAX: Final = float(np.finfo(np.float16).max)
Place = tuple[str, int]  # shard name, row


class TokenStore:
    """Memory-mapped fp16 tokens, one entry per image.

    Readable from many threads and processes while one or more writers append.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}
        self._seen: set[str] = set()
        self._open = lru_cache(maxsize=64)(self._open_shard)
        self.refresh()

    def refresh(self) -> None:
        """Take up shards that were written since, by this or another process."""
        with self._lock:
            for listing in sorted(self.folder.glob("shard-*.json")):
                name = listing.name.removesuffix(".json")
                if name in self._seen:
                    continue
                shas = json.loads(listing.read_text(encoding="utf-8"))["shas"]
                for row, sha in enumerate(shas):
                    self._places.setdefault(sha, (name, row))
                self._seen.add(name)

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
            ValueError: shapes differ, or a value is not finite or beyond fp16.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        batch: dict[str, NDArray[np.float16]] = {}
        added = 0
        for sha, tokens_PD in items:
            if sha in self._places or sha in batch:
                continue
            batch[sha] = _as_fp16(sha, tokens_PD)
            if len(batch) == shard_images:
                added += self._write_shard(batch)
                batch = {}
        return added + (self._write_shard(batch) if batch else 0)

    def get(self, sha: str) -> Tensor:
        """Tokens of one image, float32 [P, D]. Raises KeyError when it is not here."""
        return torch.from_numpy(self._read(sha).astype(np.float32))

    def rows(self, shas: Sequence[str]) -> Tensor:
        """Tokens of several images (at least one), float32 [I, P, D]."""
        return torch.from_numpy(np.stack([self._read(sha) for sha in shas]).astype(np.float32))

    def shuffled_batches(
        self, shas: Sequence[str], batch: int, seed: int, buffer: int = 131_072
    ) -> Iterator[Tensor]:
        """All tokens of the given images once, in a random order, in batches.

        Images are visited in a random order; their tokens go through a shuffle buffer of
        `buffer` tokens, half of which is handed out whenever it is full. Memory is bounded by
        the buffer (fp16), whatever the number of images.

        Args:
            shas: keys, all present.
            batch: tokens per batch; only the last one may be shorter.
            seed: the order is a function of seed and arguments alone.
            buffer: tokens held, at least one batch is used.

        Yields:
            float32 [M, D].
        """
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(shas))
        pool: list[NDArray[np.float16]] = []
        held = 0
        for position in order:
            pool.append(np.asarray(self._read(shas[position])))
            held += len(pool[-1])
            if held >= max(buffer, batch):
                mixed = rng.permutation(np.concatenate(pool))
                out = max(held // 2 // batch, 1) * batch
                yield from _batches(mixed[:out], batch)
                pool, held = [mixed[out:]], held - out
        if held:
            yield from _batches(rng.permutation(np.concatenate(pool)), batch)

    def _write_shard(self, batch: dict[str, NDArray[np.float16]]) -> int:
        shapes = {tokens.shape for tokens in batch.values()} | self._shape()
        if len(shapes) != 1:
            raise ValueError(f"tokens of different shapes in one store: {sorted(shapes)}")
        name = f"shard-{len(self._seen):06d}-{uuid.uuid4().hex[:8]}"
        with (self.folder / f"{name}.npy").open("wb") as handle:
            np.save(handle, np.stack(list(batch.values())))
        write_json(self.folder / f"{name}.json", {"shas": list(batch)})
        self.refresh()
        return len(batch)

    def _shape(self) -> set[tuple[int, ...]]:
        """Shape [P, D] of what is stored, as a set: empty for an empty store."""
        first = next(iter(self._places), None)
        return set() if first is None else {self._read(first).shape}

    def _read(self, sha: str) -> NDArray[np.float16]:
        name, row = self._places[sha]
        tokens: NDArray[np.float16] = self._open(name)[row]
        return tokens

    def _open_shard(self, name: str) -> NDArray[np.float16]:
        try:
            shard: NDArray[np.float16] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise BundleError(f"{name}.npy", "a shard of tokens is missing or damaged") from error
        return shard


def _as_fp16(sha: str, tokens_PD: Tensor) -> NDArray[np.float16]:
    if tokens_PD.ndim != 2:
        raise ValueError(f"tokens of {sha}: expected [P, D], got {list(tokens_PD.shape)}")
    values = tokens_PD.detach().cpu().float()
    if not bool((values.abs() <= FP16_MAX).all()):  # false for NaN as well
        raise ValueError(f"tokens of {sha} are not finite or beyond the range of fp16")
    return values.half().numpy()


def _batches(tokens: NDArray[np.float16], size: int) -> Iterator[Tensor]:
    for start in range(0, len(tokens), size):
        yield torch.from_numpy(tokens[start : start + size].astype(np.float32))
