"""Dense variants, input sizes and sliding windows on small random towers, by hand-written maths."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from core.encoder import OpenClipEncoder, load_encoder, resolve_device
from core.encoders.geometry import Geometry, make_geometry, options_hash
from core.encoders.spec import EncoderSpec, parse_spec, split_spec
from core.encoders.vit import pool_alike, resize_position
from core.errors import EncoderError
from tests.builders import tiny_encoder

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "realdata" / "vit_ti_encoder"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("options")
    return tiny_encoder(root / "tiny", layers=4, ls_init_value=0.5)


def pictures(count: int = 2, side: int = 48) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(8)
    return [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def layers(folder: Path, pixels: Tensor) -> tuple[Any, list[Tensor]]:
    """The tower and the input of every block followed by the last output, by hand."""
    visual = open_clip.create_model(f"local-dir:{folder}").eval().visual
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1)
    states = [visual.ln_pre(x + visual.positional_embedding)]
    for block in visual.transformer.resblocks:
        states.append(block(states[-1]))
    return visual, states


@torch.no_grad()
def expected_tokens(folder: Path, pixels: Tensor, dense: str) -> Tensor:
    visual, states = layers(folder, pixels)
    block, before = visual.transformer.resblocks[-1], states[-2]
    attention = block.attn
    w_v, b_v = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    value = (block.ln_1(before) @ w_v.T + b_v) @ attention.out_proj.weight.T
    value = (value + attention.out_proj.bias) * 0.5  # layer scale
    residual = before + value
    residual = residual + 0.5 * block.mlp(block.ln_2(residual))
    raw = value if dense == "maskclip-value" else residual
    tokens: Tensor = visual.ln_post(raw[:, 1:]) @ visual.proj
    if dense != "dinoised":
        return tokens
    feature = states[2][:, 1:]  # after the second of four blocks: the third from the end
    out = torch.zeros_like(tokens)
    for image in range(len(tokens)):
        for p in range(tokens.shape[1]):
            cosine = F.cosine_similarity(feature[image, p][None], feature[image], dim=1)
            weight = cosine * (cosine >= 0.2)
            out[image, p] = (weight[:, None] * tokens[image]).sum(0) / weight.sum()
    return out


@pytest.mark.parametrize("dense", ["maskclip-value", "maskclip-residual", "dinoised"])
def test_dense_variants_equal_hand_written_ones(folder: Path, dense: str) -> None:
    encoder = load_encoder(f"{folder}?dense={dense}")
    images = pictures()
    found = encoder.encode_images(images)
    expected = expected_tokens(folder, encoder.prepare(images), dense)
    torch.testing.assert_close(found.tokens_BPD, expected, rtol=1e-4, atol=1e-5)
    plain = load_encoder(str(folder)).encode_images(images)
    assert torch.equal(found.pooled_BD, plain.pooled_BD)
    assert not torch.allclose(found.tokens_BPD, plain.tokens_BPD, atol=1e-2)


def test_affinities_below_the_floor_count_as_zero() -> None:
    features = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.1, -1.0]]])
    tokens = torch.tensor([[[1.0], [2.0], [4.0], [8.0]]])
    found = pool_alike(tokens, features)[0, :, 0]
    expected = [
        (1 + 0.6 * 2) / 1.6,  # .1 / sqrt(1.01) to the last one is below the floor
        (0.6 + 2 + 0.8 * 4) / 2.4,
        (0.8 * 2 + 4) / 1.8,
        8.0,
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_sequence_first_transformer_gives_the_same(folder: Path) -> None:
    """The layout trap: open_clip before 2.26 ran its blocks as [T, B, W]."""
    plain = load_encoder(str(folder))
    model = open_clip.create_model(f"local-dir:{folder}")
    model.visual.transformer.batch_first = False
    for block in model.visual.transformer.resblocks:
        block.attn.batch_first = False
    other = OpenClipEncoder(model, None, plain.info)
    images = pictures(3)
    expected = plain.encode_images(images)
    found = other.encode_images(images)
    torch.testing.assert_close(found.tokens_BPD, expected.tokens_BPD)
    torch.testing.assert_close(found.pooled_BD, expected.pooled_BD)


def test_another_input_size(folder: Path) -> None:
    """A model made for the larger input, with resized positions, agrees."""
    encoder = load_encoder(f"{folder}?size=48x64")
    assert (encoder.info.grid, encoder.info.image_size) == ((6, 8), 48)
    images = pictures()
    found = encoder.encode_images(images)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    visual = model.visual
    first, rest = visual.positional_embedding[:1], visual.positional_embedding[1:]
    image = rest.view(1, 4, 4, 32).permute(0, 3, 1, 2)
    image = F.interpolate(image, (6, 8), mode="bicubic", align_corners=False)
    resized = torch.cat([first, image.flatten(2)[0].T])
    visual.positional_embedding = torch.nn.Parameter(resized)
    with torch.no_grad():
        expected = model.encode_image(encoder.prepare(images), normalize=True)
    torch.testing.assert_close(found.pooled_BD, expected, rtol=1e-4, atol=1e-5)
    assert found.tokens_BPD.shape == (2, 48, 12)


def test_resized_positions() -> None:
    """Bicubic: a constant stays, a ramp stays in order, the class position is kept."""
    ramp_GV = torch.arange(4.0)[:, None] + torch.zeros(4)
    position = torch.cat(
        [torch.tensor([[7.0, 7.0]]), torch.stack([ramp_GV, 0 * ramp_GV + 5], -1).view(-1, 2)]
    )
    larger = resize_position(position, (4, 4), (8, 6))
    assert larger[0].tolist() == [7, 7]
    torch.testing.assert_close(larger[1:, 1], torch.full((48,), 5.0))
    rows = larger[1:, 0].view(8, 6)
    assert bool((rows[1:] > rows[:-1]).all())
    torch.testing.assert_close(rows, rows[:, :1].expand(8, 6))
    assert torch.equal(resize_position(position, (4, 4), (4, 4)), position)


def test_windows_are_averaged_where_they_overlap(folder: Path) -> None:
    encoder = load_encoder(f"{folder}?size=48&window=32&stride=16")
    plain = load_encoder(str(folder))
    images = pictures()
    pixels = encoder.prepare(images)
    total, count = torch.zeros(2, 6, 6, 12), torch.zeros(6, 6, 1)
    pooled = []
    for y, x in ((0, 0), (0, 2), (2, 0), (2, 2)):
        part = pixels[:, :, 8 * y : 8 * y + 32, 8 * x : 8 * x + 32]
        with torch.no_grad():
            tokens, one = plain._forward(part, _exact())
        total[:, y : y + 4, x : x + 4] += tokens.view(2, 4, 4, 12)
        count[y : y + 4, x : x + 4] += 1
        pooled.append(one)
    found = encoder.encode_images(images)
    torch.testing.assert_close(found.tokens_BPD, (total / count).flatten(1, 2))
    mean = F.normalize(torch.stack(pooled).mean(0), dim=-1)
    torch.testing.assert_close(found.pooled_BD, mean)
    small = load_encoder(f"{folder}?size=48&window=32&stride=16", batch_size=3)
    torch.testing.assert_close(small.encode_images(images).tokens_BPD, found.tokens_BPD)


def _exact() -> Any:
    from core.encoders.rules import EXACT

    return EXACT


@given(
    rows=st.integers(1, 12), columns=st.integers(1, 12), part=st.integers(1, 6),
    step=st.integers(1, 6),
)  # fmt: skip
def test_windows_cover_the_whole_image(rows: int, columns: int, part: int, step: int) -> None:
    part = min(part, rows, columns)
    spec = EncoderSpec("x", size=(8 * rows, 8 * columns), window=8 * part, stride=8 * step)
    if step > part:
        with pytest.raises(EncoderError, match="needs a window"):
            parse_spec(str(spec))
        return
    geometry = make_geometry(parse_spec(str(spec)), (32, 32), (8, 8))
    counts = geometry.counts_GV()
    assert counts.shape == (rows, columns)
    assert float(counts.min()) >= 1
    values = torch.rand(2, rows, columns, generator=torch.Generator().manual_seed(1))
    again = geometry.average(geometry.cut_grid(values)[..., None])
    torch.testing.assert_close(again.view(2, rows, columns), values)


def test_pixels_and_cells_are_cut_alike() -> None:
    geometry = Geometry((4, 6), (2, 2), (4, 4), ((0, 0), (0, 1)))
    pixels = torch.arange(24.0).view(1, 1, 4, 6)
    assert torch.equal(geometry.cut_pixels(pixels)[1, 0], pixels[0, 0, :, 2:])
    cells = torch.arange(6.0).view(1, 2, 3)
    assert geometry.cut_grid(cells).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert geometry.add_up(geometry.cut_grid(cells)[..., None])[0, :, 0].tolist() == [
        0, 2, 2, 3, 8, 5
    ]  # fmt: skip


def hash_of(query: str) -> str:
    spec = parse_spec("x" + query)
    return options_hash("plain", spec, make_geometry(spec, (32, 32), (8, 8)), (32, 32))


def test_hash_follows_what_changes_the_tokens(folder: Path) -> None:
    for same in ("", "?dense=projected", "?size=32", "?size=32x32", "?size=32&window=32"):
        assert hash_of(same) == "plain"
    other = [
        hash_of(query)
        for query in (
            "?dense=maskclip-value", "?dense=maskclip-residual", "?dense=dinoised", "?size=48",
            "?size=48x32", "?size=48&window=32&stride=8", "?size=48&window=32&stride=16",
        )
    ]  # fmt: skip
    assert len({"plain", *other}) == 8
    # By default windows step by half their side.
    assert hash_of("?size=48&window=32") == other[-1]
    plain = load_encoder(str(folder)).info.hash
    assert load_encoder(f"{folder}?window=32").info.hash == plain
    assert load_encoder(f"{folder}?window=16").info.hash != plain


def test_canonical_text() -> None:
    text = "demo?stride=8&dense=dinoised&window=16&size=64x64"
    assert str(parse_spec(text)) == "demo?dense=dinoised&size=64&window=16&stride=8"
    assert str(parse_spec("demo?dense=projected")) == "demo"
    assert str(parse_spec("a/b?size=32x64")) == "a/b?size=32x64"
    assert split_spec("a/b?size=3") == ("a/b", "?size=3")
    assert split_spec("demo") == ("demo", "")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("size", "has no value"),
        ("", "option '' is unknown"),
        ("colour=red", "option 'colour' is unknown: the options are dense, size, window, stride"),
        ("size=48&size=48", "'size' is given twice"),
        ("dense=best", "dense=best is unknown: choose from projected, maskclip-value"),
        ("size=48.0", "size=48.0 is not a whole number"),
        ("size=0", "is not a whole number of pixels from 1"),
        ("size=99999", "is not a whole number of pixels from 1"),
        ("size=48x", "is not a whole number"),
        ("size=-8", "is not a whole number"),
        ("size=४८", "is not a whole number"),
        ("stride=8", "stride=8 needs a window"),
        ("window=16&stride=24", "stride=24 needs a window that is at least as large"),
        ("size=50", "size 50 x 50 is no multiple of its patches of 8 x 8"),
        ("window=12", "window 12 x 12 is no multiple"),
        ("window=16&stride=4", "stride 4 x 4 is no multiple"),
        ("window=64", "larger than the input .32 x 32.: give a larger size="),
    ],
)
def test_wrong_options(folder: Path, query: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load_encoder(f"{folder}?{query}")


def test_a_spec_needs_a_name() -> None:
    with pytest.raises(EncoderError, match="has no name"):
        parse_spec("?size=48")


def test_gradients_reach_the_pixels(folder: Path) -> None:
    encoder = load_encoder(f"{folder}?size=48&window=32")
    pixels = encoder.prepare(pictures(1)).requires_grad_(True)
    encoder.dense(pixels).sum().backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0


def test_bf16_with_options_is_close(folder: Path) -> None:
    spec = f"{folder}?dense=maskclip-residual&size=48"
    images = pictures()
    exact = load_encoder(spec).encode_images(images).tokens_BPD
    half = load_encoder(spec, precision="bf16").encode_images(images).tokens_BPD
    assert half.dtype == torch.float32
    assert float(F.cosine_similarity(half, exact, dim=-1).min()) > 0.99


def test_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto") == expected
    assert resolve_device("cpu") == "cpu"


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/realdata is not here")
@pytest.mark.parametrize("dense", ["maskclip-value", "dinoised"])
def test_a_real_tower(dense: str) -> None:
    encoder = load_encoder(f"{REAL}?dense={dense}&size=320x256&window=224&stride=96")
    assert encoder.info.grid == (20, 16)
    features = encoder.encode_images(pictures(1, 200))
    assert features.tokens_BPD.shape == (1, 320, 192)
    assert bool(torch.isfinite(features.tokens_BPD).all())


def test_reading_a_spec_needs_no_heavy_library() -> None:
    code = (
        "import sys, core.encoders.spec; print({'torch', 'numpy', 'open_clip'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
