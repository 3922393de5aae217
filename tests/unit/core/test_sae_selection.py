import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.sae import SAEConfig
from core.sae.config import Variant
from core.sae.kernels import LANES, gather_dead, sort_by_column, store_bits, value_of
from core.sae.selection import Chosen, Selector, largest_per_row, make_selector
from tests.unit.core.reference_sae import selected_by_reference

BLOCK = 8


def bias_of(n: int, seed: int = 3) -> Any:
    """Random biases, padded to whole vectors with minus infinity."""
    bias_C = np.full(-(-n // LANES) * LANES, -np.inf, np.float32)
    bias_C[:n] = np.random.default_rng(seed).normal(size=n).astype(np.float32) / 4
    return bias_C


def keys_of(pre_MN: Tensor, low: bool) -> Any:
    """The bits of pre-activations, padded; in bfloat16 or float32."""
    m, n = pre_MN.shape
    padded = torch.zeros(m, -(-n // LANES) * LANES)
    padded[:, :n] = pre_MN
    return padded.bfloat16().view(torch.uint16).numpy() if low else padded.numpy().view(np.uint32)


def choose(selector: Selector, keys_MC: Any) -> Chosen:
    selector.start(len(keys_MC), BLOCK)
    blocks = list(range(math.ceil(len(keys_MC) / BLOCK)))
    for block in reversed(blocks):  # any order
        selector.see(block, keys_MC[block * BLOCK : (block + 1) * BLOCK])
    return selector.finish(keys_MC)


def flat(chosen: Chosen, n: int) -> list[int]:
    return (chosen.row_Z.astype(np.int64) * n + chosen.column_Z).tolist()


@settings(max_examples=50, deadline=None)
@given(
    m=st.integers(1, 40),
    n=st.integers(2, 100),
    k=st.integers(1, 60),
    shifts=st.lists(st.sampled_from([-3.0, -0.5, 0.0, 2.0]), min_size=1, max_size=3),
    low=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_the_batch_selector_is_exact_whatever_came_before(
    m: int, n: int, k: int, shifts: list[float], low: bool, seed: int
) -> None:
    config = SAEConfig(d=4, n=n, k=min(k, n), variant="batch-topk")
    bias_C = bias_of(n)
    selector = make_selector(config, bias_C, 16 if low else 0)
    for number, shift in enumerate(shifts):
        pre = torch.randn(m, n, generator=torch.Generator().manual_seed(seed + number)) + shift
        seen = (pre.bfloat16().float() if low else pre) + torch.from_numpy(bias_C[:n])
        chosen = choose(selector, keys_of(pre, low))
        expected = selected_by_reference(seen, config.k * m)
        values = seen.flatten()
        got = torch.tensor(flat(chosen, n), dtype=torch.int64)
        assert torch.equal(got, got.sort().values)
        # ties may be resolved either way: the values kept are the same
        assert torch.equal(values[got].sort().values, values[expected].sort().values)
        assert chosen.smallest == (float(values[expected].min()) if len(expected) else None)
        counts = np.bincount(chosen.row_Z, minlength=m)
        assert np.array_equal(np.diff(chosen.first_M), counts)


def test_ties_keep_the_exact_count_and_the_first_come_first() -> None:
    config = SAEConfig(d=4, n=LANES, k=3, variant="batch-topk")
    selector = make_selector(config, np.zeros(LANES, np.float32), 16)
    chosen = choose(selector, keys_of(torch.ones(20, LANES), low=True))
    assert flat(chosen, LANES) == list(range(60))
    assert chosen.smallest == 1.0


def test_levels_of_matryoshka_are_the_groups_of_the_columns() -> None:
    config = SAEConfig(d=4, n=LANES, k=LANES, group_fractions=(0.25, 0.75))
    selector = make_selector(config, np.zeros(LANES, np.float32), 0)
    chosen = choose(selector, keys_of(torch.ones(1, LANES), low=False))
    assert chosen.level_Z.tolist() == [0] * 4 + [1] * 12


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 30),
    n=st.integers(5, 80),
    k=st.integers(1, 5),
    shift=st.sampled_from([-3.0, 0.0, 2.0]),
    variant=st.sampled_from(["topk", "nested-k"]),
    seed=st.integers(0, 10_000),
)
def test_the_row_selector_is_exact(
    m: int, n: int, k: int, shift: float, variant: Variant, seed: int
) -> None:
    config = SAEConfig(d=4, n=n, k=k, variant=variant)
    bias_C = bias_of(n)
    pre = torch.randn(m, n, generator=torch.Generator().manual_seed(seed)) + shift
    seen = pre + torch.from_numpy(bias_C[:n])
    chosen = choose(make_selector(config, bias_C, 0), keys_of(pre, low=False))
    positions, ranks = largest_per_row(seen, k)
    assert flat(chosen, n) == positions.tolist()
    tiers = config.tiers if variant == "nested-k" else (k,)
    assert chosen.level_Z.tolist() == [sum(t <= rank for t in tiers) for rank in ranks.tolist()]
    whole = selected_by_reference(seen, k * m)
    expected = float(seen.flatten()[whole].min()) if len(whole) else None
    assert chosen.smallest == expected


def test_largest_per_row_leaves_out_what_is_not_positive() -> None:
    pre = torch.tensor([[0.5, 3.0, -1.0, 2.0], [-1.0, -2.0, 0.0, 0.25]])
    positions, ranks = largest_per_row(pre, 3)
    assert positions.tolist() == [1, 3, 0, 7]
    assert ranks.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("keep", [1, 3, 7, 40])
@pytest.mark.parametrize("low", [True, False])
def test_dead_latents_keep_their_strongest(keep: int, low: bool) -> None:
    pre = torch.randn(30, 64, generator=torch.Generator().manual_seed(8))
    dead_Q = np.array([1, 5, 6, 20, 21, 40, 62, 63])
    found = np.empty((30, 8), np.float32)
    gather_dead(keys_of(pre, low), 16 if low else 0, np.zeros(64, np.float32), dead_Q, keep, found)
    acts = (pre.bfloat16().float() if low else pre)[:, dead_Q].relu()
    top = torch.topk(acts, min(keep, 8), dim=1)
    expected = torch.zeros_like(acts).scatter(1, top.indices, top.values)
    assert torch.equal(torch.from_numpy(found), expected)


def test_equal_dead_activations_keep_the_exact_count() -> None:
    found = np.empty((1, 5), np.float32)
    keys = keys_of(torch.ones(1, LANES), low=True)
    gather_dead(keys, 16, np.zeros(LANES, np.float32), np.arange(5), 2, found)
    assert found.tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0]]


def test_rounding_to_bfloat16_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(4000, generator=generator) * 10.0 ** torch.randint(-20, 20, (4000,))
    values[:4] = torch.tensor([0.0, -0.0, 1.00390625, 1.01171875])  # the last two are ties
    found = np.empty(4000, np.uint16)
    store_bits(found, np.float32(1), values.numpy(), 16)
    assert np.array_equal(found, values.bfloat16().view(torch.uint16).numpy())
    assert value_of(found[2], 16) == float(values.bfloat16()[2])
    exact = np.empty(4000, np.uint32)
    store_bits(exact, np.float32(1), values.numpy(), 0)
    assert np.array_equal(exact, values.numpy().view(np.uint32))


def test_sorting_by_column_is_stable() -> None:
    columns = np.array([3, 0, 3, 1, 0], np.int32)
    first, order = np.empty(5, np.int64), np.empty(5, np.int32)
    sort_by_column(columns, first, order)
    assert first.tolist() == [0, 2, 3, 3, 5]
    assert order.tolist() == [1, 4, 3, 0, 2]
