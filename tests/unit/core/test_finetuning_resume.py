import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import ConfigError, TrainingStopped
from core.finetuning import Trained, train
from core.sae.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from tests.unit.core import tunable

ROOT = Path(__file__).resolve().parents[3]
KILLS = sorted(random.Random(2026).sample(range(1, tunable.STEPS), 3))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole() -> Trained:
    return tunable.tune(None)


def same(one: Trained, other: Trained) -> bool:
    weights, figures = tunable.bits(one)
    others, other_figures = tunable.bits(other)
    equal = all(torch.equal(weights[name], others[name]) for name in weights)
    return equal and weights.keys() == others.keys() and figures == other_figures


def child(folder: Path, step: int, save_every: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, tunable.__file__, str(folder), str(step), str(save_every)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True)


def kill(process: "subprocess.Popen[str]") -> None:
    with process:
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_killed_at_random_steps_and_resumed_is_bit_identical(
    tmp_path: Path, whole: Trained
) -> None:
    """One training is killed with SIGKILL at three random steps; each time another process goes
    on from what it finds. The last one ends with the bits of the uninterrupted training."""
    for step in KILLS:
        process = child(tmp_path, step, tunable.CONFIG.save_every)
        assert process.stdout is not None
        assert process.stdout.readline() == f"step {step}\n"
        kill(process)
        kept = max(int(p.name.removeprefix("step-")) for p in tmp_path.glob("step-*"))
        assert kept == step // tunable.CONFIG.save_every * tunable.CONFIG.save_every
    assert same(tunable.tune(tmp_path), whole)


def test_killed_while_it_saves_all_the_time(tmp_path: Path, whole: Trained) -> None:
    """A checkpoint after every step, and a kill at any moment, in the middle of a file too."""
    process = child(tmp_path, -1, 1)
    assert process.stdout is not None
    assert process.stdout.readline() == "step 0\n"
    time.sleep(random.Random(7).uniform(0.05, 0.3))
    kill(process)
    seen: list[int] = []
    config = replace(tunable.CONFIG, save_every=1)
    resumed = tunable.tune(tmp_path, config, None, lambda series, step, value: seen.append(step))
    assert same(resumed, whole)


def test_stop_saves_and_the_same_call_goes_on(tmp_path: Path, whole: Trained) -> None:
    asked = iter(range(100))
    with pytest.raises(TrainingStopped, match="after step 7 of 24"):
        tunable.tune(tmp_path, should_stop=lambda: next(asked) == 7)
    assert [p.name for p in tmp_path.glob("step-*7")] == ["step-00000007"]
    told: list[tuple[str, int, float]] = []
    steps = iter(range(100))
    resumed = tunable.tune(
        tmp_path, should_stop=lambda: next(steps) > 99, on_point=lambda *p: told.append(p)
    )
    assert next(steps) == tunable.STEPS - 7  # not from the start
    assert same(resumed, whole)
    curves = {s: tuple((n, v) for name, n, v in told if name == s) for s in whole.curves}
    assert curves == whole.curves  # points from before the stop are told again


def test_the_best_weights_survive_a_stop(tmp_path: Path) -> None:
    """On turned labels the first look is the best one; the stop comes long after it."""
    held = tunable.cases(20, 4)
    turned = replace(held, labels_I=(held.labels_I + 1) % tunable.CLASSES)
    config = replace(tunable.CONFIG, patience=None, look_every=2, lr=2e-2)

    def tune(folder: Path | None, stop_at: int = 99) -> Trained:
        steps = iter(range(100))
        return train(
            tunable.net(), tunable.cases(), config, validation=turned, checkpoint_folder=folder,
            should_stop=lambda: next(steps) == stop_at,
        )  # fmt: skip

    straight = tune(None)
    assert straight.best_step is not None
    assert straight.best_step < 18
    with pytest.raises(TrainingStopped):
        tune(tmp_path, 18)
    assert same(tune(tmp_path), straight)


def test_an_exception_of_the_caller_leaves_the_last_checkpoint(
    tmp_path: Path, whole: Trained
) -> None:
    points: list[int] = []

    class Cancelled(Exception):
        pass

    def cancel(series: str, step: int, value: float) -> None:
        points.append(step)
        if step >= 15:
            raise Cancelled

    with pytest.raises(Cancelled):
        tunable.tune(tmp_path, on_point=cancel)
    assert same(tunable.tune(tmp_path), whole)


def test_a_checkpoint_of_a_gpu_goes_on_without_one(
    tmp_path: Path, whole: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    """What a GPU's checkpoint has besides is put into one of the CPU: nothing of it may matter."""
    asked = iter(range(100))
    with pytest.raises(TrainingStopped):
        tunable.tune(tmp_path, should_stop=lambda: next(asked) == 7)
    (folder,) = tmp_path.glob("step-*7")
    setup = json.loads((folder / "state.json").read_text())["setup"]
    assert setup["tune"]["device"] == "cpu"
    found = load_checkpoint(Checkpoints(tmp_path), setup)
    assert found is not None
    elsewhere = {**setup, "tune": {**setup["tune"], "device": "cuda"}}
    tensors = {**found.tensors, "generator.cuda": torch.zeros(16, dtype=torch.uint8)}
    save_checkpoint(Checkpoints(tmp_path), replace(found, setup=elsewhere, tensors=tensors))
    assert same(tunable.tune(tmp_path), whole)
    assert "step-00000007 goes on on cpu, was cuda: not bit-identical any more" in caplog.text


def test_a_finished_training_is_not_made_again(tmp_path: Path, whole: Trained) -> None:
    tunable.tune(tmp_path)

    def never() -> bool:
        raise AssertionError("a step is to be made")

    assert same(tunable.tune(tmp_path, should_stop=never), whole)


def test_another_training_is_refused_or_forgotten(tmp_path: Path) -> None:
    tunable.tune(tmp_path)
    with pytest.raises(ConfigError, match=r"tune\.seed \(11 then, 12 now\)"):
        tunable.tune(tmp_path, replace(tunable.CONFIG, seed=12))
    with pytest.raises(ConfigError, match="cases"):
        train(
            tunable.net(), tunable.cases(seed=5), tunable.CONFIG, checkpoint_folder=tmp_path,
            validation=tunable.cases(20, 4),
        )  # fmt: skip
    with pytest.raises(ConfigError, match="model"):
        train(
            tunable.net(1), tunable.cases(), tunable.CONFIG, checkpoint_folder=tmp_path,
            validation=tunable.cases(20, 4),
        )  # fmt: skip
    short = replace(tunable.CONFIG, epochs=1)
    anew = train(tunable.net(), tunable.cases(), short, checkpoint_folder=tmp_path, resume=False)
    assert anew.steps == 4
