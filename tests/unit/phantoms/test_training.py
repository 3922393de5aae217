"""Losses on hand-computed values, and the training loop on a handful of phantoms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.phantoms import CLASSES, CUE_NAMES, PLANTED, generate, losses
from core.phantoms.corpus import CorpusSpec, coverage, draw, shrink
from core.phantoms.evaluation import iou, patch_accuracy
from core.phantoms.model import GRID, PATCH, SIDE, load_folder, normalise, sine_positions
from core.phantoms.spec import GENERAL_MEMBERS
from core.phantoms.training import (
    TERMS,
    TrainConfig,
    caption_batch,
    schedule,
    train,
)

C = len(CUE_NAMES)


def test_general_terms_are_true_where_a_member_is() -> None:
    cover = torch.zeros(1, 2, C)
    cover[0, 0, CUE_NAMES.index("ruler")] = 0.25
    target = losses.region_targets(cover)
    assert target.shape == (1, 2, len(TERMS))
    assert target[0, 0, CUE_NAMES.index("ruler")] == pytest.approx(0.5)
    assert target[0, 0, TERMS.index("artefact")] == pytest.approx(0.5)
    assert target[0, 0, TERMS.index("lesion structure")] == 0
    assert target[0, 1].sum() == 0
    assert tuple(GENERAL_MEMBERS) == TERMS[C:]


def test_dense_loss_by_hand() -> None:
    logits, target = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]])
    weights = torch.tensor([0.5, 0.5])
    expected = 0.5 * (2 * math.log(2)) + 0.5 * math.log(2)  # positives count double
    assert losses.dense_loss(logits, target, weights).item() == pytest.approx(expected)


def test_caption_loss_balances_positives_and_negatives() -> None:
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    right = torch.where(truth > 0, 20.0, -20.0)
    assert losses.caption_loss(right, truth).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.caption_loss(torch.zeros(2, 2), truth).item() == pytest.approx(math.log(2))


def test_rarity_weights_sum_to_one_and_favour_the_rare() -> None:
    target = torch.zeros(1, 100, 2)
    target[0, :50, 0] = 1
    target[0, :2, 1] = 1
    weights = losses.rarity_weights(target)
    assert weights.sum().item() == pytest.approx(1.0)
    assert (weights[1] / weights[0]).item() == pytest.approx(5.0)


def test_a_caption_is_true_of_every_image_that_shows_it() -> None:
    cover = torch.ones(4, 3, C)
    labels = torch.tensor([0, 0, 1, 2])
    captions, truth = caption_batch(np.random.default_rng(0), cover, labels)
    assert len(captions) == 4
    assert truth.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_schedule_warms_up_and_ends_at_zero() -> None:
    config = TrainConfig(warm_up=10)
    assert schedule(0, 0.0, config) == pytest.approx(0.1)
    assert schedule(10, 0.5, config) == pytest.approx(0.5)
    assert schedule(99, 1.0, config) == pytest.approx(0.0)


def test_iou_and_patch_accuracy_by_hand() -> None:
    true = torch.zeros(1, 4, C, dtype=torch.bool)
    shown = true.clone()
    hair, ruler = CUE_NAMES.index("hair"), CUE_NAMES.index("ruler")
    true[0, :2, hair], shown[0, 1:4, hair] = True, True
    assert iou(shown, true)["hair"] == pytest.approx(1 / 4)
    logits = torch.zeros(1, 4, C)
    logits[0, 0, hair], logits[0, 1, ruler] = 1.0, 1.0
    assert patch_accuracy(logits, true.float()) == pytest.approx(0.5)


def test_coverage_is_the_share_of_the_patch() -> None:
    phantom = generate(1, seed=0, size=SIDE)
    cover = coverage(phantom, GRID)
    lesion = phantom.masks["lesion"].reshape(GRID, PATCH, GRID, PATCH).mean((1, 3))
    assert np.allclose(cover[..., CUE_NAMES.index("lesion")] / 255, lesion, atol=0.01)


def test_corpus_knows_labels_and_shortcuts() -> None:
    spec = CorpusSpec(6, 1, SIDE, PATCH, 3, True, PLANTED, 1.0)
    corpus = draw(spec)
    assert [CLASSES[k] for k in corpus.labels] == [*CLASSES, *CLASSES]
    ruler = corpus.cover[..., CUE_NAMES.index("ruler")].max((1, 2)) > 0
    assert ruler.tolist() == [False, True, False] * 2
    assert shrink(np.zeros((192, 192, 3), np.uint8), SIDE).shape == (SIDE, SIDE, 3)


def test_inputs_and_positions_have_the_stated_range() -> None:
    x = normalise(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8))
    assert x.shape == (1, 3, 2, 2)
    assert x.max().item() == pytest.approx(2.0)
    positions = sine_positions(GRID, 192)
    assert positions.shape == (GRID * GRID, 192)
    assert torch.unique(positions, dim=0).shape[0] == GRID * GRID


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a training process: a thread pool stalls on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_training_writes_a_folder_that_open_clip_loads(tmp_path: Path) -> None:
    corpus = draw(CorpusSpec(8, 1, SIDE, PATCH))
    config = TrainConfig(steps=3, batch=4, warm_up=1, report_every=1, save_every=0, seed=2)
    trained, steps = train(config, corpus, tmp_path)
    assert steps == 3
    lines = (tmp_path / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
    loaded, tokenizer = load_folder(tmp_path)
    assert tokenizer(["a ruler"]).shape == (1, 40)
    for name, value in trained.state_dict().items():
        assert torch.allclose(value, loaded.state_dict()[name], atol=2e-2, rtol=1e-3), name
