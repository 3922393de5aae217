"""Towers that are not open_clip's own ViT: SigLIP-style timm towers and CLIP ResNets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.encoder import load_encoder
from core.encoders.rules import ExactRules
from core.encoders.spec import parse_spec
from core.encoders.towers import kind_of
from core.errors import EncoderError
from tests.builders import MEAN, STD, TEXT, tiny_encoder

IMAGES = list(np.random.default_rng(4).integers(0, 256, (2, 70, 90, 3), dtype=np.uint8))
RESNET: dict[str, Any] = {
    "layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "head_width": 16, "patch_size": None,
}  # fmt: skip


def timm_folder(folder: Path, pool: str, proj: str = "none", name: str = "test_vit") -> Path:
    """A small timm tower with random weights, as an open_clip folder."""
    vision = {
        "image_size": 160, "timm_model_name": name, "timm_model_pretrained": False,
        "timm_pool": pool, "timm_proj": proj,
    }  # fmt: skip
    config = {"embed_dim": 64, "vision_cfg": vision, "text_cfg": dict(TEXT), "custom_text": True}
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"}
    folder.mkdir()
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        made = {key: value for key, value in config.items() if key != "custom_text"}
        model = open_clip.CustomTextCLIP(**made)
        for parameter in model.visual.parameters():  # timm starts heads and biases at zero
            torch.nn.init.normal_(parameter, std=0.1)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def own_embedding(folder: Path, pixels: Tensor) -> Tensor:
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        embedded: Tensor = model.encode_image(pixels, normalize=True)
    return embedded


@pytest.mark.parametrize(
    ("pool", "proj"), [("map", "none"), ("avg", "linear"), ("token", "linear")]
)
def test_a_timm_tower_treats_each_token_alone(tmp_path: Path, pool: str, proj: str) -> None:
    folder = timm_folder(tmp_path / "siglip", pool, proj)
    encoder = load_encoder(str(folder))
    assert (encoder.info.grid, encoder.info.dim) == ((10, 10), 64)
    found = encoder.encode_images(IMAGES)
    pixels = encoder.prepare(IMAGES)
    torch.testing.assert_close(found.pooled_BD, own_embedding(folder, pixels))
    visual: Any = open_clip.create_model(f"local-dir:{folder}").eval().visual
    with torch.no_grad():
        token = visual.trunk.forward_features(pixels)[1, 1 + 37]  # behind the class token
        expected = visual.head(alone(visual.trunk, token, pool))
    torch.testing.assert_close(found.tokens_BPD[1, 37], expected, rtol=1e-4, atol=1e-5)


def alone(trunk: Any, token: Tensor, pool: str) -> Tensor:
    """What the trunk's own pooling makes of one token: by hand, attention over it is its value."""
    if pool != "map":
        return trunk.fc_norm(token)
    head = trunk.attn_pool
    value = head.kv(token).chunk(2)[1]
    x = head.proj(value)
    x = x + head.mlp(head.norm(x))
    return trunk.fc_norm(x)


def test_a_timm_tower_at_another_size(tmp_path: Path) -> None:
    folder = timm_folder(tmp_path / "siglip", "map")
    encoder = load_encoder(f"{folder}?size=192x160")
    assert encoder.info.grid == (12, 10)
    assert encoder.encode_images(IMAGES).tokens_BPD.shape == (2, 120, 64)
    windowed = load_encoder(f"{folder}?size=192x160&window=160")
    assert windowed.encode_images(IMAGES).tokens_BPD.shape == (2, 120, 64)


@pytest.mark.parametrize("dense", ["maskclip-value", "dinoised"])
def test_other_variants_of_a_timm_tower_are_refused(tmp_path: Path, dense: str) -> None:
    folder = timm_folder(tmp_path / "siglip", "map")
    with pytest.raises(EncoderError, match=r"gives projected tokens only.*leave dense= out"):
        load_encoder(f"{folder}?dense={dense}")


def test_a_convolutional_timm_tower_is_refused(tmp_path: Path) -> None:
    folder = timm_folder(tmp_path / "conv", "avg", "linear", "test_resnet")
    with pytest.raises(EncoderError, match=r"timm ResNet.*use an open_clip ViT"):
        load_encoder(str(folder))


def test_a_clip_resnet_gives_its_value_path(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "resnet", **RESNET)
    encoder = load_encoder(f"{folder}?dense=maskclip-value")
    assert (encoder.info.grid, encoder.info.dim) == ((2, 2), 12)
    pixels = encoder.prepare(IMAGES)
    found = encoder.encode_images(IMAGES)
    torch.testing.assert_close(found.pooled_BD, own_embedding(folder, pixels))
    visual: Any = open_clip.create_model(f"local-dir:{folder}").eval().visual
    with torch.no_grad():
        x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels)))))
        lower_left = visual.attnpool.c_proj(visual.attnpool.v_proj(x[0, :, 1, 0]))
    torch.testing.assert_close(found.tokens_BPD[0, 2], lower_left, rtol=1e-4, atol=1e-5)


def test_a_clip_resnet_at_another_size(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "resnet", **RESNET)
    plain = load_encoder(f"{folder}?dense=maskclip-value")
    larger = load_encoder(f"{folder}?dense=maskclip-value&size=96x64")
    assert larger.encode_images(IMAGES).tokens_BPD.shape == (2, 6, 12)
    assert larger.info.hash != plain.info.hash


def test_rules_are_for_plain_vits(tmp_path: Path) -> None:
    for folder, query in (
        (tiny_encoder(tmp_path / "resnet", **RESNET), "?dense=maskclip-value"),
        (timm_folder(tmp_path / "siglip", "map"), ""),
    ):
        encoder = load_encoder(f"{folder}{query}")
        with pytest.raises(EncoderError, match="need a plain ViT tower"):
            encoder.dense(encoder.prepare(IMAGES), ExactRules())


def test_attention_of_another_kind_has_no_value_path(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "normed", qk_norm=True)
    assert load_encoder(str(folder)).encode_images(IMAGES).tokens_BPD.shape == (2, 16, 12)
    with pytest.raises(EncoderError, match=r"attention is of another kind.*only dense=projected"):
        load_encoder(f"{folder}?dense=maskclip-value")


def test_a_tower_without_a_pooled_token_is_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "none", pool_type="none")
    with pytest.raises(EncoderError, match="gives no projected patch tokens"):
        load_encoder(str(folder))


def test_kinds(tmp_path: Path) -> None:
    visual = open_clip.create_model(f"local-dir:{tiny_encoder(tmp_path / 'vit')}").visual
    assert kind_of(parse_spec("x"), visual) == "vit"
