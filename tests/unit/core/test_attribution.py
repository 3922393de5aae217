"""Attribution on small models whose maps can be worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from core.attribution import (
    AttributionModel,
    Job,
    MethodInfo,
    Settings,
    Values,
    attribute,
    cue_regions,
    default_registry,
    methods,
)
from core.attribution.perturbation import regions_of
from core.encoders.rules import EXACT, Rules
from core.errors import ConfigError
from core.heads import LinearHead, Pooling
from core.sae import SAEConfig, SparseAutoencoder
from core.types import EncoderInfo

GRID = (2, 3)
ONE_CELL = Settings(
    baseline="encoder-mean", occlusion_cells=1, samples=64, regions_GV=np.arange(6).reshape(GRID)
)
NAMES = ("concepts", "grad-cam", "integrated-gradients", "occlusion", "kernel-shap")


class ColourEncoder:
    """Each cell of 2 x 2 pixels is one token: the sum of its colours, each in eighths."""

    info = EncoderInfo("colours", "c" * 64, 3, GRID, 4)

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Pictures of 4 x 6 as they are; others cut or filled up."""
        out = torch.zeros(len(images), 3, 4, 6)
        for row, image in enumerate(images):
            part = torch.from_numpy(image[:4, :6].copy()).permute(2, 0, 1).float() / 32
            out[row, :, : part.shape[1], : part.shape[2]] = part
        return out

    def dense(self, pixels_BCYX: Tensor, rules: Rules = EXACT) -> Tensor:
        """[B, 6, 3]."""
        cells = pixels_BCYX.reshape(-1, 3, 2, 2, 3, 2).sum((3, 5))
        return cells.flatten(2).transpose(1, 2)


def model_of(
    weight: Sequence[float], pooling: Pooling, bias: float = 0.5, threshold: float = 0.0
) -> AttributionModel:
    """Concept n is colour n; two classes with opposite weights."""
    sae = SparseAutoencoder(SAEConfig(d=3, n=3, k=2, group_fractions=(1.0,)))
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(3))
        sae.W_dec.copy_(torch.eye(3))
        sae.threshold.fill_(threshold)
    weight_CN = np.array([weight, [-w for w in weight]], dtype=np.float32)
    head = LinearHead(
        weight_CN, np.array([bias, -bias], dtype=np.float32), ("a", "b"), pooling=pooling
    )
    return AttributionModel(ColourEncoder(), sae.requires_grad_(False), head)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 16, (4, 6, 3)) * 8).astype(np.uint8)


def tokens(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Cell sums [2, 3, 3] by loops."""
    out = np.zeros((2, 3, 3))
    for y in range(4):
        for x in range(6):
            out[y // 2, x // 2] += image[y, x].astype(float) / 32
    return out


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("class_index", [0, 1])
def test_on_a_linear_model_every_method_gives_weight_times_input(
    method: str, class_index: int
) -> None:
    weight = np.array([1.0, -2.0, 0.5])
    model = model_of(tuple(weight), "mean")
    found = attribute(method, model, picture(), class_index, settings=ONE_CELL)
    sign = 1 - 2 * class_index
    np.testing.assert_allclose(found.values_GV, sign * tokens(picture()) @ weight / 6, atol=2e-3)
    assert found.values_GV.dtype == np.float32
    assert found.score == pytest.approx(found.total + sign * 0.5, abs=5e-3)
    assert (found.method, found.class_index, found.seed) == (method, class_index, 0)
    if found.baseline is not None:
        assert found.gap == pytest.approx(0, abs=5e-3)


def test_the_score_is_the_heads_logit() -> None:
    model = model_of((1.0, -2.0, 0.5), "max", threshold=6.0)
    found = attribute("concepts", model, picture(1), 1)
    acts = np.where(tokens(picture(1)) > 6, tokens(picture(1)), 0)
    expected = -0.5 - acts.max((0, 1)) @ np.array([1.0, -2.0, 0.5])
    assert found.score == pytest.approx(expected, abs=1e-2)


def test_concepts_share_a_maximum_by_activation() -> None:
    """A concept of 4 and 2 with weight 3 pools to 4 and contributes 12: 8 and 4."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0, 0], image[2, 4, 0] = 128, 64
    found = attribute("concepts", model_of((3.0, 1.0, 1.0), "max"), image, 0)
    assert found.values_GV.tolist() == [[8, 0, 0], [0, 0, 4]]
    assert (found.baseline, found.gap) == (0.5, 0)


def test_grad_cam_with_a_maximum() -> None:
    """Only the strongest patch has a gradient: the mean over 6 patches is a sixth of it."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0, 0], image[2, 4, 0] = 128, 64
    found = attribute("grad-cam", model_of((3.0, 1.0, 1.0), "max"), image, 0)
    np.testing.assert_allclose(found.values_GV, [[2, 0, 0], [0, 0, 1]], atol=1e-6)


def test_gradients_see_the_active_side_only() -> None:
    """Of f = x where x > 1, from 0 to 2: the slope from 1 to 2 is found, the step of 1 is not."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0, 0] = 64
    model = model_of((6.0, 0.0, 0.0), "mean", threshold=1.0)
    setting = replace(ONE_CELL, steps=200)
    found = attribute("integrated-gradients", model, image, 0, settings=setting)
    assert found.score - 0.5 == pytest.approx(2)
    assert found.values_GV[0, 0] == pytest.approx(1, abs=0.02)
    assert found.gap == pytest.approx(1, abs=0.02)
    pixels = model.encoder.prepare([image]).requires_grad_(True)
    model.score(pixels, 0).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad[0, 0, 0, 0] == 1
    assert pixels.grad[0, 0, 2, 2] == 0  # the concept does not fire there


def test_activations_are_the_inference_ones() -> None:
    model = model_of((1.0, 1.0, 1.0), "max", threshold=3.0)
    tokens_BPD = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)) * 4
    expected = model.sae.encode_dense(tokens_BPD.flatten(0, 1)).view(2, 6, 3)  # type: ignore[attr-defined]
    assert torch.equal(model.activations(tokens_BPD), expected)


def test_occlusion_averages_over_the_squares_that_cover_a_patch() -> None:
    """Squares of 2 x 2 on a 2 x 3 grid: the middle column lies in both of them."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0, 0] = 96  # 3 in the upper left cell
    model = model_of((6.0, 0.0, 0.0), "mean")
    setting = Settings(baseline="encoder-mean", occlusion_cells=2)
    found = attribute("occlusion", model, image, 0, settings=setting)
    np.testing.assert_allclose(found.values_GV, [[3, 1.5, 0], [3, 1.5, 0]], atol=1e-6)
    assert found.baseline is None
    assert found.gap is None


@pytest.mark.parametrize("method", NAMES)
def test_a_planted_patch_is_found(method: str) -> None:
    image = np.full((4, 6, 3), 8, np.uint8)
    image[2:, 2:4, 1] = 200
    setting = replace(ONE_CELL, baseline="image-mean")
    found = attribute(method, model_of((0.0, 1.0, 0.0), "max"), image, 0, settings=setting)
    assert np.unravel_index(found.values_GV.argmax(), GRID) == (1, 1)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), pooling=st.sampled_from(["max", "mean"]))
def test_sums(seed: int, pooling: Pooling) -> None:
    """Efficiency of kernel SHAP and completeness of the concept map, steps and all."""
    rng = np.random.default_rng(seed)
    model = model_of(tuple(rng.normal(size=3)), pooling, threshold=float(rng.uniform(0, 8)))
    image = picture(seed)
    shap = attribute("kernel-shap", model, image, 0, settings=replace(ONE_CELL, samples=80))
    concepts = attribute("concepts", model, image, 0)
    for found in (shap, concepts):
        assert found.gap == pytest.approx(0, abs=1e-3)


def test_integrated_gradients_are_complete_without_steps() -> None:
    """With maximum pooling the way has kinks but no step."""
    found = attribute(
        "integrated-gradients", model_of((1.0, -2.0, 0.5), "max"), picture(2), 0,
        settings=Settings(steps=300),
    )  # fmt: skip
    assert found.baseline != pytest.approx(found.score)
    assert found.gap == pytest.approx(0, abs=0.05)


def test_kernel_shap_shares_a_region_evenly_and_follows_its_seed() -> None:
    model, image = model_of((1.0, -2.0, 0.5), "max"), picture(3)
    regions_GV = np.array([[0, 0, 1], [2, 2, 1]])
    setting = Settings(baseline="encoder-mean", samples=40, regions_GV=regions_GV)
    found = attribute("kernel-shap", model, image, 0, settings=setting)
    for region in range(3):
        assert np.ptp(found.values_GV[regions_GV == region]) == 0
    blocks = Settings(samples=12, blocks=(2, 3))
    one, same, other = (
        attribute("kernel-shap", model, image, 0, seed=seed, settings=blocks).values_GV
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("method", NAMES)
def test_methods_repeat_and_leave_the_generators_alone(method: str) -> None:
    model, image = model_of((1.0, -2.0, 0.5), "max", threshold=4.0), picture(5)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    one = attribute(method, model, image, 0, settings=ONE_CELL)
    assert torch.equal(torch.rand(2), expected)
    again = attribute(method, model, image, 0, settings=ONE_CELL)
    assert np.array_equal(one.values_GV, again.values_GV)


def test_blocks() -> None:
    model = model_of((1.0, 1.0, 1.0), "max")
    assert regions_of(model, Settings(blocks=(2, 2))).tolist() == [[0, 0, 1], [2, 2, 3]]
    assert regions_of(model, Settings(blocks=(9, 9))).tolist() == [[0, 1, 2], [3, 4, 5]]
    for wrong in (np.zeros((3, 3), np.int64), np.array([[0, 0, 2], [2, 2, 2]])):
        with pytest.raises(ConfigError, match="regions must be a 2 x 3 grid"):
            regions_of(model, Settings(regions_GV=wrong))


def test_regions_of_cues() -> None:
    """The earlier cue has what both claim; the third is wholly covered and gets no number."""
    masks = [
        np.array([[1, 1, 0], [0, 0, 0]], bool),
        np.array([[0, 1, 1], [0, 0, 0]], bool),
        np.array([[0, 1, 0], [0, 0, 0]], bool),
    ]
    assert cue_regions(masks).tolist() == [[0, 0, 1], [2, 2, 2]]
    setting = Settings(samples=20, regions_GV=cue_regions(masks))
    found = attribute("kernel-shap", model_of((1, 1, 1), "max"), picture(), 0, settings=setting)
    assert found.gap == pytest.approx(0, abs=1e-3)


def test_pixels_and_cells_fit_each_other() -> None:
    model = model_of((1.0, 1.0, 1.0), "max")
    values_GV = torch.arange(6.0).view(GRID)
    wide_YX = model.spread(values_GV)
    assert wide_YX.shape == (4, 6)
    assert torch.equal(model.cells(wide_YX[None]), 4 * values_GV)


def test_a_method_of_ones_own() -> None:
    registry = default_registry()

    def brightness(job: Job) -> Values:
        return Values(job.model.cells(job.pixels_CYX))

    info = MethodInfo("brightness", "Brightness", "How bright a place is.", "here", "no")
    registry.register(info, brightness)
    assert registry.methods()[-1] is info
    found = registry.attribute("brightness", model_of((1, 1, 1), "max"), picture(), 0)
    np.testing.assert_allclose(found.values_GV, tokens(picture()).sum(2))
    with pytest.raises(ConfigError, match="'brightness' already"):
        registry.register(info, brightness)
    with pytest.raises(ConfigError, match="needs a name"):
        registry.register(replace(info, name=""), brightness)
    registry.register(replace(info, name="wrong"), lambda job: Values(torch.zeros(3, 3)))
    registry.register(replace(info, name="nan"), lambda job: Values(torch.full(GRID, torch.nan)))
    for name in ("wrong", "nan"):
        with pytest.raises(ConfigError, match="gave no finite map"):
            registry.attribute(name, model_of((1, 1, 1), "max"), picture(), 0)


def test_the_methods_that_come_along() -> None:
    infos = methods()
    assert [info.name for info in infos] == [*NAMES, "lrp", "rollout"]
    assert all(info.title and info.summary and info.source for info in infos)
    assert {info.name for info in infos if info.random} == {"kernel-shap"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("magic", 0), "'magic' is unknown: choose from concepts, grad-cam"),
        (("concepts", 2), "no class number 2"),
        (("concepts", -1), "no class number -1"),
        (("lrp", 0), "need an open_clip ViT encoder"),
        (("rollout", 0), "need an open_clip ViT encoder"),
    ],
)
def test_what_cannot_be_attributed(call: tuple[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attribute(call[0], model_of((1.0, 1.0, 1.0), "max"), picture(), call[1])


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"occlusion_cells": 0}, {"samples": 1}, {"blocks": (0, 2)}, {"batch": 0}],
)
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        Settings(**wrong)


def test_a_head_for_another_dictionary() -> None:
    model = model_of((1.0, 1.0, 1.0), "max")
    head = LinearHead(np.zeros((2, 5), np.float32), np.zeros(2, np.float32), ("a", "b"))
    with pytest.raises(ConfigError, match="does not fit"):
        AttributionModel(model.encoder, model.sae, head)
