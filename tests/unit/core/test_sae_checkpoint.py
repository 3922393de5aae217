import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ConfigError
from core.sae import SAEConfig, TrainConfig
from core.sae.checkpoint import (
    Checkpoints,
    StreamPlace,
    TrainState,
    load_checkpoint,
    save_checkpoint,
    tensors_hash,
)
from core.sae.config import Backend, Variant
from core.sae.train import TrainedSAE, train_sae
from core.streaming import Place
from tests.unit.core import resumable

ROOT = Path(__file__).resolve().parents[3]
SETUP: dict[str, Any] = {"sae": {"n": 4}, "held_out": True}


def state(done: int = 5, **changes: Any) -> TrainState:
    tensors = {"model.W": torch.full((2, 3), float(done)), "silent_N": torch.arange(4)}
    places = (StreamPlace(Place(1, 2, 3), {"identity": "a"}), StreamPlace(Place(), None))
    return replace(TrainState(done, 99, 0.1, SETUP, tensors, places), **changes)


def test_round_trip(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path / "new")
    assert load_checkpoint(where, SETUP) is None
    save_checkpoint(where, state())
    found = load_checkpoint(where, SETUP)
    assert found is not None
    assert (found.done, found.tokens, found.scale) == (5, 99, 0.1)
    assert found.places == state().places
    assert tensors_hash(found.tensors) == tensors_hash(state().tensors)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    where = Checkpoints(tmp_path, keep=2)
    for done in (5, 10, 100):
        save_checkpoint(where, state(done))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]
    found = load_checkpoint(where, SETUP)
    assert found is not None
    assert found.done == 100


@pytest.mark.parametrize("damage", ["tensors", "settings", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    where = Checkpoints(tmp_path)
    save_checkpoint(where, state(5))
    newest = save_checkpoint(where, state(10))
    match damage:
        case "tensors":
            blob = bytearray((newest / "state.safetensors").read_bytes())
            blob[-1] ^= 1
            (newest / "state.safetensors").write_bytes(blob)
        case "settings":
            (newest / "state.json").write_text("{")
        case _:
            (newest / "state.safetensors").unlink()
    (tmp_path / ".draft").mkdir()  # as a kill leaves it
    found = load_checkpoint(where, SETUP)
    assert found is not None
    assert found.done == 5
    assert "step-00000010 is damaged" in caplog.text


def test_another_training_is_refused_and_named(tmp_path: Path) -> None:
    save_checkpoint(Checkpoints(tmp_path), state())
    other = {"sae": {"n": 8}, "held_out": True}
    with pytest.raises(ConfigError, match=r"sae\.n \(4 then, 8 now\)"):
        load_checkpoint(Checkpoints(tmp_path), other)
    assert load_checkpoint(Checkpoints(tmp_path, resume=False), other) is None
    assert list(tmp_path.iterdir()) == []


def test_another_device_is_no_other_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = Checkpoints(tmp_path)
    then = {**SETUP, "train": {"device": "cuda", "lr": 1e-3}}
    save_checkpoint(where, state(setup=then))
    found = load_checkpoint(where, {**then, "train": {"device": "cpu", "lr": 1e-3}})
    assert found is not None
    assert {value.device.type for value in found.tensors.values()} == {"cpu"}
    assert "step-00000005 goes on on cpu, was cuda" in caplog.text
    with pytest.raises(ConfigError, match=r"train\.lr") as refused:
        load_checkpoint(where, {**then, "train": {"device": "cpu", "lr": 2e-3}})
    assert "device" not in str(refused.value)


def test_settings_of_checkpoints() -> None:
    for wrong in ({"every": 0}, {"keep": 0}):
        with pytest.raises(ConfigError, match="at least 1"):
            Checkpoints(Path("x"), **wrong)


def bits(result: TrainedSAE) -> tuple[str, dict[str, Any]]:
    return tensors_hash(result.model.state_dict()), result.metrics


def test_killed_and_resumed_is_bit_identical(tmp_path: Path) -> None:
    """A child is killed with SIGKILL in the middle; what it saved goes on to the same bits."""
    backend: Backend = "auto"
    resumable.fill(tmp_path / "tokens")
    whole = resumable.train(tmp_path / "tokens", None, backend)
    folder = tmp_path / "checkpoints"
    arguments = [sys.executable, resumable.__file__, str(tmp_path / "tokens"), str(folder), backend]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True
    ) as child:
        assert child.stdout is not None
        assert "step 31" in child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    kept = sorted(path.name for path in folder.glob("step-*"))
    assert kept == ["step-00000021", "step-00000028"]
    seen: list[str] = []
    resumed = resumable.train(
        tmp_path / "tokens", folder, backend, lambda share, text: seen.append(text)
    )
    assert "step 29 of 60" in seen[0]  # not from the start
    assert bits(resumed) == bits(whole)
    steps = [json.loads(x)["step"] for x in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 61))
    again = resumable.train(tmp_path / "tokens", folder, backend)  # from the final checkpoint
    assert bits(again) == bits(whole)


D = 6


def plain_stream(epoch: int) -> Iterator[Tensor]:
    """A stream that cannot seek: it is run again up to its place."""
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(3):
        yield torch.randn(50, D, generator=generator)


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("variant", ["matryoshka", "topk", "nested-k"])
def test_a_cancelled_training_goes_on(tmp_path: Path, variant: Variant, backend: Backend) -> None:
    config = SAEConfig(d=D, n=16, k=2, variant=variant)
    settings = TrainConfig(steps=30, batch=20, dead_after=60, backend=backend)
    held_out = torch.randn(64, D, generator=torch.Generator().manual_seed(8))
    whole = train_sae(plain_stream, config, settings, held_out=held_out)

    def cancel(share: float, text: str) -> None:
        if share > 0.6:
            raise Cancelled

    where = Checkpoints(tmp_path, every=4)
    with pytest.raises(Cancelled):
        train_sae(plain_stream, config, settings, cancel, held_out=held_out, checkpoints=where)
    assert load_checkpoint(
        where, json.loads((next(tmp_path.glob("step-*")) / "state.json").read_text())["setup"]
    )
    resumed = train_sae(plain_stream, config, settings, held_out=held_out, checkpoints=where)
    assert bits(resumed) == bits(whole)
    with pytest.raises(ConfigError, match=r"train\.seed \(0 then, 1 now\)"):
        train_sae(
            plain_stream, config, replace(settings, seed=1), held_out=held_out, checkpoints=where
        )
