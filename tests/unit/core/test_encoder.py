"""Golden tests of the encoder on small random-weight towers of open_clip's own classes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.encoder import OpenClipEncoder, load_encoder, patch_tokens
from core.errors import EncoderError
from core.types import EncoderInfo
from tests.builders import MEAN, STD
from tests.builders import tiny_encoder as make_folder

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "realdata" / "vit_ti_encoder"


def pictures(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


SIZES = ((32, 32), (20, 50), (64, 33))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipEncoder:
    return load_encoder(str(folder))


def reference(folder: Path, images: list[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
    """Tokens and pooled embedding by hand: open_clip's preprocessing, blocks, norm, projection."""
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    transform = image_transform(
        32, is_train=False, mean=MEAN, std=STD, interpolation="bicubic", resize_mode="squash"
    )
    batch = torch.stack([transform(Image.fromarray(image)) for image in images])
    visual = model.visual
    with torch.no_grad():
        x = visual.conv1(batch).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(len(batch), 1, -1), x], dim=1)
        x = visual.ln_pre(x + visual.positional_embedding)
        for block in visual.transformer.resblocks:
            x = block(x)
        return visual.ln_post(x[:, 1:]) @ visual.proj, model.encode_image(batch, normalize=True)


@pytest.mark.parametrize(
    "vision",
    [
        {},
        {"pool_type": "avg"},
        {"pool_type": "avg", "final_ln_after_pool": True},
        {"no_ln_pre": True, "ls_init_value": 0.5},
    ],
    ids=["tok", "avg", "avg-ln-after", "no-ln-pre"],
)
def test_tokens_and_pooled_equal_a_hand_written_forward(
    tmp_path: Path, vision: dict[str, Any]
) -> None:
    folder = make_folder(tmp_path / "tower", **vision)
    images = pictures(*SIZES)
    tokens_BPD, pooled_BD = reference(folder, images)
    found = load_encoder(str(folder)).encode_images(images)
    torch.testing.assert_close(found.tokens_BPD, tokens_BPD, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.pooled_BD, pooled_BD, rtol=1e-4, atol=1e-5)


def test_patches_are_row_major_over_the_whole_image(encoder: OpenClipEncoder) -> None:
    """Changing the lower right corner of a wide image moves the last token most."""
    plain = np.full((40, 120, 3), 128, dtype=np.uint8)
    marked = plain.copy()
    marked[30:, 90:] = 255
    features = encoder.encode_images([plain, marked])
    change_P = (features.tokens_BPD[1] - features.tokens_BPD[0]).norm(dim=1)
    assert int(change_P.argmax()) == 15


def test_info(folder: Path, encoder: OpenClipEncoder) -> None:
    info = encoder.info
    assert (info.spec, info.dim, info.grid, info.image_size) == (str(folder), 12, (4, 4), 32)
    assert len(info.hash) == 64


def test_hash_follows_configuration_and_weights(folder: Path, tmp_path: Path) -> None:
    first = load_encoder(f"local-dir:{folder}").info.hash
    assert first == load_encoder(str(folder)).info.hash
    assert load_encoder(str(make_folder(tmp_path / "same"))).info.hash == first
    assert load_encoder(str(make_folder(tmp_path / "other", seed=1))).info.hash != first
    wide = make_folder(tmp_path / "avg", pool_type="avg")
    assert load_encoder(str(wide)).info.hash != first


def test_deterministic_and_independent_of_batching(folder: Path, encoder: OpenClipEncoder) -> None:
    images = pictures(*SIZES, (10, 10))
    whole = encoder.encode_images(images)
    again = encoder.encode_images(images)
    assert torch.equal(whole.tokens_BPD, again.tokens_BPD)
    assert torch.equal(whole.pooled_BD, again.pooled_BD)
    pairs = load_encoder(str(folder), batch_size=2).encode_images(images)
    torch.testing.assert_close(pairs.tokens_BPD, whole.tokens_BPD, rtol=1e-4, atol=1e-5)


def test_texts(folder: Path, encoder: OpenClipEncoder) -> None:
    texts = ["a ruler", "a photo of a naevus"]
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        ids = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
        expected = model.encode_text(ids, normalize=True)
    found = encoder.encode_texts(texts)
    torch.testing.assert_close(found, expected)
    many = encoder.encode_texts(texts * 150)
    torch.testing.assert_close(many[298:], found)
    torch.testing.assert_close(many.norm(dim=1), torch.ones(300))


def test_nothing_to_encode(encoder: OpenClipEncoder) -> None:
    features = encoder.encode_images([])
    assert features.tokens_BPD.shape == (0, 16, 12)
    assert features.pooled_BD.shape == (0, 12)
    assert encoder.encode_texts([]).shape == (0, 12)


def test_bf16_is_close_to_fp32(folder: Path, encoder: OpenClipEncoder) -> None:
    images = pictures(*SIZES)
    exact = encoder.encode_images(images)
    half = load_encoder(str(folder), precision="bf16").encode_images(images)
    assert half.tokens_BPD.dtype == torch.float32
    similar = F.cosine_similarity(half.tokens_BPD, exact.tokens_BPD, dim=-1)
    assert float(similar.min()) > 0.99
    assert float((half.pooled_BD * exact.pooled_BD).sum(1).min()) > 0.99


def test_half_precision_weights_on_disk(folder: Path, tmp_path: Path) -> None:
    """Folders ship fp16 weights; they run in fp32."""
    small = tmp_path / "small"
    small.mkdir()
    (small / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    weights = load_file(folder / "open_clip_model.safetensors")
    save_file({k: v.half() for k, v in weights.items()}, small / "open_clip_model.safetensors")
    images = pictures(*SIZES)
    found = load_encoder(str(small)).encode_images(images).tokens_BPD
    expected = load_encoder(str(folder)).encode_images(images).tokens_BPD
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


def test_the_global_generator_is_left_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    load_encoder(str(folder))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_only_rgb_bytes_are_taken(encoder: OpenClipEncoder, image: Any) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        encoder.encode_images([image])


def test_token_layout_is_read_off_the_shape() -> None:
    x = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    assert torch.equal(patch_tokens(x, 2, 4), x[:, 1:])  # class token first
    assert torch.equal(patch_tokens(x, 2, 5), x)  # no class token
    assert torch.equal(patch_tokens(x.transpose(0, 1), 2, 4), x[:, 1:])  # sequence first
    assert torch.equal(patch_tokens(x.transpose(0, 1), 2, 5), x)
    for batch, patches in ((2, 6), (3, 4)):
        with pytest.raises(ValueError, match="do not hold"):
            patch_tokens(x, batch, patches)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "is unknown: give"),
        ("no-such-model/tag", "is unknown: give"),
        ("ViT-B-32/no_such_tag", "has no weights 'no_such_tag': choose from .*laion2b"),
        ("local-dir:nowhere", "holds no open_clip_config.json"),
    ],
)
def test_unknown_encoders(spec: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load_encoder(spec)


def test_unknown_precision(folder: Path) -> None:
    with pytest.raises(EncoderError, match="use fp32 or bf16"):
        load_encoder(str(folder), precision="fp8")  # type: ignore[arg-type]


def test_damaged_folders(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    weights = folder / "open_clip_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder(str(folder))
    weights.unlink()
    with pytest.raises(
        EncoderError, match=r"expected one \.safetensors file in the folder, found 0"
    ):
        load_encoder(str(folder))
    weights.write_bytes(content)
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder(str(folder))


def test_a_convolutional_tower_is_refused(tmp_path: Path) -> None:
    tower: dict[str, Any] = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32, "head_width": 16}
    folder = make_folder(tmp_path / "resnet", patch_size=None, **tower)
    with pytest.raises(EncoderError, match=r"ModifiedResNet.*maskclip-value, or use an open_clip"):
        load_encoder(str(folder))


def test_an_attention_pooled_tower_is_refused(tmp_path: Path) -> None:
    pool: dict[str, Any] = {
        "attentional_pool": True,
        "attn_pooler_heads": 4,
        "attn_pooler_queries": 4,
    }
    with pytest.raises(EncoderError, match="gives no projected patch tokens"):
        load_encoder(str(make_folder(tmp_path / "coca", **pool)))


def test_an_oblong_tower(tmp_path: Path) -> None:
    encoder = load_encoder(str(make_folder(tmp_path / "oblong", image_size=[32, 64])))
    assert (encoder.info.grid, encoder.info.image_size) == ((4, 8), 32)
    assert encoder.encode_images(pictures(*SIZES)).tokens_BPD.shape == (3, 32, 12)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "nan")
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    weights["visual.proj"][0, 0] = torch.nan
    save_file(weights, path)
    with pytest.raises(EncoderError, match="not finite"):
        load_encoder(str(folder))


def test_a_tower_whose_tokens_do_not_fit_is_refused(folder: Path) -> None:
    model = open_clip.create_model(f"local-dir:{folder}")
    info = EncoderInfo("odd", "0" * 64, 12, (9, 9), 32)
    with pytest.raises(EncoderError, match="odd gives no dense patch tokens"):
        OpenClipEncoder(model, None, info)


def test_registry_weights_that_cannot_be_pulled(tmp_path: Path) -> None:
    """In a process that is told to be offline, with an empty cache."""
    code = "from core.encoder import load_encoder; load_encoder('ViT-B-16/laion2b_s34b_b88k')"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("core.errors.EncoderError: the weights of encoder ViT-B-16/laion2b")
    assert last.endswith("is this machine offline?")


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/realdata is not here")
def test_a_real_tower() -> None:
    encoder = load_encoder(f"local-dir:{REAL}")
    assert (encoder.info.dim, encoder.info.grid, encoder.info.image_size) == (192, (14, 14), 224)
    features = encoder.encode_images(pictures((100, 150), (300, 200)))
    assert features.tokens_BPD.shape == (2, 196, 192)
    assert bool(torch.isfinite(features.tokens_BPD).all())
    assert encoder.encode_texts(["dog", "ruler"]).shape == (2, 192)


def test_the_demo_encoder_ships_with_the_package() -> None:
    encoder = load_encoder("demo")
    side, (rows, columns) = encoder.info.image_size, encoder.info.grid
    assert encoder.info.spec == "demo"
    features = encoder.encode_images(pictures((192, 192)))
    assert features.tokens_BPD.shape == (1, rows * columns, encoder.info.dim)
    assert side % rows == 0
