"""Tokens for training straight from images: encoded when needed, shuffled, never all kept.

images -> encoder -> tokens -> bounded shuffle pool -> batches, epoch after epoch. The order is a
function of seed and epoch alone, and any place in it is reached again (exact resume) by encoding
only the images whose tokens are then in the pool. The peers cache instead: 4.5 TB of fp32 tokens
for ImageNet in one of them.

Legend: M tokens, P patches of an image, D embedding, I images.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.encoder import Encoder
from core.errors import ConfigError, InputError
from core.shuffling import shuffled
from core.tokens import TokenStore

TokenStream = Callable[[int], Iterator[Tensor]]
"""Gives the tokens of epoch 0, 1, ... as float tensors [M, D], shuffled; the same every time."""
LoadImage = Callable[[str], NDArray[np.uint8]]
"""RGB pixels uint8 [H, W, 3] of an image key. Raises InputError or OSError for a bad image."""
BadImage = Callable[[str, str], None]
"""Told the key of an image that is skipped, and why."""


@runtime_checkable
class SeekableStream(Protocol):
    """A token stream that can go on from any place and remembers what it skipped."""

    def __call__(self, epoch: int) -> Iterator[Tensor]:
        """Tokens of an epoch from its start."""
        ...

    def seek(self, epoch: int, skip: int) -> Iterator[Tensor]:
        """Tokens of an epoch without the first `skip` tensors."""
        ...

    def state(self) -> dict[str, Any]:
        """What `restore` needs, JSON-ready."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an earlier run. Raises ConfigError for another stream's."""
        ...


@dataclass(frozen=True)
class Place:
    """How much of a stream was taken."""

    epoch: int = 0
    tensors: int = 0  # of the epoch, taken whole
    rows: int = 0  # of the tensor after those


class BatchCursor:
    """Batches of at most `size` tokens from a stream, epoch after epoch, without end.

    Args:
        stream: of tokens [M, d]; its tensors are split where they are longer than a batch.
        place: where to start. A stream that is no `SeekableStream` is run up to there.
    """

    def __init__(self, stream: TokenStream, d: int, size: int, place: Place = Place()) -> None:
        self.place = place
        self._stream, self._d, self._size = stream, d, size
        self._batches = self._endless(place)

    def next(self) -> Tensor:
        """Float32 [M, d], 1 <= M <= size. Raises ConfigError for tokens that do not fit."""
        return next(self._batches)

    def _endless(self, place: Place) -> Iterator[Tensor]:
        found = place.tensors + place.rows > 0
        while True:
            for tensor, tokens_MD in enumerate(self._from(place), start=place.tensors):
                if tokens_MD.ndim != 2 or tokens_MD.shape[1] != self._d:
                    shape = list(tokens_MD.shape)
                    raise ConfigError(f"expected tokens [M, {self._d}], got {shape}")
                tokens_MD = tokens_MD.detach().float()
                start = place.rows if tensor == place.tensors else 0
                for row in range(start, len(tokens_MD), self._size):
                    found = True
                    stop = min(row + self._size, len(tokens_MD))
                    self.place = Place(place.epoch, tensor, stop)
                    yield tokens_MD[row:stop]
            if not found:
                raise ConfigError("there are no tokens to train on")
            place, found = Place(place.epoch + 1), False

    def _from(self, place: Place) -> Iterator[Tensor]:
        if place.tensors == 0 or not isinstance(self._stream, SeekableStream):
            return islice(self._stream(place.epoch), place.tensors, None)
        return self._stream.seek(place.epoch, place.tensors)


class TokenSource(Protocol):
    """Where a `ShuffledStream` gets the tokens of images from."""

    @property
    def identity(self) -> str:
        """Hash over everything that decides the tokens."""
        ...

    @property
    def block(self) -> int:
        """How many images are best read at once."""
        ...

    @property
    def skipped(self) -> dict[str, str]:
        """Bad images met so far: key and reason. Images in it are not read again."""
        ...

    def __len__(self) -> int:
        """Count of images, bad ones included."""
        ...

    def rows(self, images: Sequence[int]) -> int:
        """Tokens of these images, of which every one was read before or is in `skipped`."""
        ...

    def read(self, images: Sequence[int]) -> Tensor:
        """Tokens [M, D] of these images in order; those of bad images are left out."""
        ...


class ShuffledStream:
    """All tokens of a source once per epoch, in random order. A `SeekableStream`.

    Args:
        source: the images.
        batch: tokens per tensor handed out; only the last one of an epoch may be shorter.
        seed: with the epoch, decides the order.
        buffer: tokens in the shuffle pool: what is held in memory, with one block of images.
        rank, world: of `world` processes this one takes every world-th image of the order.

    Raises:
        ConfigError: no image for this process, or numbers outside their range.
    """

    def __init__(
        self,
        source: TokenSource,
        batch: int,
        seed: int = 0,
        *,
        buffer: int = 131_072,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if min(batch, buffer) < 1 or not 0 <= rank < world:
            raise ConfigError("batch and buffer are at least 1, and rank lies in 0..world - 1")
        if len(source) < world:
            raise ConfigError(f"{len(source)} images for {world} processes")
        self.source = source
        self._batch, self._seed, self._buffer = batch, seed, buffer
        self._rank, self._world = rank, world

    def __call__(self, epoch: int) -> Iterator[Tensor]:
        """Float32 tokens [M, D] of an epoch."""
        return self.seek(epoch, 0)

    def seek(self, epoch: int, skip: int) -> Iterator[Tensor]:
        """Float32 tokens [M, D] of an epoch without the first `skip` tensors."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.source))
        blocks = _Blocks(self.source, order[self._rank :: self._world].tolist())
        rng = np.random.default_rng([self._seed, epoch, self._rank, self._world])
        for tokens_MD in shuffled(blocks, self._batch, self._buffer, rng, skip):
            yield tokens_MD.float()

    def state(self) -> dict[str, Any]:
        """Identity of the stream and the images it skipped so far."""
        return {"identity": self._identity(), "skipped": dict(self.source.skipped)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier run had skipped; raises ConfigError for other images."""
        if state.get("identity") != self._identity():
            raise ConfigError("the images, encoder, seed or batch are not those of the earlier run")
        self.source.skipped.update(state["skipped"])

    def _identity(self) -> str:
        setup = (self._batch, self._seed, self._buffer, self._rank, self._world)
        return _digest([self.source.identity, repr(setup)])


class StoreSource:
    """Tokens of images that are in a token store. A `TokenSource`.

    Raises:
        ConfigError: an image is not in the store.
    """

    def __init__(self, store: TokenStore, keys: Sequence[str]) -> None:
        missing = store.missing(keys)
        if missing:
            raise ConfigError(
                f"{len(missing)} images have no tokens yet, such as {missing[0][:12]}"
            )
        self._store, self._keys = store, tuple(keys)
        self.identity = _digest(["store", *self._keys])
        self.block = 1
        self.skipped: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def rows(self, images: Sequence[int]) -> int:
        """Count of tokens."""
        return sum(len(self._store.half(self._keys[image])) for image in images)

    def read(self, images: Sequence[int]) -> Tensor:
        """Tokens [M, D], half precision as stored."""
        return torch.cat([self._store.half(self._keys[image]) for image in images])


class EncoderSource:
    """Tokens of images, encoded when they are read. A `TokenSource`.

    A bad image (unreadable, or its tokens are not finite) is named, skipped and not tried again.

    Args:
        encoder: gives P tokens per image.
        keys: of the images, without repeats.
        load: reads an image by its key.
        on_bad: told the key and the reason of each image that is skipped.
        block: images per call of the encoder.
        dtype: of the tokens in the shuffle pool; torch.bfloat16 halves its memory.
        store: keeps what was encoded, so that later epochs read it instead; None: nothing is
            kept. With a store, tokens have its precision from the first epoch on.
    """

    def __init__(
        self,
        encoder: Encoder,
        keys: Sequence[str],
        load: LoadImage,
        *,
        on_bad: BadImage | None = None,
        block: int = 32,
        dtype: torch.dtype = torch.float32,
        store: TokenStore | None = None,
    ) -> None:
        if len(set(keys)) < len(keys):
            raise ConfigError("an image is listed twice")
        if block < 1:
            raise ConfigError("block must be at least 1")
        self._encoder, self._keys, self._load = encoder, tuple(keys), load
        self._on_bad, self._dtype, self._store = on_bad, dtype, store
        kept = "" if store is None else store.dtype
        self.identity = _digest([encoder.info.hash, str(block), str(dtype), kept, *self._keys])
        self.block = block
        self.skipped: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def rows(self, images: Sequence[int]) -> int:
        """P for every image that is not skipped."""
        good = sum(self._keys[image] not in self.skipped for image in images)
        return good * self._encoder.info.grid[0] * self._encoder.info.grid[1]

    def read(self, images: Sequence[int]) -> Tensor:
        """Tokens [M, D] in the given order, bad images left out."""
        keys = [self._keys[image] for image in images if self._keys[image] not in self.skipped]
        if self._store is None:
            tokens = self._encoded(keys)
        else:  # always by way of the store, so that every epoch sees the same rounding
            self._store.write(self._encoded(self._store.missing(keys)).items())
            tokens = {key: self._store.half(key) for key in keys if key in self._store}
        none = torch.zeros(0, self._encoder.info.dim, dtype=self._dtype)
        return torch.cat([none, *(tokens_PD.to(self._dtype) for tokens_PD in tokens.values())])

    def _encoded(self, keys: Sequence[str]) -> dict[str, Tensor]:
        """Tokens [P, D] of the images that can be used, in the order of the keys."""
        pixels: dict[str, NDArray[np.uint8]] = {}
        for key in keys:
            try:
                pixels[key] = self._load(key)
            except (InputError, OSError) as error:
                self._skip(key, error.reason if isinstance(error, InputError) else str(error))
        tokens_BPD = self._encoder.encode_images(list(pixels.values())).tokens_BPD
        found = {}
        for key, tokens_PD in zip(pixels, tokens_BPD, strict=True):
            if bool(torch.isfinite(tokens_PD).all()):
                found[key] = tokens_PD
            else:
                self._skip(key, "the encoder gives values that are not finite")
        return found

    def _skip(self, key: str, reason: str) -> None:
        self.skipped[key] = reason
        if self._on_bad is not None:
            self._on_bad(key, reason)


class _Blocks:
    """A source in the order of an epoch, cut into blocks of images, for `shuffled`."""

    def __init__(self, source: TokenSource, order: Sequence[int]) -> None:
        self._source = source
        size = source.block
        self._blocks = [order[start : start + size] for start in range(0, len(order), size)]
        self._read: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def rows(self, block: int) -> int:
        """Tokens of a block that was read in an earlier run."""
        self._read[block] = self._source.rows(self._blocks[block])
        return self._read[block]

    def read(self, block: int) -> Tensor:
        """Tokens [M, D] of a block."""
        tokens_MD = self._source.read(self._blocks[block])
        if len(tokens_MD) != self._read.get(block, len(tokens_MD)):
            raise ConfigError("an image that could be read before the interruption cannot be now")
        return tokens_MD


def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()
