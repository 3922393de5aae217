"""Measure the demo encoder: `python -m core.phantoms.evaluation FOLDER --json OUT`.

Protocol, on the shipped fp16 file loaded through open_clip, on phantoms of a series that
training never drew:

zero-shot class accuracy   balanced classes, no shortcut; arg max over the three classes of the
                           cosine of the image with the mean of the class prompts.
patch-to-text IoU          per cue: a patch is predicted where scale * cosine(token, text) + bias
                           > 0 (scale and bias are the model's own), and is true where the cue
                           covers at least a quarter of it; counts are pooled over all images.
pixel IoU                  the same logits, bilinearly enlarged, against the pixel masks.
patch-to-cue accuracy      over patches covered by a structure or artefact: the best phrase among
                           all cues but skin and lesion names a cue that is truly there.
linear probes              logistic regression on pooled projected tokens, fitted on one set and
                           scored on the set it came from, the reversed set and the free set.

Legend: N images, P patches, D embedding, C cues, K classes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.phantoms.captions import class_prompts, region_prompts
from core.phantoms.corpus import DRAW_SIZE, Corpus, CorpusSpec, draw, phantoms, shrink
from core.phantoms.model import (
    GRID,
    PATCH,
    SIDE,
    encode_dense,
    encode_texts,
    load_folder,
    normalise,
)
from core.phantoms.spec import CLASSES, CUE_NAMES, PLANTED

FRESH_SEED = 900_001
TRUE_FROM = 0.25
SIGNS = [k for k, name in enumerate(CUE_NAMES) if name not in ("skin", "lesion")]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    """unit global [N, D], projected tokens [N, P, D], cover [N, P, C] in 0..1, labels [N]."""

    global_ND: Tensor
    tokens_NPD: Tensor
    cover_NPC: Tensor
    labels_N: Tensor


def embed(model: nn.Module, corpus: Corpus, batch: int = 64) -> Embedded:
    """Encode a corpus in fp32."""
    pooled, tokens = [], []
    with torch.inference_mode():
        for start in range(0, len(corpus), batch):
            x = normalise(torch.from_numpy(corpus.images[start : start + batch]))
            one, many = encode_dense(model, x)
            pooled.append(F.normalize(one, dim=-1))
            tokens.append(many)
    cover = torch.from_numpy(corpus.cover).float().flatten(1, 2) / 255.0
    return Embedded(torch.cat(pooled), torch.cat(tokens), cover, torch.from_numpy(corpus.labels))


def zero_shot_accuracy(data: Embedded, text_KD: Tensor) -> float:
    """Share of images whose nearest class text is their own."""
    return float((data.global_ND @ text_KD.T).argmax(1).eq(data.labels_N).float().mean())


def cue_logits(model: Any, tokens_NPD: Tensor, text_CD: Tensor) -> Tensor:
    """scale * cosine + bias for every token and cue, [N, P, C]."""
    cosine = F.normalize(tokens_NPD, dim=-1) @ text_CD.T
    logits: Tensor = model.logit_scale.exp() * cosine + model.logit_bias
    return logits


def iou(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Intersection over union per cue, pooled over all positions of all images [..., C]."""
    p, t = predicted.reshape(-1, len(CUE_NAMES)), true.reshape(-1, len(CUE_NAMES))
    both, either = (p & t).sum(0), (p | t).sum(0).clamp(min=1)
    return dict(zip(CUE_NAMES, (both / either).tolist(), strict=True))


def patch_accuracy(logits_NPC: Tensor, cover_NPC: Tensor) -> float:
    """Share of patches with a sign whose best phrase names a sign that is there."""
    true = cover_NPC[..., SIGNS] >= TRUE_FROM
    best = logits_NPC[..., SIGNS].argmax(-1, keepdim=True)
    hit = true.gather(-1, best).squeeze(-1)
    return float(hit[true.any(-1)].float().mean())


def pixel_iou(model: Any, spec: CorpusSpec, text_CD: Tensor) -> dict[str, float]:
    """IoU per cue at full size [DRAW_SIZE, DRAW_SIZE], bilinear logits against exact masks."""
    both, either = torch.zeros(len(CUE_NAMES)), torch.zeros(len(CUE_NAMES))
    for phantom in phantoms(spec):
        x = normalise(torch.from_numpy(shrink(phantom.image, SIDE).copy())[None])
        with torch.inference_mode():
            logits = cue_logits(model, encode_dense(model, x)[1], text_CD)
        grid = logits.reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
        shown = F.interpolate(grid, DRAW_SIZE, mode="bilinear", align_corners=False)[0] > 0
        for k, name in enumerate(CUE_NAMES):
            mask = phantom.masks.get(name)
            true = torch.zeros_like(shown[k]) if mask is None else torch.from_numpy(mask)
            both[k] += (shown[k] & true).sum()
            either[k] += (shown[k] | true).sum()
    return dict(zip(CUE_NAMES, (both / either.clamp(min=1)).tolist(), strict=True))


def pool(data: Embedded, how: str) -> Floats:
    """Mean- or max-pooled projected tokens [N, D]."""
    tokens = data.tokens_NPD
    pooled = tokens.mean(1) if how == "mean" else tokens.amax(1)
    return np.asarray(pooled.numpy(), dtype=np.float32)


def probe_scores(train: Embedded, tests: dict[str, Embedded]) -> dict[str, float]:
    """Accuracy of logistic probes on pooled tokens: keys "<pool>/<test set>"."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = {}
    for how in ("mean", "max"):
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        head.fit(pool(train, how), train.labels_N.numpy())
        for name, data in tests.items():
            scores[f"{how}/{name}"] = float(head.score(pool(data, how), data.labels_N.numpy()))
    return scores


def _corpus(count: int, first: int, strength: float | None) -> Corpus:
    shortcuts = () if strength is None else PLANTED
    return draw(CorpusSpec(count, FRESH_SEED, SIDE, PATCH, first, True, shortcuts, strength))


def evaluate_zero_shot(model: nn.Module, tokenizer: Any, images: int) -> dict[str, Any]:
    """Zero-shot figures on fresh, balanced, shortcut-free phantoms."""
    spec = CorpusSpec(images, FRESH_SEED, SIDE, PATCH, 0, True)
    data = embed(model, draw(spec))
    with torch.inference_mode():
        text_KD = encode_texts(model, tokenizer, [class_prompts(c) for c in CLASSES])
        text_CD = encode_texts(model, tokenizer, [region_prompts(c) for c in CUE_NAMES])
        logits = cue_logits(model, data.tokens_NPD, text_CD)
        per_cue = iou(logits > 0, data.cover_NPC >= TRUE_FROM)
        few = CorpusSpec(min(images, 300), FRESH_SEED, SIDE, PATCH, 0, True)
        per_pixel = pixel_iou(model, few, text_CD)
        return {
            "images": images,
            "zero_shot_accuracy": zero_shot_accuracy(data, text_KD),
            "mean_patch_iou": float(np.mean(list(per_cue.values()))),
            "mean_pixel_iou": float(np.mean(list(per_pixel.values()))),
            "patch_to_cue_accuracy": patch_accuracy(logits, data.cover_NPC),
            "patch_iou": per_cue,
            "pixel_iou": per_pixel,
        }


def evaluate_probes(model: nn.Module, train: int, test: int) -> dict[str, float]:
    """Linear probes trained with and without the planted shortcuts."""
    strengths = {"ordinary": 0.95, "reversed": 0.05, "free": None}
    tests = {
        name: embed(model, _corpus(test, 20_000 + 5_000 * k, value))
        for k, (name, value) in enumerate(strengths.items())
    }
    planted = probe_scores(embed(model, _corpus(train, 40_000, 0.95)), tests)
    free = probe_scores(embed(model, _corpus(train, 50_000, None)), tests)
    return {
        **{f"planted/{k}": v for k, v in planted.items()},
        **{f"free/{k}": v for k, v in free.items()},
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the demo encoder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--probe-train", type=int, default=2400)
    parser.add_argument("--probe-test", type=int, default=900)
    args = parser.parse_args(argv)
    model, tokenizer = load_folder(args.folder)
    figures = evaluate_zero_shot(model, tokenizer, args.images)
    if args.probe_train:
        figures["probes"] = evaluate_probes(model, args.probe_train, args.probe_test)
    text = json.dumps(figures, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(table(figures) + "\n")
    return 0


def table(figures: dict[str, Any]) -> str:
    """The figures as plain text, one a line."""
    lines = [f"{k:28s} {v:.3f}" for k, v in figures.items() if isinstance(v, float)]
    patch, pixel = figures["patch_iou"], figures["pixel_iou"]
    lines += [f"IoU {name:24s} patch {patch[name]:.3f}  pixel {pixel[name]:.3f}" for name in patch]
    lines += [f"probe {k:22s} {v:.3f}" for k, v in figures.get("probes", {}).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
