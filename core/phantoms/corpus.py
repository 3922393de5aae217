"""Training data on disk: phantoms drawn once, at the encoder's size, with patch-level truth.

Legend: N phantoms, S image side, G patches a side, C cues (order of CUE_NAMES).
  images_NSSC uint8 (C = 3 colours here)   cover_NGGC uint8, covered share of the patch * 255
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.phantoms.generator import Phantom, generate
from core.phantoms.spec import CLASSES, CUE_NAMES, Shortcut

DRAW_SIZE = 192
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CorpusSpec:
    """What to draw.

    count      number of phantoms; indices start at `first`
    seed       series of the generator
    side       encoder's image side in pixels
    patch      encoder's patch side in pixels
    balanced   label k = CLASSES[k % 3] instead of a random one
    shortcuts  planted shortcuts and their strength (None: artefacts independent of the class)
    """

    count: int
    seed: int
    side: int
    patch: int
    first: int = 0
    balanced: bool = False
    shortcuts: tuple[Shortcut, ...] = ()
    strength: float | None = None

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.side // self.patch


@dataclass(frozen=True)
class Corpus:
    """images uint8 [N, S, S, 3], cover uint8 [N, G, G, C], labels int64 [N] into CLASSES."""

    images: Bytes
    cover: Bytes
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.labels.shape[0])


def shrink(image: Bytes, side: int) -> Bytes:
    """Resize as open_clip's preprocessing does (bicubic, antialiased); uint8 [S, S, 3]."""
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.uint8)


def coverage(phantom: Phantom, grid: int) -> Bytes:
    """Share of every patch covered by every cue, times 255: uint8 [G, G, C]."""
    out = np.zeros((grid, grid, len(CUE_NAMES)), dtype=np.uint8)
    for name, mask in phantom.masks.items():
        small = Image.fromarray(mask.astype(np.uint8) * 255).resize(
            (grid, grid), Image.Resampling.BOX
        )
        out[:, :, CUE_NAMES.index(name)] = np.asarray(small)
    return out


def phantoms(spec: CorpusSpec) -> Iterator[Phantom]:
    """Draw the phantoms of a corpus one by one."""
    for k in range(spec.first, spec.first + spec.count):
        yield generate(
            k,
            seed=spec.seed,
            size=DRAW_SIZE,
            label=CLASSES[k % len(CLASSES)] if spec.balanced else None,
            shortcuts=spec.shortcuts,
            strength=spec.strength,
        )


def draw(spec: CorpusSpec) -> Corpus:
    """Draw a corpus in this process."""
    images = np.empty((spec.count, spec.side, spec.side, 3), dtype=np.uint8)
    cover = np.empty((spec.count, spec.grid, spec.grid, len(CUE_NAMES)), dtype=np.uint8)
    labels = np.empty(spec.count, dtype=np.int64)
    for row, phantom in enumerate(phantoms(spec)):
        images[row] = shrink(phantom.image, spec.side)
        cover[row] = coverage(phantom, spec.grid)
        labels[row] = CLASSES.index(phantom.label)
    return Corpus(images, cover, labels)


def _draw_shard(spec: CorpusSpec, path: Path) -> Path:
    corpus = draw(spec)
    np.savez(path, images=corpus.images, cover=corpus.cover, labels=corpus.labels)
    return path


def draw_parallel(spec: CorpusSpec, folder: Path, workers: int = 2, shard: int = 500) -> Corpus:
    """Draw a large corpus in `workers` processes; shards in `folder` are kept and reused.

    A shard's name does not encode the generator's code: use a fresh folder after changing it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, spec.count, shard):
        count = min(shard, spec.count - start)
        part = CorpusSpec(
            count, spec.seed, spec.side, spec.patch, spec.first + start, spec.balanced,
            spec.shortcuts, spec.strength,
        )  # fmt: skip
        parts.append((part, folder / f"s{spec.seed}-{spec.side}-{part.first}-{count}.npz"))
    todo = [(part, path) for part, path in parts if not path.exists()]
    if todo:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_draw_shard, *zip(*todo, strict=True)))
    return _join([path for _, path in parts])


def _join(paths: list[Path]) -> Corpus:
    loaded = [np.load(path) for path in paths]
    return Corpus(
        np.concatenate([shard["images"] for shard in loaded]),
        np.concatenate([shard["cover"] for shard in loaded]),
        np.concatenate([shard["labels"] for shard in loaded]),
    )
