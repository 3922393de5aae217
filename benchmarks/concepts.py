"""Do single concepts find what is really there? (`python -m benchmarks concepts --json OUT`)

Fresh phantoms (`benchmarks.phantom_world`), concepts found with the engine's defaults on `train`.
For every cue the best concept and its threshold are chosen on `select` and scored on `test`.

mean_concept_auc    mean over all 17 cues of the AUC over patches of the cue's best concept. A
                    patch shows a cue that covers a quarter of it.
image_concept_auc   the same over images (the largest activation of an image), for the 15 cues that
                    some images lack; skin and lesion are in every image.
mean_iou            mean over the 17 cues of the intersection over union, counts pooled over all
                    patches of test, of "activation above the threshold" with the cue.
pixel_iou           the same at 192 x 192 pixels: the activation map bilinearly enlarged, the same
                    threshold, exact masks; on the first images of test.
family_iou          the union of the best concept with its synonyms and children in the graph, each
                    above its own threshold, where that was better on `select`.

AUC and IoU each choose their own best concept. Beside the dictionary, on the same tokens and with
as many concepts: k-means (MacQueen; minus the distance to a centre), NMF (on tokens shifted to be
>= 0), and a random-direction control (rectified projections on random unit vectors of the centred
tokens). `sae_only_*` is the same dictionary without its relations: it is what mean_iou measures;
what relations add is family_iou.

Legend: I images, P patches, M = I*P, N concepts, T targets, D embedding, S pixels a side.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import MiniBatchNMF

from benchmarks.harness import Result, Target, collect
from benchmarks.phantom_concepts import Concepts, Matches, discovered, match_codes, targets_MT
from benchmarks.phantom_world import World, build
from core.concept_scores import auc
from core.phantoms.corpus import DRAW_SIZE
from core.phantoms.spec import CUE_NAMES

CUES = len(CUE_NAMES)
PIXEL_IMAGES, QUICK_PIXEL_IMAGES = 120, 10
FIT_TOKENS = 40_000  # train tokens that k-means and NMF are fitted on
RIVALS = ("kmeans", "nmf", "random")
UNITS = {
    "mean_concept_auc": "AUC", "image_concept_auc": "AUC", "mean_iou": "IoU", "pixel_iou": "IoU",
    "family_iou": "IoU", "general_iou": "IoU", "general_family_iou": "IoU", "worst_auc": "AUC",
    "worst_iou": "IoU", "concepts": "concepts", "concepts_per_patch": "concepts", "fvu": "share",
    **{
        f"{name}_{key}": unit
        for name in RIVALS
        for key, unit in (("auc", "AUC"), ("image_auc", "AUC"), ("iou", "IoU"))
    },
}  # fmt: skip
TARGETS_MET = {"mean_concept_auc": Target(">=", 0.95), "mean_iou": Target(">=", 0.50)}
Floats = NDArray[np.float64]
Scores: TypeAlias = sparse.csr_array | NDArray[np.floating]


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        world = build(seed, quick=quick)
        rows.append(_one_seed(world, QUICK_PIXEL_IMAGES if quick else PIXEL_IMAGES))
    notes = (
        "chosen on select, scored on test; AUC and IoU over patches of 1/144 of an image",
        "worst_*: the cue that fares worst",
        *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()),
    )
    return Result("concepts", tuple(seeds), collect(rows, UNITS, TARGETS_MET), notes)


def _one_seed(world: World, pixel_images: int) -> dict[str, float]:
    concepts = discovered(world)
    matches = _matched(world, concepts.codes)
    found = figures(world, concepts.codes, matches)
    family = [family_iou(concepts, matches, t) for t in range(len(matches.targets))]
    sae = concepts.discovery.metrics["sae"]
    row = {
        "mean_concept_auc": found["auc"],
        "image_concept_auc": found["image_auc"],
        "mean_iou": found["iou"],
        "worst_auc": found["worst_auc"],
        "worst_iou": min(m.iou for m in matches.targets[:CUES]),
        "pixel_iou": pixel_iou(concepts, matches, pixel_images),
        "family_iou": float(np.mean(family[:CUES])),
        "general_iou": float(np.mean([m.iou for m in matches.targets[CUES:]])),
        "general_family_iou": float(np.mean(family[CUES:])),
        "concepts": concepts.discovery.sae.n,
        "concepts_per_patch": sae["l0"],
        "fvu": sae["fvu"],
    }
    for name in RIVALS:
        scores = rival(name, world, concepts.discovery.sae.n)
        rival_figures = figures(world, scores, _matched(world, scores))
        row |= {f"{name}_{key}": rival_figures[key] for key in ("auc", "image_auc", "iou")}
    return row


def _matched(world: World, scores: Callable[[str], Scores]) -> Matches:
    """Matches of any activations, given by split as [I*P, N]."""
    select_MT, test_MT = targets_MT(world, "select"), targets_MT(world, "test")
    return match_codes(scores("select"), select_MT, scores("test"), test_MT)


def figures(world: World, scores: Callable[[str], Scores], matches: Matches) -> dict[str, float]:
    """Mean patch AUC, image AUC and IoU over cues, and the worst patch AUC."""
    best = matches.select_auc_NT[:, :CUES].argmax(axis=0)
    patch_C = matches.auc_NT[best, np.arange(CUES)]
    return {
        "auc": float(patch_C.mean()),
        "worst_auc": float(patch_C.min()),
        "image_auc": image_auc(world, scores),
        "iou": float(np.mean([m.iou for m in matches.targets[:CUES]])),
    }


def image_auc(world: World, scores: Callable[[str], Scores]) -> float:
    """Mean over cues that vary between images of the AUC of an image's largest activation."""
    patches = world.cover_IPC.shape[1]
    pooled = [largest(scores(split), patches) for split in ("select", "test")]
    shown = [
        np.asarray(targets_MT(world, split)[:, :CUES].reshape(-1, patches, CUES).any(axis=1))
        for split in ("select", "test")
    ]
    select_NC, test_NC = (auc(a, b) for a, b in zip(pooled, shown, strict=True))
    varies = ~np.isnan(select_NC).any(axis=0) & ~np.isnan(test_NC).any(axis=0)
    best = select_NC[:, varies].argmax(axis=0)
    return float(test_NC[:, varies][best, np.arange(int(varies.sum()))].mean())


def largest(scores_MN: Scores, patches: int) -> Floats:
    """Largest activation of each image, [I, N]."""
    images = []
    for start in range(0, scores_MN.shape[0], patches):
        part = scores_MN[start : start + patches]
        dense_PN = part if isinstance(part, np.ndarray) else part.toarray()
        images.append(dense_PN.max(axis=0))
    return np.stack(images).astype(np.float64)


def family_iou(concepts: Concepts, matches: Matches, t: int) -> float:
    """IoU on test of the best concept together with its synonyms and children.

    The family counts where it was better than the single concept on `select`; each member has the
    threshold at which it shows the target best.
    """
    match = matches.targets[t]
    graph = concepts.discovery.graph
    family = {match.concept, *(e.child for e in graph.relations if e.parent == match.concept)}
    family |= {c for group in graph.synonyms if match.concept in group for c in group}
    members = sorted(family)
    threshold_F = matches.threshold_NT[members, t]
    together = [
        _union_iou(concepts, split, members, threshold_F, t) for split in ("select", "test")
    ]
    return together[1] if together[0] > match.select_iou else match.iou


def _union_iou(
    concepts: Concepts, split: str, members: list[int], threshold_F: Floats, t: int
) -> float:
    own_MF = concepts.codes(split)[:, members].toarray()
    marked_M = (own_MF > threshold_F).any(axis=1)
    truth_M = targets_MT(concepts.world, split)[:, t]
    return float((marked_M & truth_M).sum() / max((marked_M | truth_M).sum(), 1))


def pixel_iou(concepts: Concepts, matches: Matches, images: int) -> float:
    """Mean over cues of the IoU with the exact masks on the first images of test."""
    both_C, either_C = np.zeros(CUES), np.zeros(CUES)
    chosen = [m.concept for m in matches.targets[:CUES]]
    limit_C = np.array([m.threshold for m in matches.targets[:CUES]])
    rows = concepts.world.rows("test")[:images]
    for row in rows:
        maps_PC = concepts.codes_of(np.array([row]))[:, chosen].toarray()
        marked_CSS = enlarged(maps_PC) > limit_C[:, None, None]
        masks = concepts.world.phantom(int(row)).masks
        empty = np.zeros((DRAW_SIZE, DRAW_SIZE), np.bool_)
        true_CSS = np.stack([masks.get(name, empty) for name in CUE_NAMES])
        both_C += (marked_CSS & true_CSS).sum(axis=(1, 2))
        either_C += (marked_CSS | true_CSS).sum(axis=(1, 2))
    return float(np.mean(both_C / np.maximum(either_C, 1)))


def enlarged(maps_PC: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps on a square grid, bilinearly enlarged to [C, S, S]."""
    side = round(len(maps_PC) ** 0.5)
    grid = torch.from_numpy(np.asarray(maps_PC, np.float32).T.reshape(1, -1, side, side).copy())
    return F.interpolate(grid, DRAW_SIZE, mode="bilinear", align_corners=False)[0].numpy()


def rival(name: str, world: World, count: int) -> Callable[[str], Scores]:
    """Activations [I*P, N] of another method with `count` concepts, fitted on train tokens."""
    rng = np.random.default_rng([world.seed, 7])
    train_MD = _tokens(world, "train")
    sample_MD = train_MD[np.sort(rng.permutation(len(train_MD))[:FIT_TOKENS])]
    match name:
        case "kmeans":
            means = MiniBatchKMeans(count, random_state=world.seed, n_init=3, batch_size=4096)
            means.fit(sample_MD)
            return _each(world, lambda x_MD: -means.transform(x_MD).astype(np.float32))
        case "nmf":
            low_D = sample_MD.min(axis=0)
            parts = MiniBatchNMF(count, random_state=world.seed, batch_size=4096, max_iter=20)
            parts.fit(sample_MD - low_D)
            return _each(world, lambda x_MD: parts.transform(np.maximum(x_MD - low_D, 0.0)))
        case "random":
            axes_DN = rng.standard_normal((sample_MD.shape[1], count)).astype(np.float32)
            axes_DN /= np.linalg.norm(axes_DN, axis=0)
            mean_D = sample_MD.mean(axis=0)
            return _each(world, lambda x_MD: np.maximum((x_MD - mean_D) @ axes_DN, 0.0))
        case _:
            raise ValueError(f"no rival is called {name!r}")


def _each(
    world: World, activate: Callable[[NDArray[np.float32]], NDArray[np.floating]]
) -> Callable[[str], Scores]:
    """Activations of select and test, computed once."""
    known = {split: activate(_tokens(world, split)) for split in ("select", "test")}
    return lambda split: known[split]


def _tokens(world: World, split: str) -> NDArray[np.float32]:
    """Dense tokens of a split, float32 [I*P, D]."""
    parts = [world.tokens_of(int(row)).numpy() for row in world.rows(split)]
    return np.concatenate(parts)
