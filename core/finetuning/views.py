"""The pictures that a tower is tuned on, as they leave the frozen blocks.

Three kinds: each case as it is; marked cases with their rejected regions filled from the
surroundings (core.filling); and pasted copies, cases with a region that was rejected in a case of
another class laid over them. Whatever goes through frozen blocks does so once: prefixes (and the
tokens of before, for the anchor) are kept in half precision in a folder, in fixed blocks, so that
a kill loses one block and the bits do not depend on where it struck.

Legend: I cases; V views; T tokens, class token first; P patches = T - 1; W width; D embedding;
H, X rows and columns of pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.encoder import OpenClipEncoder
from core.errors import ConfigError
from core.filling import enlarge, fill_region
from core.pacing import Progress, paced
from core.streaming import LoadImage
from core.tokens import TokenStore
from core.types import BoolArray

BLOCK: Final = 32
"""Views that go through the encoder together; always the same ones."""
_PASTES = 4  # second word of the seed
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TuneCase:
    """One image to tune on.

    key         of the image, as the loader knows it (its sha256)
    label       index into the classes
    held        True: for early stopping, never learnt from
    weight      >= 0, such as a strategy's balanced weight; any scale
    rejected_P  bool [P]: what is spurious, marked by people or found by a detector
    accepted_P  bool [P]: what people called correct; nothing is pasted over it
    concepts    rejected concepts in this case; None: whatever fires in the rejected region
    """

    key: str
    label: int
    held: bool = False
    weight: float = 1.0
    rejected_P: BoolArray | None = field(default=None, repr=False)
    accepted_P: BoolArray | None = field(default=None, repr=False)
    concepts: tuple[int, ...] | None = None

    @property
    def marked(self) -> bool:
        """Whether anything is rejected."""
        return self.rejected_P is not None and bool(self.rejected_P.any())


@dataclass(frozen=True, eq=False)
class View:
    """A picture to tune on: a case as it is, filled, or with another case's region pasted."""

    name: str  # in the stores
    case: int
    filled: bool = False
    donor: int | None = None  # case whose rejected region is pasted


def plan_pastes(cases: Sequence[TuneCase], count: int, seed: int) -> tuple[tuple[int, int], ...]:
    """(receiver, donor) pairs: a donor is a marked case of another class, drawn from all alike.

    Held-out cases neither give nor receive. Where no case of another class is marked, nothing is
    pasted: a copy with the artefact of its own class would strengthen the shortcut.
    """
    rng = np.random.default_rng([seed, _PASTES])
    learnt = np.array([i for i, c in enumerate(cases) if not c.held], np.int64)
    donors = np.array([i for i in learnt if cases[i].marked], np.int64)
    if not len(donors) or not count:
        return ()
    label_M = np.array([cases[i].label for i in donors])
    open_to = np.array([i for i in learnt if (label_M != cases[i].label).any()], np.int64)
    if not len(open_to):
        return ()
    return tuple(
        (int(receiver), int(rng.choice(donors[label_M != cases[receiver].label])))
        for receiver in rng.choice(open_to, count)
    )


def paste_region(
    image_HX3: Pixels, donor_HX3: Pixels, region_GV: BoolArray, kept_GV: BoolArray | None = None
) -> Pixels:
    """The picture with the donor's region laid over it, uint8 [H, X, 3]; `kept_GV` stays."""
    height, width = image_HX3.shape[:2]
    if donor_HX3.shape != image_HX3.shape:
        resized = Image.fromarray(donor_HX3).resize((width, height), Image.Resampling.BICUBIC)
        donor_HX3 = np.asarray(resized, np.uint8)
    over_GV = region_GV if kept_GV is None else region_GV & ~kept_GV
    over_HX = enlarge(over_GV, height, width)
    return np.asarray(np.where(over_HX[..., None], donor_HX3, image_HX3), np.uint8)


@dataclass(frozen=True, eq=False)
class Views:
    """All views of some cases, on disk: prefixes [T, W] and tokens of before [P, D].

    Made by `make_views`. `pairs` are (receiver, donor) of the pasted views, in their order.
    """

    cases: tuple[TuneCase, ...]
    pairs: tuple[tuple[int, int], ...]
    prefixes: TokenStore
    anchors: TokenStore
    identity: str  # hash over encoder, blocks and everything above

    def whole(self, case: int) -> str:
        """Name of the case as it is."""
        return self.cases[case].key

    def filled(self, case: int) -> str:
        """Name of the case with its rejected region filled."""
        return f"{self.cases[case].key}-filled-{_short(self.cases[case].rejected_P)}"

    def pasted(self, pair: int) -> str:
        """Name of a pasted copy."""
        receiver, donor = self.pairs[pair]
        region = _short(self.cases[donor].rejected_P) + _short(self.cases[receiver].accepted_P)
        return f"{self.cases[receiver].key}-pasted-{self.cases[donor].key[:16]}-{region}"

    def all(self) -> list[View]:
        """Every view once, in a fixed order."""
        views = [View(self.whole(i), i) for i in range(len(self.cases))]
        views += [View(self.filled(i), i, True) for i, c in enumerate(self.cases) if c.marked]
        views += [
            View(self.pasted(k), receiver, donor=donor)
            for k, (receiver, donor) in enumerate(self.pairs)
        ]
        return list({view.name: view for view in views}.values())


def make_views(
    encoder: OpenClipEncoder,
    cases: Sequence[TuneCase],
    load: LoadImage,
    folder: Path,
    *,
    blocks: int,
    tail: Callable[[Tensor], Tensor],
    pasted: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
) -> Views:
    """Draw the copies and send everything through the frozen blocks, once.

    Args:
        encoder: a plain ViT, see core.finetuning.tower.
        cases: without repeats of a key.
        load: RGB pixels uint8 [H, X, 3] of a key; raises InputError for a bad image.
        folder: of the stores; a call after a kill goes on there.
        blocks: last blocks that will change; the others are frozen.
        tail: tokens [B, P, D] of prefixes [B, T, W] as they are before the tuning, such as
            core.finetuning.tower.ConceptTower.tokens.
        pasted: how many pasted copies.
        check: called before each block of views; what it raises ends the work.

    Raises:
        ConfigError: a case is listed twice, or a region does not fit the grid.
        InputError: an image cannot be read.
    """
    _check_cases(cases, encoder)
    pairs = plan_pastes(cases, pasted, seed)
    identity = _identity(encoder, cases, pairs, blocks)
    stores = [TokenStore(folder / f"{what}-{identity[:16]}") for what in ("prefixes", "anchors")]
    views = Views(tuple(cases), pairs, stores[0], stores[1], identity)
    tell, todo = paced(progress), views.all()
    for start in range(0, len(todo), BLOCK):
        block = todo[start : start + BLOCK]
        names = [view.name for view in block]
        if views.prefixes.missing(names) or views.anchors.missing(names):
            if check is not None:
                check()
            _write(encoder, views, block, load, blocks, tail)
        tell((start + len(block)) / len(todo), f"picture {start + len(block)} of {len(todo)}")
    return views


def _write(
    encoder: OpenClipEncoder, views: Views, block: Sequence[View], load: LoadImage, blocks: int,
    tail: Callable[[Tensor], Tensor],
) -> None:  # fmt: skip
    """Send one block of views through the frozen part of the encoder, and then through the rest."""
    vit = encoder.vit
    if vit is None:
        raise ConfigError("only a plain ViT without windows can be tuned")
    pixels = [picture(view, views.cases, load, encoder.info.grid) for view in block]
    names = [view.name for view in block]
    with torch.no_grad():  # not inference_mode: see core.encoder
        prefix_BTW = vit.until(encoder.prepare(pixels), len(vit.blocks) - blocks).float().cpu()
        tokens_BPD = tail(prefix_BTW)
    views.anchors.write(zip(names, tokens_BPD, strict=True), shard_images=BLOCK)
    views.prefixes.write(zip(names, prefix_BTW, strict=True), shard_images=BLOCK)


def picture(
    view: View, cases: Sequence[TuneCase], load: LoadImage, grid: tuple[int, int]
) -> Pixels:
    """The pixels of a view, uint8 [H, X, 3]."""
    case = cases[view.case]
    image = load(case.key)
    if view.filled:
        return fill_region(image, _on(case.rejected_P, grid))
    if view.donor is None:
        return image
    donor = cases[view.donor]
    kept = None if case.accepted_P is None else _on(case.accepted_P, grid)
    return paste_region(image, load(donor.key), _on(donor.rejected_P, grid), kept)


def _on(region_P: BoolArray | None, grid: tuple[int, int]) -> BoolArray:
    if region_P is None:
        raise ConfigError("a case without a rejected region has none to fill or paste")
    return region_P.reshape(grid)


def _check_cases(cases: Sequence[TuneCase], encoder: OpenClipEncoder) -> None:
    patches = encoder.info.grid[0] * encoder.info.grid[1]
    if len({case.key for case in cases}) < len(cases):
        raise ConfigError("an image is listed twice")
    for case in cases:
        for region in (case.rejected_P, case.accepted_P):
            if region is not None and (region.shape != (patches,) or region.dtype != np.bool_):
                raise ConfigError(f"a region is bool [{patches}], not {list(region.shape)}")


def _identity(
    encoder: OpenClipEncoder, cases: Sequence[TuneCase], pairs: Sequence[tuple[int, int]],
    blocks: int,
) -> str:  # fmt: skip
    digest = hashlib.sha256()
    for part in _identity_parts(encoder, cases, pairs, blocks):
        digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()


def _identity_parts(
    encoder: OpenClipEncoder, cases: Sequence[TuneCase], pairs: Sequence[tuple[int, int]],
    blocks: int,
) -> Iterator[Any]:  # fmt: skip
    yield encoder.info.hash, blocks, BLOCK, list(pairs)
    for case in cases:
        regions = [_short(case.rejected_P), _short(case.accepted_P)]
        yield case.key, case.label, case.held, float(case.weight), regions, case.concepts


def _short(region_P: BoolArray | None) -> str:
    """A region as hex, empty without one."""
    if region_P is None:
        return ""
    return hashlib.sha256(np.packbits(region_P).tobytes()).hexdigest()[:16]
