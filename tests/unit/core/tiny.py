"""Small hand-made worlds for the tests of heads, explanations and reweighting.

Legend: P patches, D embedding, N concepts, C classes, I cases.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from core.codes import Codes
from core.cue_marks import MarkedRegion
from core.heads import LinearHead
from core.types import ConceptName, EncoderInfo, FloatArray, Relation


class TinyDictionary:
    """Concept k fires with the positive part of its direction's dot product, less a threshold."""

    def __init__(self, directions_ND: list[list[float]], threshold: float = 0.0) -> None:
        self.decoder_ND = torch.tensor(directions_ND, dtype=torch.float32)
        self.threshold = threshold
        self.n = len(directions_ND)
        self.levels_N = torch.arange(self.n)

    def encode_dense(self, tokens_MD: Tensor) -> Tensor:
        pre_MN = tokens_MD @ self.decoder_ND.T
        return torch.where(pre_MN > self.threshold, pre_MN, 0.0)

    def decode(self, codes: Codes | Tensor) -> Tensor:
        return (codes.dense() if isinstance(codes, Codes) else codes) @ self.decoder_ND


@dataclass(frozen=True)
class TinyManifest:
    """What an explanation quotes."""

    encoder: EncoderInfo
    version_hash: str = "v" * 64
    parent: str | None = None
    dictionary_hash: str = "d" * 64
    seed: int = 7
    snapshot_hash: str | None = None
    code_version: str = "test"


@dataclass(frozen=True)
class TinyBundle:
    """A model bundle without files."""

    sae: TinyDictionary
    head: LinearHead
    manifest: TinyManifest
    names: tuple[ConceptName, ...]
    relations: tuple[Relation, ...] = field(default=())


def head_of(weight: list[list[float]], bias: list[float], temperature: float = 1.0) -> LinearHead:
    """A head with classes "a", "b", ..."""
    classes = tuple("abcdefgh"[: len(weight)])
    return LinearHead(np.float32(weight), np.float32(bias), classes, temperature)


def bundle_of(
    sae: TinyDictionary,
    head: LinearHead,
    grid: tuple[int, int],
    names: tuple[str | None, ...] | None = None,
) -> TinyBundle:
    """A bundle over a dictionary and a head; names None where the model abstains."""
    given = names or tuple(f"thing {k}" for k in range(sae.n))
    info = EncoderInfo("tiny", "e" * 64, int(sae.decoder_ND.shape[1]), grid, 8)
    return TinyBundle(
        sae, head, TinyManifest(info), tuple(ConceptName(name, 0.5, 0.1) for name in given)
    )


SIDE = 6
PATCHES = SIDE * SIDE
WIDTH = 16
SPREAD = 0.35  # how strongly a shortcut colours every token of its case
STRONG = 3.0  # and the tokens of its own region


@dataclass(frozen=True)
class TokenWorld:
    """Synthetic tokens: two classes with a weak true sign each, one or two planted artefacts.

    An artefact adds its direction strongly in a random block and lightly everywhere else, as a
    deep encoder does. `tokens_IPD` float32; `block_IRP` bool; `present_IR` bool; `labels_I`.
    """

    tokens_IPD: FloatArray
    block_IRP: np.ndarray
    present_IR: np.ndarray
    labels_I: np.ndarray

    def tokens_of(self, row: int) -> FloatArray:
        return self.tokens_IPD[row]

    def pooled(self) -> FloatArray:
        """Non-negative codes: the positive and negative part of every dimension, max-pooled."""
        both = np.concatenate((self.tokens_IPD, -self.tokens_IPD), axis=2)
        return np.maximum(both, 0).max(1)

    def mark(self, row: int, cue: int, concept: int, share: float = 1.0) -> MarkedRegion:
        """An honest mark "spurious" on the first `share` of an artefact's block."""
        patches = np.flatnonzero(self.block_IRP[row, cue])
        region = np.zeros(PATCHES, dtype=np.bool_)
        region[patches[: max(1, round(share * len(patches)))]] = True
        return MarkedRegion(row, concept, region, "spurious")

    def rows_with(self, cue: int, count: int) -> list[int]:
        return [int(row) for row in np.flatnonzero(self.present_IR[:, cue])[:count]]


def token_world(count: int, *, strength: float = 0.9, cues: int = 1, seed: int = 0) -> TokenWorld:
    """Artefact r comes with class r (of two) with probability `strength`, else 1 - strength."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(WIDTH, WIDTH)))[0]
    labels = np.arange(count) % 2
    tokens = rng.normal(size=(count, PATCHES, WIDTH)) * 0.6
    present = np.zeros((count, cues), dtype=np.bool_)
    blocks = np.zeros((count, cues, PATCHES), dtype=np.bool_)
    for i in range(count):
        tokens[i, rng.permutation(PATCHES)[:8]] += 1.7 * axes[labels[i]]
        for r in range(cues):
            odds = strength if labels[i] == r else 1 - strength
            present[i, r] = rng.random() < odds
            if present[i, r]:
                blocks[i, r] = _block(rng)
                tokens[i] += SPREAD * axes[4 + r]
                tokens[i, blocks[i, r]] += STRONG * axes[4 + r]
    return TokenWorld(tokens.astype(np.float32), blocks, present, labels)


def _block(rng: np.random.Generator) -> np.ndarray:
    """A random 3 x 2 block of the grid, flat."""
    mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
    y, x = rng.integers(0, SIDE - 2), rng.integers(0, SIDE - 1)
    mask[y : y + 3, x : x + 2] = True
    return mask.ravel()
