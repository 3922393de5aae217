"""The shipped demo encoder keeps its promises, on a few phantoms; its card has all figures."""

from __future__ import annotations

import pytest
import torch

from core.phantoms import CLASSES, CUE_NAMES, ENCODER_DIR, class_prompts, region_prompts
from core.phantoms.corpus import CorpusSpec, draw
from core.phantoms.evaluation import (
    FRESH_SEED,
    TRUE_FROM,
    Embedded,
    cue_logits,
    embed,
    iou,
    zero_shot_accuracy,
)
from core.phantoms.model import GRID, PATCH, SIDE, WEIGHTS_FILE, encode_texts, load_folder


@pytest.fixture(scope="module")
def shipped() -> tuple[torch.nn.Module, object]:
    return load_folder(ENCODER_DIR)


@pytest.fixture(scope="module")
def fresh(shipped: tuple[torch.nn.Module, object]) -> Embedded:
    corpus = draw(CorpusSpec(90, FRESH_SEED, SIDE, PATCH, 0, True))
    return embed(shipped[0], corpus)


def test_weights_fit_the_repository() -> None:
    assert (ENCODER_DIR / WEIGHTS_FILE).stat().st_size <= 15_000_000
    card = (ENCODER_DIR / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "not for clinical use" in card


def test_tokens_and_texts_share_one_space(
    shipped: tuple[torch.nn.Module, object], fresh: Embedded
) -> None:
    texts = encode_texts(*shipped, [class_prompts(label) for label in CLASSES])
    assert fresh.tokens_NPD.shape == (90, GRID * GRID, texts.shape[1])
    assert torch.allclose(texts.norm(dim=1), torch.ones(len(CLASSES)), atol=1e-5)


def test_zero_shot_classes(shipped: tuple[torch.nn.Module, object], fresh: Embedded) -> None:
    with torch.inference_mode():
        texts = encode_texts(*shipped, [class_prompts(label) for label in CLASSES])
    assert zero_shot_accuracy(fresh, texts) >= 0.85  # 90 images; the target is .90 on 1500


def test_phrases_find_their_regions(
    shipped: tuple[torch.nn.Module, object], fresh: Embedded
) -> None:
    with torch.inference_mode():
        texts = encode_texts(*shipped, [region_prompts(name) for name in CUE_NAMES])
        logits = cue_logits(shipped[0], fresh.tokens_NPD, texts)
    scores = iou(logits > 0, fresh.cover_NPC >= TRUE_FROM)
    assert sum(scores.values()) / len(scores) >= 0.45  # 90 images; the target is .50 on 1500


def test_tokens_are_not_collapsed_onto_the_phrases(fresh: Embedded) -> None:
    """A dictionary is learned on these tokens: they must span more than the cue phrases."""
    flat = fresh.tokens_NPD.flatten(0, 1)
    spectrum = torch.linalg.svdvals(flat - flat.mean(0)).square()
    needed = int((spectrum.cumsum(0) / spectrum.sum() < 0.95).sum()) + 1
    assert needed >= 12
