import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.sae import PAPER_FRACTIONS, SAEConfig, TrainConfig, group_sizes
from core.sae.config import Variant, default_lr


def test_paper_sizes() -> None:
    assert group_sizes(8192, PAPER_FRACTIONS) == (65, 245, 491, 983, 1966, 4442)


def test_as_many_latents_as_groups() -> None:
    assert group_sizes(6, PAPER_FRACTIONS) == (1, 1, 1, 1, 1, 1)


@given(
    weights=st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8),
    extra=st.integers(0, 3000),
)
def test_group_sizes_fill_the_dictionary(weights: list[float], extra: int) -> None:
    fractions = [weight / math.fsum(weights) for weight in weights]
    n = len(fractions) + extra
    sizes = group_sizes(n, fractions)
    assert sum(sizes) == n
    assert min(sizes) >= 1
    assert len(sizes) == len(fractions)


@pytest.mark.parametrize("fractions", [(), (0.5,), (1.5, -0.5), (0.5, 0.6)])
def test_wrong_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError):
        group_sizes(100, fractions)


def test_too_few_latents_are_refused() -> None:
    with pytest.raises(ConfigError, match="5 latents cannot fill 6 groups"):
        SAEConfig(d=4, n=5, k=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"d": 0},
        {"k": 0},
        {"k": 2000},
        {"aux_k": 0},
        {"aux_coefficient": -1.0},
        {"threshold_momentum": 1.0},
    ],
)
def test_sae_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SAEConfig(**{"d": 4, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"lr": 0.0},
        {"warmup": -0.1},
        {"warmup": 0.6, "decay": 0.6},
        {"dead_after": 0},
    ],
)
def test_training_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    config = SAEConfig(d=7, n=64, k=3, aux_k=5)
    assert SAEConfig.from_json(config.to_json()) == config
    assert TrainConfig(**TrainConfig(seed=3).to_json()) == TrainConfig(seed=3)
    with pytest.raises(ConfigError):
        SAEConfig.from_json({"d": 7})


def test_prefixes_and_defaults() -> None:
    config = SAEConfig(d=8, n=10, k=2, group_fractions=(0.2, 0.3, 0.5))
    assert config.groups == (2, 3, 5)
    assert config.prefixes == (2, 5, 10)
    assert config.aux_latents == 4
    assert TrainConfig(batch=100).dead_tokens == 800
    assert default_lr(4096) == pytest.approx(2 * default_lr(16384))


@pytest.mark.parametrize("variant", ["batch-topk", "topk", "nested-k"])
def test_only_matryoshka_has_groups(variant: Variant) -> None:
    config = SAEConfig(d=4, n=32, k=8, variant=variant)
    assert config.groups == (32,)
    assert config.losses == (3 if variant == "nested-k" else 1)
    assert SAEConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="has no groups"):
        SAEConfig(d=4, n=32, k=8, variant=variant, group_fractions=(0.5, 0.5))


def test_tiers_of_nested_k() -> None:
    assert SAEConfig(d=4, n=32, k=8, variant="nested-k").tiers == (2, 4, 8)
    assert SAEConfig(d=4, n=32, k=2, variant="nested-k").tiers == (1, 2)
    own = SAEConfig(d=4, n=32, k=8, variant="nested-k", nested_ks=(1, 3, 8))
    assert own.tiers == (1, 3, 8)
    assert SAEConfig.from_json(own.to_json()) == own
    for wrong in ((3, 1, 8), (1, 4), (0, 8)):
        with pytest.raises(ConfigError, match="must rise"):
            SAEConfig(d=4, n=32, k=8, variant="nested-k", nested_ks=wrong)
    with pytest.raises(ConfigError, match="belong to the variant nested-k"):
        SAEConfig(d=4, n=32, k=8, nested_ks=(4, 8))


def test_settings_of_the_first_release_keep_their_form() -> None:
    """The identity of a dictionary covers its settings: defaults of later settings stay out."""
    assert set(SAEConfig(d=4, n=32, k=8).to_json()) == {
        "d", "n", "k", "group_fractions", "aux_k", "aux_coefficient", "threshold_momentum",
    }  # fmt: skip


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ConfigError, match="'best' is unknown"):
        SAEConfig(d=4, n=32, k=8, variant="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'fast' is unknown"):
        TrainConfig(backend="fast")  # type: ignore[arg-type]
    train = TrainConfig(steps=3, backend="torch", device="auto")
    assert TrainConfig.from_json(train.to_json()) == train
    with pytest.raises(ConfigError, match="not the settings of a training"):
        TrainConfig.from_json({"speed": 3})
