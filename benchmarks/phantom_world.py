"""Fresh phantoms with their tokens and ground truth: the test bed of the engine's benchmarks.

Drawn from a series that neither the demo encoder nor the demo version has seen, without planted
shortcuts. What is drawn and encoded is kept in a cache folder (INSIGHT_BENCH_CACHE, by default
out/cache), since it depends only on the generator, the encoder and the seed.

Legend: I images, S image side, P patches (row-major over the grid), D embedding, C cues (order of
CUE_NAMES).
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.discovery import DiscoverItem
from core.encoder import Encoder, load_encoder
from core.phantoms.corpus import DRAW_SIZE, CorpusSpec, draw_parallel
from core.phantoms.generator import Phantom, generate
from core.phantoms.model import PATCH, SIDE
from core.phantoms.spec import CLASSES, CUE_NAMES
from core.tokens import TokenStore

SERIES = 31_000  # generator seeds of these phantoms; training and the demo use others
SPLITS: tuple[tuple[str, int], ...] = (("train", 1200), ("select", 300), ("test", 400))
QUICK: tuple[tuple[str, int], ...] = (("train", 90), ("select", 60), ("test", 60))
TRUE_FROM = 0.25  # a patch shows a cue that covers at least this share of it
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class World:
    """Phantoms of one seed. `select` is there to choose concepts and thresholds, `test` to score.

    images_ISSC uint8 RGB at the encoder's size; cover_IPC float32 in [0, 1].
    """

    seed: int
    encoder: Encoder = field(repr=False)
    items: tuple[DiscoverItem, ...]  # label, split "train", "val" (= select) or "test"
    tokens: TokenStore = field(repr=False)
    images_ISSC: NDArray[np.uint8] = field(repr=False)
    cover_IPC: NDArray[np.float32] = field(repr=False)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of "train", "select" or "test"."""
        wanted = "val" if split == "select" else split
        return np.flatnonzero([item.split == wanted for item in self.items])

    def tokens_of(self, row: int) -> Tensor:
        """Dense tokens of one image, float32 [P, D]."""
        return self.tokens.get(self.items[row].sha256)

    def truth_IPC(self) -> NDArray[np.bool_]:
        """Whether each patch shows each cue."""
        return np.asarray(self.cover_IPC >= TRUE_FROM)

    def phantom(self, row: int) -> Phantom:
        """The phantom itself, drawn again, with its pixel masks [192, 192]."""
        return generate(
            row, seed=SERIES + self.seed, size=DRAW_SIZE, label=CLASSES[row % len(CLASSES)]
        )


def cache_folder() -> Path:
    """Where drawn phantoms and their tokens are kept."""
    return Path(os.environ.get("INSIGHT_BENCH_CACHE", "out/cache"))


def build(
    seed: int, *, quick: bool = False, encoder: Encoder | None = None, workers: int = 2
) -> World:
    """Draw and encode the phantoms of one seed, or take them from the cache."""
    encoder = encoder or load_encoder("demo")
    splits = QUICK if quick else SPLITS
    names = [name for name, count in splits for _ in range(count)]
    spec = CorpusSpec(len(names), SERIES + seed, SIDE, PATCH, balanced=True)
    corpus = draw_parallel(spec, cache_folder() / "phantoms", workers=workers, shard=500)
    keys = [hashlib.sha256(image.tobytes()).hexdigest() for image in corpus.images]
    items = tuple(
        DiscoverItem(key, int(label), "val" if name == "select" else name)
        for key, label, name in zip(keys, corpus.labels, names, strict=True)
    )
    store = TokenStore(cache_folder() / f"tokens-{encoder.info.hash[:12]}-{seed}-{len(names)}")
    if store.missing(keys):
        store.write(_encoded(encoder, keys, corpus.images))
    cover_IPC = corpus.cover.reshape(len(names), -1, len(CUE_NAMES)).astype(np.float32) / 255.0
    return World(seed, encoder, items, store, corpus.images, cover_IPC)


def _encoded(
    encoder: Encoder, keys: list[str], images_ISSC: NDArray[np.uint8]
) -> Iterator[tuple[str, Tensor]]:
    for start in range(0, len(keys), _CHUNK):
        tokens_BPD = encoder.encode_images(list(images_ISSC[start : start + _CHUNK])).tokens_BPD
        yield from zip(keys[start : start + _CHUNK], tokens_BPD, strict=True)
