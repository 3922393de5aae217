"""Write phantoms as an ordinary image folder, so that they are ingested like real data.

- images/<split>-<number>.png: RGB
- masks/<split>-<number>.png: lesion mask, 0 or 255
- cue_masks/<split>-<number>.npz: ground truth, one packed bool array per visible cue
- labels.csv: file, label, split, mask, group, then one 0/1 column per cue
- vocabulary.csv: name, synonyms, parent
- NOTICE.txt: that these are synthetic phantoms
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from core.phantoms.drawing import Mask
from core.phantoms.generator import Phantom, generate
from core.phantoms.spec import CUE_NAMES, NOTICE, PLANTED, Shortcut, write_vocabulary

COLUMNS: tuple[str, ...] = ("file", "label", "split", "mask", "group", *CUE_NAMES)
Row = tuple[str | int, ...]


@dataclass(frozen=True)
class Split:
    """One part of a dataset.

    name       as written in the split column and in file names
    count      phantoms
    shortcuts  artefacts tied to labels
    strength   see `generate`; None: artefacts independent of the class
    """

    name: str
    count: int
    shortcuts: tuple[Shortcut, ...] = PLANTED
    strength: float | None = 0.95


DEMO_SPLITS: tuple[Split, ...] = (
    Split("train", 160),
    Split("test", 60),
    Split("reversed", 60, strength=0.05),
)
"""The demo project: planted at 95 %, tested alike and reversed."""


def write_dataset(
    folder: Path,
    splits: Sequence[Split] = DEMO_SPLITS,
    *,
    seed: int = 0,
    size: int = 192,
    workers: int = 1,
) -> Path:
    """Draw all splits into `folder`; returns the path of labels.csv.

    Phantoms are numbered on from split to split, so that no two splits share one. With
    `workers` over 1 the drawing is spread over processes started by spawn: call it from a
    module that is safe to import. The same arguments give the same files.
    """
    prepare_folder(folder)
    order = chain.from_iterable(repeat(split, split.count) for split in splits)
    jobs = list(enumerate(order))
    draw = partial(write_phantom, folder, seed, size)
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(draw, jobs, chunksize=8))
    else:
        rows = [draw(job) for job in jobs]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return folder / "labels.csv"


def prepare_folder(folder: Path) -> None:
    """Make the sub-folders, the vocabulary and the notice; harmless when repeated."""
    for part in ("images", "masks", "cue_masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder / "vocabulary.csv")
    (folder / "NOTICE.txt").write_text(NOTICE + "\n", encoding="utf-8")


def write_phantom(folder: Path, seed: int, size: int, job: tuple[int, Split]) -> Row:
    """Draw phantom (number, split) into a prepared folder; returns its row of labels.csv."""
    index, split = job
    phantom = generate(
        index, seed=seed, size=size, shortcuts=split.shortcuts, strength=split.strength
    )
    stem = f"{split.name}-{index:05d}"
    image, mask = f"images/{stem}.png", f"masks/{stem}.png"
    Image.fromarray(phantom.image).save(folder / image, compress_level=1)
    Image.fromarray(phantom.masks["lesion"].astype(np.uint8) * 255).save(folder / mask)
    packed = {name: np.packbits(m, axis=1) for name, m in phantom.masks.items()}
    np.savez_compressed(folder / "cue_masks" / f"{stem}.npz", allow_pickle=False, **packed)
    flags = (int(name in phantom.masks) for name in CUE_NAMES)
    return (image, phantom.label, split.name, mask, group_of(phantom, split.shortcuts), *flags)


def group_of(phantom: Phantom, shortcuts: tuple[Shortcut, ...] = PLANTED) -> str:
    """Label and planted cues of a phantom, such as "melanoma | ruler" or "naevus | none"."""
    present = [s.cue for s in shortcuts if s.cue in phantom.cues]
    return f"{phantom.label} | {' + '.join(present) or 'none'}"


def read_cue_masks(folder: Path, file: str) -> dict[str, Mask]:
    """Ground-truth masks (bool [H, W]) of an image named as in labels.csv.

    Raises FileNotFoundError when the folder holds no truth for this image.
    """
    path = folder / "cue_masks" / (Path(file).stem + ".npz")
    with Image.open(folder / file) as image:
        width = image.size[0]
    with np.load(path, allow_pickle=False) as packed:
        return {
            name: np.unpackbits(packed[name], axis=1, count=width).astype(np.bool_)
            for name in packed.files
        }
