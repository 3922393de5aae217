"""The arithmetic of the explanation benchmark; it is never run or timed here."""

import numpy as np
import pytest
import torch

from benchmarks.explain_latency import (
    PHASES,
    TARGETS,
    UNITS,
    brief_dictionary,
    ratio,
    threshold_for,
)
from core.sae import SAEConfig


def test_a_ratio_of_medians() -> None:
    assert ratio([3, 4, 100], [2, 2, 50]) == pytest.approx(2.0)


def test_a_threshold_at_which_so_many_fire() -> None:
    pre = np.float32([[0.1, 0.9, 0.5], [0.8, 0.2, 0.7]])
    limit = threshold_for(pre, 1.0)  # two of six are at or above it
    assert limit == pytest.approx(0.8)
    assert (pre >= limit).sum() == 2
    assert threshold_for(-pre, 1.0) > 0


def test_the_dictionary_fires_as_often_as_it_should_on_other_tokens() -> None:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(600, 8, generator=generator)
    config = SAEConfig(8, n=32, k=3)
    sae = brief_dictionary(tokens[:400], tokens[400:], config, 4, seed=0)
    assert sae.encode(tokens[400:]).nnz / 200 == pytest.approx(3, abs=0.1)


def test_every_figure_has_a_unit_and_the_issues_targets_stand() -> None:
    assert set(TARGETS) <= set(UNITS)
    assert TARGETS["ratio_vit_b_16"].value == 1.25
    assert TARGETS["ratio_demo"].value == 2.0
    assert {f"{arm}_{phase}" for arm in ("fp32", "bf16", "demo") for phase in PHASES} <= set(UNITS)
