"""A version whose head pools by the mean gets codes that were pooled so, kept apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.artifacts import save_bundle
from core.tokens import TokenStore
from dashboard.services.engines import Engines
from dashboard.settings import Settings
from tests.unit.core.test_artifacts import parts


def test_pooled_codes_follow_the_head(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, environ={})
    engines = Engines(settings)
    made = parts()
    bundles = [
        engines.bundle(save_bundle(tmp_path / "versions", **{**made, "head": head}))
        for head in (made["head"], replace(made["head"], pooling="mean"))
    ]
    tokens_PD = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    store = TokenStore(tmp_path / "tokens")
    store.write([("a" * 64, tokens_PD)])
    acts_PN = bundles[0].sae.encode_dense(store.get("a" * 64))
    expected = (acts_PN.amax(0).numpy(), acts_PN.mean(0).numpy())
    for bundle, expected_N in zip(bundles, expected, strict=True):
        found = engines.pooled("project", bundle, store, ["a" * 64]).toarray()[0]
        np.testing.assert_allclose(found, expected_N, rtol=1e-6)
    folders = {path.name for path in (settings.project_folder("project") / "pooled").iterdir()}
    assert {name.partition("-")[2] for name in folders} == {"", "mean"}
