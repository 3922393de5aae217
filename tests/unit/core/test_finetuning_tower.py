from pathlib import Path

import numpy as np
import pytest
import torch

from core.encoder import OpenClipEncoder, load_encoder
from core.errors import ConfigError, EncoderError
from core.finetuning.export import export_encoder, spec_of, tuned_state
from core.finetuning.losses import read
from core.finetuning.tower import LOW_RANK_SCALE, ConceptTower, LowRank
from core.heads import pool
from tests.unit.core import tunable_encoder as world

IMAGES = list(world.pictures().values())[:4]


@pytest.fixture(scope="module")
def encoder(where: Path) -> OpenClipEncoder:
    return world.encoder_of(where)


def tower_of(encoder: OpenClipEncoder, blocks: int = 1, rank: int | None = None) -> ConceptTower:
    return ConceptTower(
        encoder, world.dictionary(encoder), world.head(), blocks=blocks, rank=rank, seed=3
    )


def prefix_of(encoder: OpenClipEncoder, blocks: int) -> torch.Tensor:
    assert encoder.vit is not None
    with torch.no_grad():
        return encoder.vit.until(encoder.prepare(IMAGES), len(encoder.vit.blocks) - blocks)


def nudged(tower: ConceptTower) -> ConceptTower:
    """As a training would leave it: everything that may change has changed."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tower.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return tower


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(
    "options", ["", "?dense=maskclip-value", "?dense=maskclip-residual", "?dense=dinoised"]
)
def test_at_the_start_it_is_the_encoder(
    where: Path, blocks: int, rank: int | None, options: str
) -> None:
    encoder = world.encoder_of(where, options)
    if "dinoised" in options and blocks < 3:
        with pytest.raises(ConfigError, match="dinoised"):
            tower_of(encoder, blocks, rank)
        return
    tower = tower_of(encoder, blocks, rank).eval()
    with torch.no_grad():
        found = read(tower, prefix_of(encoder, blocks))
    expected = encoder.encode_images(IMAGES).tokens_BPD
    torch.testing.assert_close(found.tokens_BPD, expected, rtol=1e-4, atol=1e-5)
    sae = world.dictionary(encoder)
    acts = sae.encode_dense(expected.flatten(0, 1)).view(len(IMAGES), -1, sae.n)
    assert float((acts > 0).float().mean()) > 0.05
    logits = world.head().logits(pool(acts, "max").numpy())
    np.testing.assert_allclose(found.logits_BC.numpy(), logits, atol=2e-2)


def test_what_changes_and_what_does_not(encoder: OpenClipEncoder) -> None:
    whole = {n for n, p in tower_of(encoder, 2).named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in whole} == {"blocks", "weight_CN", "bias_C"}
    assert any("ln_1" in name for name in whole)
    low = {n for n, p in tower_of(encoder, 2, rank=2).named_parameters() if p.requires_grad}
    assert {n.rpartition(".")[2] for n in low} == {"A", "B", "weight_CN", "bias_C"}
    assert sum(name.endswith(".B") for name in low) == 2 * 4


def test_low_rank_changes_are_merged(encoder: OpenClipEncoder) -> None:
    change = LowRank(torch.Size((2, 3)), 1, torch.Generator().manual_seed(0))
    weight = torch.arange(6.0).view(2, 3)
    assert torch.equal(change(weight), weight)
    with torch.no_grad():
        change.A.copy_(torch.tensor([[1.0, 0.0, 2.0]]))
        change.B.copy_(torch.tensor([[3.0], [0.5]]))
    expected = weight + LOW_RANK_SCALE * torch.tensor([[3.0, 0.0, 6.0], [0.5, 0.0, 1.0]])
    assert torch.equal(change(weight), expected)
    tower = nudged(tower_of(encoder, 2, rank=2)).eval()
    assert encoder.vit is not None
    merged = tower.merged()
    assert set(merged) == set(torch.nn.ModuleList(encoder.vit.blocks[1:]).state_dict())
    assert torch.equal(merged["0.ln_1.weight"], encoder.vit.blocks[1].ln_1.weight)
    assert not torch.equal(
        merged["0.attn.in_proj_weight"], encoder.vit.blocks[1].attn.in_proj_weight
    )
    prefix = prefix_of(encoder, 2)  # merging takes nothing from the tower itself
    with torch.no_grad():
        assert torch.equal(tower.tokens(prefix), tower.tokens(prefix))


@pytest.mark.parametrize("rank", [None, 2])
def test_an_exported_encoder_gives_the_tuned_tokens(
    encoder: OpenClipEncoder, tmp_path: Path, rank: int | None
) -> None:
    tower = nudged(tower_of(encoder, 2, rank)).eval()
    made = export_encoder(encoder, tower.merged(), tmp_path / "tuned", "a note")
    loaded = load_encoder(spec_of(encoder, made))
    with torch.no_grad():
        expected = tower.tokens(prefix_of(encoder, 2))
    tokens = loaded.encode_images(IMAGES).tokens_BPD
    torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-4)
    before = encoder.encode_images(IMAGES).tokens_BPD
    assert float((tokens - before).abs().max()) > 1e-3
    assert torch.equal(loaded.encode_texts(["a word"]), encoder.encode_texts(["a word"]))
    assert loaded.info.hash != encoder.info.hash
    assert (loaded.info.dim, loaded.info.grid) == (encoder.info.dim, encoder.info.grid)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tuned"]  # no draft stays
    again = export_encoder(encoder, tower.merged(), tmp_path / "again")
    assert load_encoder(spec_of(encoder, again)).info.hash == loaded.info.hash


def test_options_of_the_encoder_stay(where: Path, tmp_path: Path) -> None:
    encoder = world.encoder_of(where, "?dense=maskclip-value&size=48")
    tower = nudged(tower_of(encoder)).eval()
    made = export_encoder(encoder, tower.merged(), tmp_path / "tuned")
    loaded = load_encoder(spec_of(encoder, made))
    assert loaded.info.spec == f"local-dir:{made}?dense=maskclip-value&size=48"
    with torch.no_grad():
        expected = tower.tokens(prefix_of(encoder, 1))
    tokens = loaded.encode_images(IMAGES).tokens_BPD
    torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-4)


def test_export_refuses_what_does_not_fit(encoder: OpenClipEncoder, where: Path) -> None:
    blocks = tower_of(encoder).merged()
    with pytest.raises(ConfigError, match="not finite"):
        tuned_state(encoder, {**blocks, "0.ln_1.weight": blocks["0.ln_1.weight"] * float("nan")})
    with pytest.raises(ConfigError, match="no weights"):
        tuned_state(encoder, {"0.ln_9.weight": torch.zeros(16)})
    half = load_encoder(f"local-dir:{where}", precision="bf16")
    with pytest.raises(ConfigError, match="fp32"):
        tuned_state(half, blocks)
    with pytest.raises(ConfigError, match="fp32"):
        tower_of(half)


def test_towers_that_cannot_be_tuned(where: Path, encoder: OpenClipEncoder) -> None:
    with pytest.raises(EncoderError, match="windows"):
        tower_of(world.encoder_of(where, "?size=48&window=32"))
    for blocks in (0, 4):
        with pytest.raises(ConfigError, match="3 blocks"):
            tower_of(encoder, blocks)
    with pytest.raises(ConfigError, match="rank"):
        tower_of(encoder, 1, 0)
    wide = world.head()
    odd = type(wide)(wide.weight_CN[:, :3], wide.bias_C, wide.classes)
    with pytest.raises(ConfigError, match="fit together"):
        ConceptTower(encoder, world.dictionary(encoder), odd, blocks=1)
