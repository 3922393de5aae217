"""How well do texts find cues in fresh phantoms? (`python -m benchmarks segmentation --json OUT`)

Per seed: concepts discovered with the defaults on 1200 fresh phantoms (benchmarks.phantom_concepts)
segment the 400 test phantoms by the cues' names. A patch shows a cue where the cosine of its
reconstruction with the cue's text reaches a threshold. Cues overlap (globules lie in the lesion),
so each of the 17 has a mask of its own: its threshold has the largest IoU on the 300 `select`
phantoms, and `test` only scores it. IoU pools the patches of all test phantoms; truth is a patch
covered by a quarter or more; the mean is over cues.

Beside it, in the same way: the dense tokens with the same texts; the tokens' nearest k-means
centroids with the same texts; the single best concept of each cue without any text (chosen on
select); and one common threshold for all cues (no choice per cue). Chance marks every patch: its
IoU is the cue's share of the patches.

Legend: I images, P patches, M patches of many images, N concepts, D embedding, C cues, K centroids.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans

from benchmarks.harness import Metric, Result, Target, collect
from benchmarks.phantom_concepts import Concepts, discovered, match_concepts
from benchmarks.phantom_world import World, build
from core.phantoms.captions import region_prompts
from core.phantoms.spec import CUE_NAMES
from core.segmentation import TextSegmenter, best_threshold, upsample
from core.zero_shot import ClassTexts, class_texts

Floats = NDArray[np.float64]
SLACK = 0.03  # what the sparse codes may lose against dense tokens
PIXEL_CASES = 100  # test phantoms drawn again for the figures in pixels
UNITS = {
    "mean_iou": "IoU, patches",
    "dense_tokens_mean_iou": "IoU, patches",
    "kmeans_mean_iou": "IoU, patches",
    "best_concept_mean_iou": "IoU, patches",
    "chance_mean_iou": "IoU, patches",
    "common_threshold_mean_iou": "IoU, patches",
    "dense_tokens_common_threshold_mean_iou": "IoU, patches",
    "gap_corrected_mean_iou": "IoU, patches",
    "label_accuracy": "share of patches",
    "dense_tokens_label_accuracy": "share of patches",
    "pixel_mean_iou": "IoU, pixels",
    "dense_tokens_pixel_mean_iou": "IoU, pixels",
    "additivity_error": "logit",
}
_SIGNS = [k for k, name in enumerate(CUE_NAMES) if name not in ("skin", "lesion")]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of every patch and cue on the two splits, [M, C]."""

    select_MC: Floats
    test_MC: Floats


def run(seeds: Sequence[int] = (0, 1, 2), *, quick: bool = False) -> Result:
    """All seeds; `quick` is a small trial whose figures are not the benchmark's."""
    rows = []
    for seed in seeds:
        rows.append(_one_seed(build(seed, quick=quick)))
        shown = ", ".join(f"{key} {value:.3f}" for key, value in rows[-1].items())
        print(f"seed {seed}: {shown}", file=sys.stderr, flush=True)
    dense = float(np.mean([row["dense_tokens_mean_iou"] for row in rows]))
    targets = {
        "mean_iou": Target(">=", dense - SLACK, text=f"dense tokens - {SLACK}; our own"),
        "additivity_error": Target("<=", 1e-6, of="max"),
    }
    metrics: tuple[Metric, ...] = collect(rows, UNITS, targets)
    notes = (
        "fresh discovery per seed; thresholds chosen on select, scored on test",
        f"texts: {len(region_prompts('hair'))} prompts per cue, no synonyms",
        *(("QUICK TRIAL: not the benchmark's figures",) if quick else ()),
    )
    return Result("segmentation", tuple(seeds), metrics, notes)


def _one_seed(world: World) -> dict[str, float]:
    concepts = discovered(world)
    texts = class_texts({cue: region_prompts(cue) for cue in CUE_NAMES}, world.encoder.encode_texts)
    truth = {split: _truth(world, split) for split in ("select", "test")}
    from_codes = _by_codes(concepts, texts)
    dense = _by_tokens(world, texts)
    kmeans = _by_kmeans(world, texts, concepts.discovery.sae.n)
    cuts_C, iou = own_thresholds(from_codes, truth["select"], truth["test"])
    dense_cuts_C, dense_iou = own_thresholds(dense, truth["select"], truth["test"])
    matches = match_concepts(concepts)
    pixels = _pixel_iou(world, from_codes.test_MC, cuts_C)
    dense_pixels = _pixel_iou(world, dense.test_MC, dense_cuts_C)
    return {
        "mean_iou": iou,
        "dense_tokens_mean_iou": dense_iou,
        "kmeans_mean_iou": own_thresholds(kmeans, truth["select"], truth["test"])[1],
        "best_concept_mean_iou": float(np.mean([matches.of(cue).iou for cue in CUE_NAMES])),
        "chance_mean_iou": float(truth["test"].mean(0).mean()),
        "common_threshold_mean_iou": common_threshold(from_codes, truth["select"], truth["test"]),
        "dense_tokens_common_threshold_mean_iou": common_threshold(
            dense, truth["select"], truth["test"]
        ),
        "gap_corrected_mean_iou": own_thresholds(
            _by_codes(concepts, texts, _token_mean(world)), truth["select"], truth["test"]
        )[1],
        "label_accuracy": label_accuracy(from_codes.test_MC, truth["test"]),
        "dense_tokens_label_accuracy": label_accuracy(dense.test_MC, truth["test"]),
        "pixel_mean_iou": pixels,
        "dense_tokens_pixel_mean_iou": dense_pixels,
        "additivity_error": _additivity_error(concepts, texts),
    }


def own_thresholds(
    scores: Scores, select_MC: NDArray[np.bool_], test_MC: NDArray[np.bool_]
) -> tuple[Floats, float]:
    """A threshold for each cue, chosen on select, and the mean IoU that they reach on test."""
    pairs = zip(scores.select_MC.T, select_MC.T, strict=True)
    cut_C = np.array([best_threshold(score_M, truth_M)[0] for score_M, truth_M in pairs])
    return cut_C, mean_iou(scores.test_MC >= cut_C, test_MC)


def common_threshold(
    scores: Scores, select_MC: NDArray[np.bool_], test_MC: NDArray[np.bool_], steps: int = 81
) -> float:
    """Mean IoU on test of the one threshold that is best on select for all cues together."""
    grid = np.linspace(-0.2, 0.6, steps)
    best = max(grid, key=lambda cut: mean_iou(scores.select_MC >= cut, select_MC))
    return mean_iou(scores.test_MC >= best, test_MC)


def mean_iou(shown_MC: NDArray[np.bool_], truth_MC: NDArray[np.bool_]) -> float:
    """Intersection over union pooled over all patches, mean over the cues that occur."""
    both_C = (shown_MC & truth_MC).sum(0)
    either_C = (shown_MC | truth_MC).sum(0)
    occurs_C = truth_MC.any(0)
    return float((both_C[occurs_C] / either_C[occurs_C]).mean())


def label_accuracy(score_MC: Floats, truth_MC: NDArray[np.bool_]) -> float:
    """Of the patches with a sign, the share whose best text among the signs names one of them.

    Signs are all cues but skin and lesion, which cover nearly everything.
    """
    true_MS = truth_MC[:, _SIGNS]
    best_M = score_MC[:, _SIGNS].argmax(1)
    hit_M = true_MS[np.arange(len(best_M)), best_M]
    return float(hit_M[true_MS.any(1)].mean())


def _by_codes(concepts: Concepts, texts: ClassTexts, image_mean_D: Floats | None = None) -> Scores:
    segmenter = _segmenter(concepts, texts, image_mean_D)
    select, test = (segmenter.logits(concepts.codes(s)).logit_PC for s in ("select", "test"))
    return Scores(select, test)


def _segmenter(
    concepts: Concepts, texts: ClassTexts, image_mean_D: Floats | None = None
) -> TextSegmenter:
    sae = concepts.discovery.sae
    bias_D = sae.b_dec.detach().numpy()
    return TextSegmenter(sae.decoder_ND.numpy(), bias_D, texts, image_mean_D)


def _by_tokens(world: World, texts: ClassTexts) -> Scores:
    select, test = (_cosine(_tokens(world, world.rows(s)), texts) for s in ("select", "test"))
    return Scores(select, test)


def _by_kmeans(world: World, texts: ClassTexts, count: int) -> Scores:
    """Every token stands for its nearest of `count` centroids of the train tokens."""
    model = MiniBatchKMeans(count, random_state=world.seed, n_init=1, batch_size=4096, max_iter=20)
    model.fit(_tokens(world, world.rows("train")))
    cosine_KC = _cosine(model.cluster_centers_, texts)
    select, test = (
        cosine_KC[model.predict(_tokens(world, world.rows(s)))] for s in ("select", "test")
    )
    return Scores(select, test)


def _cosine(token_MD: NDArray[np.floating], texts: ClassTexts) -> Floats:
    length_M = np.linalg.norm(token_MD, axis=1, keepdims=True)
    return np.asarray(token_MD @ texts.text_CD.T / np.maximum(length_M, 1e-12), np.float64)


def _tokens(world: World, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate([world.tokens_of(int(row)).numpy() for row in rows])


def _token_mean(world: World) -> Floats:
    return np.asarray(_tokens(world, world.rows("train")[:200]).mean(0), np.float64)


def _truth(world: World, split: str) -> NDArray[np.bool_]:
    return world.truth_IPC()[world.rows(split)].reshape(-1, len(CUE_NAMES))


def _pixel_iou(world: World, test_MC: Floats, cut_C: Floats) -> float:
    """Mean IoU in pixels of bilinearly enlarged masks, on the first test phantoms."""
    rows = world.rows("test")[:PIXEL_CASES]
    patches = world.encoder.info.grid[0] * world.encoder.info.grid[1]
    both_C, either_C = np.zeros(len(cut_C)), np.zeros(len(cut_C))
    for place, row in enumerate(rows):
        masks = world.phantom(int(row)).masks
        size_HW = next(iter(masks.values())).shape
        score_PC = test_MC[place * patches : (place + 1) * patches]
        large_CHW = upsample(score_PC, world.encoder.info.grid, size_HW)
        shown_CHW = large_CHW >= cut_C.astype(np.float32)[:, None, None]
        for c, cue in enumerate(CUE_NAMES):
            true_HW = masks.get(cue, np.zeros(size_HW, bool))
            both_C[c] += (shown_CHW[c] & true_HW).sum()
            either_C[c] += (shown_CHW[c] | true_HW).sum()
    return float((both_C / np.maximum(either_C, 1)).mean())


def _additivity_error(concepts: Concepts, texts: ClassTexts, cases: int = 20) -> float:
    """Largest |sum of contributions + bias - logit| over patches and cues of some test phantoms."""
    segmenter = _segmenter(concepts, texts)
    codes_PN: sparse.csr_array = concepts.codes_of(concepts.world.rows("test")[:cases])
    logits = segmenter.logits(codes_PN)
    worst = 0.0
    for c in range(len(texts.names)):
        total_P = segmenter.contributions(codes_PN, c).sum(axis=1) + logits.bias_PC[:, c]
        worst = max(worst, float(np.abs(total_P - logits.logit_PC[:, c]).max()))
    return worst
