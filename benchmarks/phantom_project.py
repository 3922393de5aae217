"""Phantoms with planted shortcuts under the shipped model, and scripted reviewers who judge them.

The test bed of the feedback benchmark: 1200 phantoms to learn from (a ruler in 95 % of melanomas, a
colour sticker in 95 % of naevi), 400 ordinary ones and 400 with both reversed, of a series that
neither the demo encoder nor the shipped model has seen. Tokens are kept in the cache folder.

Legend: I images; P patches; N concepts; H, W pixels.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from benchmarks.feedback_protocol import QUALITIES
from benchmarks.phantom_world import cache_folder
from benchmarks.reviewing import honest_word
from core.artifacts import ModelBundle, load_bundle
from core.cue_marks import MarkedRegion
from core.encoder import OpenClipEncoder, load_encoder
from core.explanation import explain
from core.filling import enlarge, fill_region
from core.heads import LinearHead
from core.phantoms.dataset import Split
from core.phantoms.generator import Phantom, generate
from core.phantoms.spec import ARTEFACTS, LESION_PARTS
from core.teaching import teach
from core.tokens import TokenStore
from dashboard.services import queue_plan
from dashboard.services.demo import BUNDLE
from dashboard.services.project_settings import ProjectSettings

SERIES, ORACLE_SERIES = 40_000, 50_000  # as `shortcut`
SIZE = 192  # pixels
CUES = 8
TAUGHT = 5  # verdicts between two plans of the order that teaches
SHORTCUT_FREE = Split("", 0, (), None)
KINDS = (Split("train", 0), Split("reversed", 0, strength=0.05))
Bools = NDArray[np.bool_]
Kind = Callable[[int], Split]


@dataclass(frozen=True)
class Sizes:
    """How many phantoms of each kind."""

    train: int = 1200
    same: int = 400
    reversed: int = 400

    @property
    def total(self) -> int:
        """All but the oracle's."""
        return self.train + self.same + self.reversed


@dataclass(frozen=True, eq=False)
class World:
    """One seed's phantoms under the shipped model; rows as drawn: train, same, reversed."""

    seed: int
    sizes: Sizes
    bundle: ModelBundle = field(repr=False)
    encoder: OpenClipEncoder = field(repr=False)
    tokens: TokenStore = field(repr=False)
    labels_I: NDArray[np.int64]
    shown_I2: Bools  # ruler, colour sticker
    pooled_IN: NDArray[np.float32] = field(repr=False)
    kind: Kind = field(repr=False)  # of the phantom that a row is
    series: int

    def phantom(self, row: int) -> Phantom:
        """The phantom itself, drawn again."""
        return _drawn(self.series, self.seed, row, self.kind)

    def key(self, row: int) -> str:
        """The name of a phantom in the token store."""
        return _key(self.series, self.seed, row)

    def tokens_of(self, row: int) -> NDArray[np.float32]:
        """Dense tokens float32 [P, D]."""
        return np.asarray(self.tokens.get(self.key(row)).numpy(), np.float32)

    def codes_of(self, tokens_PD: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled codes float32 [N] of tokens."""
        return np.asarray(_pooled(self.bundle, torch.from_numpy(tokens_PD)), np.float32)

    def filled(self, row: int, region_P: Bools) -> NDArray[np.float32]:
        """Tokens of the picture with a region filled in from its surroundings."""
        grid = self.bundle.manifest.encoder.grid
        image = fill_region(self.phantom(row).image, region_P.reshape(grid))
        tokens_PD = self.encoder.encode_images([image]).tokens_BPD[0].half().float()
        return np.asarray(tokens_PD.numpy(), np.float32)

    @property
    def train(self) -> NDArray[np.int64]:
        """Rows to learn from."""
        return np.arange(self.sizes.train)

    def accuracy(self, head: LinearHead) -> dict[str, float]:
        """Accuracy on `same` and `reversed`."""
        right_I = head.logits(self.pooled_IN).argmax(1) == self.labels_I
        start, middle = self.sizes.train, self.sizes.train + self.sizes.same
        return {
            "same": float(right_I[start:middle].mean()),
            "reversed": float(right_I[middle:].mean()),
        }


@dataclass(frozen=True)
class Said:
    """Verdicts, the cases looked at and how many of the verdicts were "spurious"."""

    marks: tuple[MarkedRegion, ...]
    cases: int
    seen: tuple[int, ...] = ()  # rows of the cases looked at, where they are told

    @property
    def spurious(self) -> int:
        """Verdicts that call a cue spurious."""
        return sum(mark.verdict == "spurious" for mark in self.marks)


class Reviewer:
    """The scripted reviewer; what she says of a case is kept, since every budget begins alike."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[int, tuple[MarkedRegion, ...]] = {}

    def verdicts(self, order: Sequence[int], budget: int) -> Said:
        """The first `budget` verdicts along an order of cases."""
        marks: list[MarkedRegion] = []
        cases = 0
        for row in order:
            if len(marks) >= budget:
                break
            cases += 1
            marks += self.words(int(row))[: budget - len(marks)]
        return Said(tuple(marks), cases, tuple(int(row) for row in order[:cases]))

    def words(self, row: int) -> tuple[MarkedRegion, ...]:
        """The first spurious and the first correct cue of a case, in the order shown."""
        if row not in self._kept:
            self._kept[row] = self._judge(row)
        return self._kept[row]

    def _judge(self, row: int) -> tuple[MarkedRegion, ...]:
        world = self._world
        tokens_PD = torch.from_numpy(world.tokens_of(row))
        told = explain(world.bundle, tokens_PD, image_sha256="0" * 64, top=CUES)
        masks = world.phantom(row).masks
        artefact, sign = _union(masks, ARTEFACTS), _union(masks, LESION_PARTS)
        first: dict[Literal["spurious", "correct"], MarkedRegion] = {}
        for cue in told.cues:
            word = honest_word(enlarge(cue.region_GV, SIZE, SIZE), artefact, sign)
            if word != "unsure":
                first.setdefault(word, MarkedRegion(row, cue.concept, cue.region_GV.ravel(), word))
        return tuple(first.values())


def spoiled(world: World, said: Said, quality: str) -> Said:
    """Verdicts gone wrong.

    random     each word by the toss of a coin
    inverted   each word turned round
    misplaced  each region moved to other patches of its picture, as many, drawn at random
    wrong20    one word in five turned round
    """
    rng = np.random.default_rng((world.seed, QUALITIES.index(quality)))
    marks = []
    for mark in said.marks:
        turned = {"random": rng.random() < 0.5, "inverted": True, "wrong20": rng.random() < 0.2}
        verdict, region_P = mark.verdict, mark.region_P
        if turned.get(quality, False):
            verdict = "correct" if mark.verdict == "spurious" else "spurious"
        if quality == "misplaced":
            region_P = np.zeros_like(region_P)
            region_P[rng.permutation(len(region_P))[: int(mark.region_P.sum())]] = True
        marks.append(MarkedRegion(mark.row, mark.concept, region_P, verdict))
    return Said(tuple(marks), said.cases, said.seen)


def queue_order(world: World) -> list[int]:
    """Training rows in the order of the app's queue, by what is known before any verdict."""
    rows = world.train
    rules = ProjectSettings()
    scores = {
        "uncertain": queue_plan.uncertainty(world.bundle.head.probabilities(world.pooled_IN[rows])),
        "diverse": queue_plan.coverage(world.pooled_IN[rows], seed=world.seed),
    }
    weights = {str(name): float(rules.weights[name]) for name in ("uncertain", "diverse")}
    places = queue_plan.plan(
        scores, weights, control_share=rules.control_share,
        held_out_I=np.zeros(len(rows), dtype=np.bool_), seed=world.seed,
    )  # fmt: skip
    return [int(row) for row in np.argsort([place.order for place in places])]


def taught(world: World, reviewer: Reviewer, budget: int) -> Said:
    """Verdicts in the order of core.teaching, planned anew after each TAUGHT verdicts."""
    rows, head = world.train, world.bundle.head
    codes = csr_array(world.pooled_IN[rows])
    probability_IC = head.probabilities(codes)
    open_I = np.ones(len(rows), dtype=np.bool_)
    marks: list[MarkedRegion] = []
    while len(marks) < budget and open_I.any():
        spurious_N, correct_N = np.zeros(head.n), np.zeros(head.n)
        for mark in marks:
            (spurious_N if mark.verdict == "spurious" else correct_N)[mark.concept] += 1
        lessons = teach(
            codes, world.labels_I[rows], probability_IC, head.weight_CN, spurious_N=spurious_N,
            correct_N=correct_N, open_I=open_I, seed=world.seed,
        )  # fmt: skip
        until = min(len(marks) + TAUGHT, budget)
        for at in lessons.order_I:
            if len(marks) >= until or not open_I[at]:
                break
            open_I[at] = False
            marks += reviewer.words(int(rows[at]))[: budget - len(marks)]
    seen = tuple(int(row) for row in rows[~open_I])
    return Said(tuple(marks), len(seen), seen)


def chance_order(world: World) -> list[int]:
    """Training rows in random order."""
    return [int(row) for row in np.random.default_rng((world.seed, 9)).permutation(world.train)]


def planted(sizes: Sizes) -> Kind:
    """What each row of the usual world is: shortcuts planted, and turned round at the end."""
    tail = sizes.train + sizes.same
    return lambda row: KINDS[int(row >= tail)]


def build(seed: int, sizes: Sizes, *, series: int = SERIES, kind: Kind | None = None) -> World:
    """Draw, encode (kept in the cache folder) and code the phantoms of one seed.

    Args:
        series: of the drawings; another kind of phantoms needs another one.
        kind: what each row is; None: `planted`.
    """
    bundle = load_bundle(BUNDLE)
    encoder = load_encoder("demo")
    kind = kind or planted(sizes)
    tokens = encoded_tokens(encoder, series, seed, sizes.total, kind)
    drawn = [_recipe(_drawn(series, seed, row, kind)) for row in range(sizes.total)]
    labels = np.array([bundle.head.classes.index(label) for label, _ in drawn], np.int64)
    shown = np.array([cues for _, cues in drawn], np.bool_)
    pooled_IN = pooled_codes(bundle, tokens, series, seed, sizes.total)
    return World(seed, sizes, bundle, encoder, tokens, labels, shown, pooled_IN, kind, series)


def _drawn(series: int, seed: int, row: int, kind: Kind) -> Phantom:
    """One phantom of a series."""
    what = kind(row)
    return generate(
        row, seed=series + seed, size=SIZE, shortcuts=what.shortcuts, strength=what.strength
    )


def _recipe(phantom: Phantom) -> tuple[str, tuple[bool, bool]]:
    """Label and whether ruler and sticker show."""
    return phantom.label, ("ruler" in phantom.cues, "colour sticker" in phantom.cues)


def encoded_tokens(
    encoder: OpenClipEncoder, series: int, seed: int, count: int, kind: Kind
) -> TokenStore:
    """Tokens of phantoms 0 to count - 1 of a series, made where they are missing."""
    name = f"feedback-{encoder.info.hash[:12]}-{series + seed}-{count}"
    store = TokenStore(cache_folder() / name)
    absent = [row for row in range(count) if _key(series, seed, row) not in store]

    def encoded() -> Iterator[tuple[str, Tensor]]:
        for start in range(0, len(absent), 64):
            rows = absent[start : start + 64]
            images = [_drawn(series, seed, row, kind).image for row in rows]
            tokens_BPD = encoder.encode_images(images).tokens_BPD
            yield from zip((_key(series, seed, row) for row in rows), tokens_BPD, strict=True)

    store.write(encoded())
    return store


def pooled_codes(
    bundle: ModelBundle, tokens: TokenStore, series: int, seed: int, count: int
) -> NDArray[np.float32]:
    """Pooled codes float32 [count, N]."""
    rows = [_pooled(bundle, tokens.get(_key(series, seed, row))) for row in range(count)]
    return np.stack(rows).astype(np.float32)


def _pooled(bundle: ModelBundle, tokens_PD: Tensor) -> NDArray[np.float32]:
    return bundle.sae.encode(tokens_PD.float()).pooled(bundle.head.pooling)


def _key(series: int, seed: int, row: int) -> str:
    return hashlib.sha256(f"phantom {series + seed} {row}".encode()).hexdigest()


def _union(masks: Mapping[str, Bools], names: Sequence[str]) -> Bools:
    union_HW = np.zeros((SIZE, SIZE), dtype=np.bool_)
    for name in names:
        if name in masks:
            union_HW |= masks[name]
    return union_HW
