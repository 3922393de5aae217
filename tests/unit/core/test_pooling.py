"""Mean pooling on its way through codes, code stores and model versions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.artifacts import load_bundle, save_bundle
from core.codes import Codes, CodeStore
from core.errors import BundleError
from core.heads import pool
from tests.unit.core.test_artifacts import parts


def test_codes_pool_like_the_dense_activations(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    acts_IPN = torch.rand(5, 7, 9, generator=generator).half().float()
    acts_IPN = acts_IPN * (torch.rand(5, 7, 9, generator=generator) < 0.3)
    acts_IPN[2] = 0.0
    images = [Codes.from_dense(acts_PN) for acts_PN in acts_IPN]
    store = CodeStore(tmp_path)
    store.write(((str(i), codes) for i, codes in enumerate(images)), 9)
    for how in ("max", "mean"):
        expected_IN = pool(acts_IPN, how).numpy()
        np.testing.assert_allclose(store.pooled(how).toarray(), expected_IN, atol=1e-6)
        for codes, expected_N in zip(images, expected_IN, strict=True):
            np.testing.assert_allclose(codes.pooled(how), expected_N, atol=1e-6)


def test_only_another_pooling_than_max_changes_the_version(tmp_path: Path) -> None:
    head = parts()["head"]
    plain = save_bundle(tmp_path, **parts())
    assert "pooling" not in json.loads((plain / "head.json").read_text())
    mean = save_bundle(tmp_path, **parts(head=replace(head, pooling="mean")))
    assert plain.name != mean.name
    assert load_bundle(plain).head.pooling == "max"
    assert load_bundle(mean).head.pooling == "mean"


def test_an_unknown_pooling_is_refused() -> None:
    import safetensors.numpy

    from core.bundle_parts import head_parts, read_head
    from core.types import FloatArray

    settings, arrays = head_parts(parts()["head"])
    weights: dict[str, FloatArray] = dict(arrays)
    blob = json.dumps({**settings, "pooling": "sum"}).encode()
    with pytest.raises(BundleError, match="cannot be pooled by 'sum'"):
        read_head(blob, safetensors.numpy.save(weights))
