"""Layer-wise relevance and rollout on random towers, and all methods on a planted ruler."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.artifacts import load_bundle
from core.attribution import AttributionModel, Settings, attribute, contribution_map
from core.attribution.relevance import RelevanceRules, RolloutRules, attention_weights
from core.encoder import OpenClipEncoder, load_encoder
from core.errors import ConfigError
from core.heads import LinearHead
from core.phantoms.generator import Phantom, generate
from core.sae import SAEConfig, SparseAutoencoder
from tests.builders import TINY_DIM, tiny_encoder

ROOT = Path(__file__).resolve().parents[3]
IMAGE: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("vit") / "tiny", layers=3)


@pytest.fixture(scope="module")
def unbiased(folder: Path) -> Path:
    """The same tower without biases, positions and class token: relevance has nowhere to leak."""
    root = folder.parent / "unbiased"
    root.mkdir()
    (root / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    weights = load_file(folder / "open_clip_model.safetensors")
    for name, value in weights.items():
        if name.endswith(("bias", "positional_embedding", "class_embedding")):
            value.zero_()
    save_file(weights, root / "open_clip_model.safetensors")
    return root


def model_of(spec: str, bias: float = 0.0) -> AttributionModel:
    """A random dictionary of 20 concepts without biases, and a random head."""
    generator = torch.Generator().manual_seed(1)
    sae = SparseAutoencoder(SAEConfig(d=TINY_DIM, n=20, k=4, group_fractions=(1.0,)))
    with torch.no_grad():
        sae.W_enc.copy_(torch.randn(TINY_DIM, 20, generator=generator))
        sae.threshold.fill_(0.1)
    weight_CN = torch.randn(2, 20, generator=generator).numpy()
    head = LinearHead(weight_CN, np.array([bias, 0], np.float32), ("a", "b"))
    return AttributionModel(load_encoder(spec), sae.requires_grad_(False), head)


@pytest.mark.parametrize(
    "query",
    ["", "?dense=maskclip-value", "?dense=maskclip-residual", "?size=48&window=32&stride=16"],
)
def test_relevance_is_conserved_without_biases(unbiased: Path, query: str) -> None:
    found = attribute("lrp", model_of(f"{unbiased}{query}"), IMAGE, 0)
    assert abs(found.score) > 0.1
    assert found.total == pytest.approx(found.score, rel=2e-3)


def test_relevance_rules_leave_values_alone(folder: Path) -> None:
    for query in ("", "?dense=maskclip-residual", "?dense=dinoised"):
        encoder = load_encoder(f"{folder}{query}")
        pixels = encoder.prepare([IMAGE])
        with torch.no_grad():
            expected, found = encoder.dense(pixels), encoder.dense(pixels, RelevanceRules())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def relevance(function: Any, x: Tensor) -> Tensor:
    """Gradient times input of a function's sum."""
    x = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return gradient * x


def test_the_rules_by_hand() -> None:
    rules = RelevanceRules()
    x = torch.tensor([[[1.0, -2.0, 4.0, 0.0]]])
    norm = nn.LayerNorm(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    # out_i = w_i (x_i - mean) / s, summed: x_i gets (w_i - mean w) x_i / s
    spread = float(x.var(unbiased=False).add(norm.eps).sqrt())
    expected = torch.tensor([-1.5, -0.5, 0.5, 1.5]) * x / spread
    torch.testing.assert_close(relevance(lambda y: rules.norm(norm, y), x), expected)
    block = nn.Module()
    block.mlp = nn.Sequential(nn.GELU())
    through = relevance(lambda y: rules.mlp(block, y), x)
    torch.testing.assert_close(through, nn.functional.gelu(x))


def test_attention_weights_are_torchs_own(folder: Path) -> None:
    block = load_encoder(str(folder)).blocks[1]
    x = torch.randn(2, 17, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = block.attn(x, x, x, need_weights=True, average_attn_weights=False)[1]
        found = attention_weights(block, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def rolled(encoder: OpenClipEncoder, pixels: Tensor) -> Tensor:
    """Rollout by hand, with torch's own attention weights, [T, T]."""
    states: list[Tensor] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
        for block in encoder.blocks
    ]
    with torch.no_grad():
        encoder.dense(pixels)
    out = torch.eye(states[0].shape[1])
    for block, x in zip(encoder.blocks, states, strict=True):
        y = block.ln_1(x)
        with torch.no_grad():
            mean = block.attn(y, y, y, need_weights=True)[1][0]
        out = 0.5 * (mean + torch.eye(len(mean))) @ out
    for hook in hooks:
        hook.remove()
    return out


def test_rollout(folder: Path) -> None:
    model = model_of(str(folder))
    encoder = model.encoder
    assert isinstance(encoder, OpenClipEncoder)
    pixels = encoder.prepare([IMAGE])
    rules = RolloutRules(encoder.blocks[0], None)
    with torch.no_grad():
        tokens_PD = encoder.dense(pixels, rules)[0]
    found_TT = rules.parts[0][0]
    torch.testing.assert_close(found_TT.sum(1), torch.ones(17))
    expected_TT = rolled(encoder, pixels)
    torch.testing.assert_close(found_TT, expected_TT, rtol=1e-4, atol=1e-6)
    start_P = contribution_map(model, tokens_PD, 1)
    found = attribute("rollout", model, IMAGE, 1)
    expected = (start_P @ expected_TT[1:, 1:]).view(4, 4).numpy()
    np.testing.assert_allclose(found.values_GV, expected, rtol=1e-3, atol=1e-5)


def test_rollout_with_windows_and_value_paths(folder: Path) -> None:
    windowed = attribute("rollout", model_of(f"{folder}?size=48&window=32"), IMAGE, 0)
    assert windowed.values_GV.shape == (6, 6)
    plain = model_of(f"{folder}?dense=maskclip-value")
    encoder = plain.encoder
    assert isinstance(encoder, OpenClipEncoder)
    rules = RolloutRules(encoder.blocks[0], encoder.blocks[-1])
    with torch.no_grad():
        encoder.dense(encoder.prepare([IMAGE]), rules)
    # The last block's attention is not used: two blocks leave at least a quarter in place.
    assert float(rules.parts[0][0].diagonal().min()) >= 0.25
    assert attribute("rollout", plain, IMAGE, 0).values_GV.shape == (4, 4)
    with pytest.raises(ConfigError, match="does not follow dinoised"):
        attribute("rollout", model_of(f"{folder}?dense=dinoised"), IMAGE, 0)


def test_attention_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = model_of(str(tiny_encoder(tmp_path / "normed", qk_norm=True)))
    for method in ("lrp", "rollout"):
        with pytest.raises(ConfigError, match="need plain attention blocks"):
            attribute(method, model, IMAGE, 0)
    assert attribute("grad-cam", model, IMAGE, 0).values_GV.shape == (4, 4)


def test_a_convolutional_tower(tmp_path: Path) -> None:
    tower: dict[str, Any] = {
        "layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "head_width": 16, "patch_size": None,
    }  # fmt: skip
    folder = tiny_encoder(tmp_path / "resnet", **tower)
    model = model_of(f"{folder}?dense=maskclip-value")
    for method in ("concepts", "grad-cam", "integrated-gradients"):
        assert attribute(method, model, IMAGE, 0, settings=Settings(steps=2)).values_GV.size == 4
    with pytest.raises(ConfigError, match="need an open_clip ViT encoder"):
        attribute("lrp", model, IMAGE, 0)


@cache
def demo() -> AttributionModel:
    bundle = load_bundle(ROOT / "core" / "phantoms" / "demo_version")
    return AttributionModel(load_encoder("demo"), bundle.sae, bundle.head)


@cache
def with_ruler() -> tuple[Phantom, NDArray[np.bool_]]:
    """A naevus with a ruler, which the demo version has learnt to take for melanoma."""
    phantom = generate(1, seed=4321, size=192, label="naevus")
    cover = phantom.masks["ruler"].reshape(12, 16, 12, 16).mean((1, 3))
    return phantom, cover >= 0.25


@pytest.mark.parametrize(
    "method", ["concepts", "grad-cam", "integrated-gradients", "kernel-shap", "lrp"]
)
def test_the_planted_ruler_is_found(method: str) -> None:
    """At least twice as much of the evidence lies on the ruler as by its area.

    Not so for occlusion: a ruler hidden in one place is still a ruler in the next, and the head
    takes the maximum.
    """
    phantom, ruler_GV = with_ruler()
    setting = Settings(steps=6, samples=64, blocks=(4, 4))
    found = attribute(method, demo(), phantom.image, 1, settings=setting)
    positive_GV = found.values_GV.clip(0)
    assert positive_GV[ruler_GV].sum() / positive_GV.sum() > 2 * ruler_GV.mean()


def test_the_score_is_what_the_explanation_reports() -> None:
    model, (phantom, _) = demo(), with_ruler()
    found = attribute("concepts", model, phantom.image, 1)
    assert isinstance(model.encoder, OpenClipEncoder)
    assert isinstance(model.sae, SparseAutoencoder)
    tokens_PD = model.encoder.encode_images([phantom.image]).tokens_BPD[0]
    pooled_N = model.sae.encode_dense(tokens_PD).amax(0).numpy()
    assert found.score == pytest.approx(model.head.logits(pooled_N[None])[0, 1], abs=1e-4)
    assert found.gap == pytest.approx(0, abs=1e-4)
