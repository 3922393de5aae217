"""What does an explanation cost? (`python -m benchmarks explain_latency --json OUT`)

One case, from pixels to the whole explanation: encode, codes, the cues of the twelve largest
contributions with the effect of removing each from the tokens, maps, regions, doubts, tree,
conformal set, counterfactual (read again), reconstruction, narrative. The bare encoder is
`encode_images` of the same picture, which is drawn at the encoder's own size, so that resizing
costs nothing. Bare and full alternate within a window, whose order alternates too; every window
is another picture, so rows of the dictionary's Gram matrix that are not held yet are made within
the time. A ratio is median(full) / median(bare) over windows. `foreign_cpu` is the share of the
machine that other processes took meanwhile: figures hold on an idle machine.

vit_b_16  open_clip's ViT-B-16 with random weights, 224 px, 196 patches, d = 512; fp32, and with
          bf16 weights. The dictionary (n = 8192, k = 12, the default objective) is trained for 40
          steps of 2048 tokens of 32 phantoms seen through this tower; its threshold is then set to
          the quantile of the pre-activations on 16 other phantoms at which 12 latents fire per
          token. Head: logistic regression on all 48; about 10,000 random relations.
demo      the demo encoder (144 px) and the demo version that is shipped with it.

Legend: I images, P patches, D embedding, N concepts.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.clock import Clock
from benchmarks.harness import Result, Target, collect
from core.artifacts import load_bundle
from core.causal import effects_of
from core.encoder import OpenClipEncoder, Precision, load_encoder
from core.explanation import CANDIDATES, Explainable, explain, flip, reconstruction
from core.first_head import calibrated
from core.heads import LinearHead, fit_head
from core.phantoms.build_demo import DEMO_VERSION
from core.phantoms.generator import generate
from core.phantoms.spec import CLASSES
from core.reading import Reading, read_image
from core.sae import SAEConfig, SparseAutoencoder, TrainConfig
from core.sae.train import train_sae
from core.types import ConceptName, EncoderInfo, Explanation, Relation

SERIES = 33_000
D, N, ACTIVE, SIDE, GRID = 512, 8192, 12, 224, (14, 14)
FITTED, STEPS, BATCH, TOP = 48, 40, 2048, 10
WINDOWS = {"fp32": 15, "bf16": 25, "demo": 60}
TARGETS = {
    "ratio_vit_b_16": Target("<=", 1.25),
    "ratio_demo": Target("<=", 2.0),
}
PHASES = ("encode", "read", "effects", "reconstruction", "flip", "rest")
UNITS = {
    "ratio_vit_b_16": "times", "ratio_vit_b_16_bf16": "times", "ratio_demo": "times",
    **{f"{arm}_{what}": "ms" for arm in ("fp32", "bf16", "demo") for what in ("bare", "full")},
    **{f"{arm}_{phase}": "ms" for arm in ("fp32", "bf16", "demo") for phase in PHASES},
    "l0": "codes/token", "patches_per_cue": "patches", "foreign_cpu": "share",
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What an explanation quotes of a version that was never stored."""

    encoder: EncoderInfo
    version_hash: str = "benchmark"
    parent: str | None = None
    dictionary_hash: str = "benchmark"
    seed: int = 0
    snapshot_hash: str | None = None
    code_version: str = "benchmark"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model version in memory."""

    manifest: Manifest
    sae: SparseAutoencoder
    head: LinearHead
    relations: tuple[Relation, ...]
    names: tuple[ConceptName, ...]


@dataclass(frozen=True, eq=False)
class Arm:
    """An encoder with a model version on it, and pictures of its size."""

    name: str
    encoder: OpenClipEncoder
    bundle: Explainable
    pictures: Sequence[NDArray[np.uint8]]

    def bare(self, picture: NDArray[np.uint8]) -> Tensor:
        """Tokens float32 [P, D], rounded as the product rounds them."""
        return self.encoder.encode_images([picture]).tokens_BPD[0].half().float()

    def full(self, picture: NDArray[np.uint8]) -> Explanation:
        """The whole way."""
        tokens_PD = self.bare(picture)
        return explain(self.bundle, tokens_PD, image_sha256="0" * 64, top=TOP)


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = [_one_seed(seed, quick) for seed in seeds]
    trial = ("QUICK TRIAL: not the benchmark's figures",) if quick else ()
    threads = f"{torch.get_num_threads()} torch threads, {os.cpu_count()} cores"
    return Result("explain_latency", tuple(seeds), collect(rows, UNITS, TARGETS), (threads, *trial))


def ratio(full: Sequence[float], bare: Sequence[float]) -> float:
    """Median time of the whole over the median time of the encoder alone."""
    return float(np.median(full) / np.median(bare))


def threshold_for(pre_MN: NDArray[np.float32], active: float) -> float:
    """The pre-activation above which `active` latents fire per token on average, > 0."""
    most = round(active * pre_MN.shape[0])
    return max(float(np.partition(pre_MN.ravel(), -most)[-most]), 1e-6)


def brief_dictionary(
    tokens_MD: Tensor, apart_MD: Tensor, config: SAEConfig, steps: int, seed: int
) -> SparseAutoencoder:
    """A dictionary after a few steps, with L0 = config.k on tokens that it was not trained on.

    Args:
        tokens_MD: what it is trained on.
        apart_MD: tokens of other pictures, on which the threshold is set.
    """
    batch = min(BATCH, len(tokens_MD))

    def epoch(number: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(1000 * (seed + 1) + number)
        order = torch.randperm(len(tokens_MD), generator=generator)
        return (tokens_MD[rows] for rows in torch.split(order, batch) if len(rows) == batch)

    train = TrainConfig(steps=steps, batch=batch, seed=seed)
    sae = train_sae(epoch, config, train).model
    pre_MN = sae.pre_activations(apart_MD[:: max(1, len(apart_MD) // 2000)]).detach()
    sae.threshold.fill_(threshold_for(pre_MN.numpy(), config.k))
    return sae


def _one_seed(seed: int, quick: bool) -> dict[str, float]:
    figures: dict[str, float] = {}
    clock = Clock()
    for arm in _arms(seed, quick):
        windows = 3 if quick else WINDOWS[arm.name]
        times = _alternate(arm, windows, clock)
        figures |= {f"{arm.name}_{what}": 1e3 * float(np.median(times[what])) for what in times}
        figures[f"ratio_{_KEYS[arm.name]}"] = ratio(times["full"], times["bare"])
        figures |= {f"{arm.name}_{phase}": ms for phase, ms in _phases(arm).items()}
        if arm.name == "fp32":
            figures |= _sparsity(arm)
    figures["foreign_cpu"] = clock.foreign / (clock.wall * (os.cpu_count() or 1))
    return figures


_KEYS = {"fp32": "vit_b_16", "bf16": "vit_b_16_bf16", "demo": "demo"}


def _arms(seed: int, quick: bool) -> Iterator[Arm]:
    count = 4 if quick else max(WINDOWS.values())
    vit = [_picture(FITTED + row, seed, SIDE) for row in range(min(count, WINDOWS["bf16"]))]
    small = _random_vit(seed, "bf16")  # also encodes what the dictionary is made from: faster
    bundle = _vit_bundle(small, seed, 6 if quick else FITTED)
    yield Arm("fp32", _random_vit(seed, "fp32"), bundle, vit)
    yield Arm("bf16", small, bundle, vit)
    demo = load_encoder("demo")
    side = demo.info.image_size
    yield Arm(
        "demo", demo, load_bundle(DEMO_VERSION), [_picture(r, seed, side) for r in range(count)]
    )


def _alternate(arm: Arm, windows: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of bare and full, window by window, after one of each to warm up."""
    first = arm.pictures[-1]
    arm.bare(first)
    arm.full(first)
    own = Clock()
    for window in range(windows):
        picture = arm.pictures[window % len(arm.pictures)]
        both: list[tuple[str, Callable[[NDArray[np.uint8]], Any]]]
        both = [("bare", arm.bare), ("full", arm.full)]
        for name, work in both if window % 2 else both[::-1]:
            own.window(name, 1, lambda work=work, picture=picture: work(picture))  # type: ignore[misc]
    clock.wall += own.wall
    clock.foreign += own.foreign
    return own.seconds


def _phases(arm: Arm) -> dict[str, float]:
    """Milliseconds of each step, median over pictures; "rest" is what explain does besides."""
    rows = []
    for picture in arm.pictures[:8]:
        spent: dict[str, float] = {}
        tokens_PD = _timed(spent, "encode", lambda: arm.bare(picture))  # noqa: B023
        rows.append(_steps(arm.bundle, tokens_PD, spent))
    return {phase: 1e3 * float(np.median([row[phase] for row in rows])) for phase in PHASES}


def _steps(bundle: Explainable, tokens_PD: Tensor, spent: dict[str, float]) -> dict[str, float]:
    head = bundle.head
    seen: Reading = _timed(spent, "read", lambda: read_image(bundle.sae, tokens_PD, head.pooling))
    target = int(head.logits(seen.pooled_N[None])[0].argmax())
    chosen = np.argsort(-np.abs(head.contributions(seen.pooled_N, target)))[:CANDIDATES].tolist()
    _timed(spent, "effects", lambda: effects_of(seen, head, chosen, target))
    _timed(spent, "reconstruction", lambda: reconstruction(bundle.sae, tokens_PD, seen.codes))
    _timed(spent, "flip", lambda: flip(head, seen))
    known = spent["read"] + spent["effects"] + spent["reconstruction"] + spent["flip"]
    _timed(spent, "rest", lambda: explain(bundle, tokens_PD, image_sha256="0" * 64, top=TOP))
    spent["rest"] -= known
    return spent


def _timed(spent: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    made = work()
    spent[name] = time.perf_counter() - start
    return made


def _sparsity(arm: Arm) -> dict[str, float]:
    """Mean codes per token and mean patches of a tested concept, on unseen pictures."""
    l0, patches = [], []
    for picture in arm.pictures[:8]:
        explained = arm.full(picture)
        l0.append(read_image(arm.bundle.sae, arm.bare(picture)).codes.nnz / (GRID[0] * GRID[1]))
        patches += [int((cue.map_GV > 0).sum()) for cue in explained.cues]
    return {"l0": float(np.mean(l0)), "patches_per_cue": float(np.mean(patches))}


def _random_vit(seed: int, precision: Precision) -> OpenClipEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5000 + seed)
        model = open_clip.create_model("ViT-B-16", pretrained=None)
    digest = hashlib.sha256(f"ViT-B-16 random {seed}".encode()).hexdigest()
    info = EncoderInfo("ViT-B-16/random", digest, D, GRID, SIDE)
    return OpenClipEncoder(model, None, info, precision=precision, batch_size=8)


def _picture(row: int, seed: int, side: int) -> NDArray[np.uint8]:
    label = CLASSES[row % len(CLASSES)]
    return generate(row, seed=SERIES + seed, size=side, label=label).image


def _vit_bundle(encoder: OpenClipEncoder, seed: int, count: int) -> Bundle:
    pictures = [_picture(row, seed, SIDE) for row in range(count)]
    tokens_IPD = encoder.encode_images(pictures).tokens_BPD
    drawn, apart = tokens_IPD[: count * 2 // 3], tokens_IPD[count * 2 // 3 :]
    config, steps = SAEConfig(D, n=N, k=ACTIVE), 2 if count < FITTED else STEPS
    sae = brief_dictionary(drawn.flatten(0, 1), apart.flatten(0, 1), config, steps, seed)
    pooled_IN = np.stack([sae.encode(tokens_PD).pooled() for tokens_PD in tokens_IPD])
    labels_I = np.arange(count) % len(CLASSES)
    head = fit_head(pooled_IN, labels_I, CLASSES, c=1.0)
    rng = np.random.default_rng(seed)
    relations = tuple(
        Relation(child, int(parent), "is-a", 0.8, 40)
        for child in range(N // 16, N)
        for parent in np.unique(rng.integers(0, child, rng.integers(1, 3)))
    )
    names = tuple(ConceptName(f"thing {k}" if k % 10 else None, 0.5, 0.1) for k in range(N))
    head = calibrated(head, head.logits(pooled_IN), labels_I, stand_in=True)
    return Bundle(Manifest(replace(encoder.info)), sae, head, relations, names)
