"""Two real processes with gloo, as torchrun starts them; and one process alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from core.errors import ConfigError
from core.sae import SAEConfig, from_state
from core.sae.distributed import Replicas, main
from core.sae.metrics import evaluate_sae
from core.tokens import TokenStore
from tests.unit.core import resumable

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {
    "sae": {"n": 32, "k": 2, "group_fractions": [0.25, 0.75]},
    "train": {"steps": 40, "batch": 32, "lr": 5e-3, "seed": 3, "backend": "torch"},
    "buffer": 100,
}


def options(folder: Path) -> list[str]:
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    names = {"tokens": "tokens", "out": "out", "settings": "settings.json"}
    paths = [part for name, path in names.items() for part in (f"--{name}", str(folder / path))]
    return [*paths, "--held-out", "8", "--checkpoint-every", "20"]


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_stay_identical_and_learn(tmp_path: Path) -> None:
    resumable.fill(tmp_path / "tokens")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared = {**os.environ, **meeting, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "core.sae.distributed", *options(tmp_path)]
    both = [
        subprocess.Popen(
            command,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-3000:]
    out = tmp_path / "out"
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["processes"] == 2
    first, second = figures["replica_hashes"]
    assert first == second
    told = lines(out)
    assert 40 * 32 < told[-1]["tokens"] <= 2 * 40 * 32  # of both; the last of an epoch is shorter
    assert told[-1]["fvu"] < 0.7 * next(line["fvu"] for line in told if "fvu" in line)
    raw = json.loads((out / "checkpoints" / "step-00000040" / "state.json").read_text())
    assert len({place["state"]["identity"] for place in raw["places"]}) == 2
    config = SAEConfig.from_json(json.loads((out / "sae.json").read_text()))
    model = from_state(config, safetensors.torch.load_file(out / "sae.safetensors"))
    store = TokenStore(tmp_path / "tokens")
    held_out = store.rows(sorted(store.shas())[:8]).flatten(0, 1)
    assert evaluate_sae(model, held_out)["fvu"] == pytest.approx(figures["fvu"], rel=1e-4)


def test_the_command_works_alone(tmp_path: Path) -> None:
    resumable.fill(tmp_path / "tokens")
    main(options(tmp_path))
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["processes"] == 1
    told = lines(tmp_path / "out")
    assert told[-1]["fvu"] == pytest.approx(figures["fvu"], rel=1e-3)
    main(options(tmp_path))  # everything is there already
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == figures
    with pytest.raises(ConfigError, match="40 of them to be kept apart"):
        main([*options(tmp_path), "--held-out", "40"])


def test_one_process_alone() -> None:
    alone = Replicas()
    values = torch.tensor([1.0, 2.0])
    alone.mean_(values)
    assert values.tolist() == [1.0, 2.0]
    assert (alone.rank, alone.world, alone.first) == (0, 1, True)
    fired_N = torch.tensor([True, False])
    assert alone.share(fired_N, 5, None) == (fired_N, 5, None)
    alone.barrier()
    assert alone.gather_json({"a": 1}) == [{"a": 1}]
    assert alone.from_first(values) is values
