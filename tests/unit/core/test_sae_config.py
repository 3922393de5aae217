import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.sae import PAPER_FRACTIONS, SAEConfig, TrainConfig, group_sizes
from core.sae.config import default_lr


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
