from pathlib import Path

import pytest
import torch

from benchmarks.codes_size import TARGETS, UNITS, P, access_times, dictionary, shard_ratio, sizes
from core.codes import Codes, CodeStore


def test_sizes_by_hand(tmp_path: Path) -> None:
    """Two images of 3 tokens with one entry each, 300 concepts, d = 10."""
    store = CodeStore(tmp_path)
    codes = Codes.from_dense(torch.eye(3, 300))
    store.write([("a", codes), ("b", codes)], 300)
    manifest = (tmp_path / "manifest.json").stat().st_size
    entries, counts, places, fp32 = 6 * 4, 6 * 2, 3 * 16, 6 * 10 * 4
    found = sizes(store, 10)
    assert found["ratio_to_fp32_tokens"] == (entries + counts + places + manifest) / fp32
    assert found["ratio_with_int64_pointers"] == (entries + 7 * 8 + manifest) / fp32
    assert found["fp32_over_codes"] == pytest.approx(1 / found["ratio_to_fp32_tokens"])
    assert found["l0"] == 1.0


def test_the_dictionary_fires_as_often_as_asked() -> None:
    tokens = torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
    assert dictionary(tokens, 256, 0).encode(tokens).nnz == pytest.approx(12 * 50, abs=2)


def test_bf16_shards_are_half_of_fp32(tmp_path: Path) -> None:
    tokens = torch.randn(10, P, 64, generator=torch.Generator().manual_seed(0))
    assert shard_ratio(tmp_path, tokens) == pytest.approx(0.5, rel=0.01)


def test_access_times_are_positive(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    store.write([("a", Codes.from_dense(torch.eye(3, 300)))], 300)
    assert min(access_times(store, store, 0)) > 0
    assert set(TARGETS) <= set(UNITS)
