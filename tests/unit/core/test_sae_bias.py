"""`SAEConfig.bias`: learned with the rest, or left at the mean of the data."""

from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from torch import Tensor

from core.errors import ConfigError
from core.sae import SAEConfig, TrainConfig
from core.sae.train import train_sae

TOKENS = torch.randn(256, 6, generator=torch.Generator().manual_seed(0)) + 3.0


def stream(epoch: int) -> Iterator[Tensor]:
    yield TOKENS


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_the_bias_stays_at_the_mean_or_moves(backend: Literal["torch", "numba"]) -> None:
    length = TrainConfig(steps=12, batch=256, backend=backend)
    fixed = train_sae(stream, SAEConfig(6, n=12, k=2, bias="mean"), length).model
    moved = train_sae(stream, SAEConfig(6, n=12, k=2), length).model
    torch.testing.assert_close(fixed.b_dec, TOKENS.mean(0))
    assert float((moved.b_dec - TOKENS.mean(0)).abs().max()) > 1e-4


def test_the_setting_is_kept_and_left_out_at_its_default() -> None:
    fixed = SAEConfig(6, n=12, k=2, bias="mean")
    assert SAEConfig.from_json(fixed.to_json()) == fixed
    assert "bias" not in SAEConfig(6, n=12, k=2).to_json()
    with pytest.raises(ConfigError, match="bias"):
        SAEConfig.from_json({**fixed.to_json(), "bias": "median"})
