"""Fine-tuning on a real GPU, and checkpoints that move between it and the CPU.

Skipped where there is none. A GPU adds in another order than the CPU, so figures are compared with
room: losses within 5 % at a first step (from equal weights), and within 5 % on average over steps
(fp32 against bf16 on the CPU: 2.3 % at most), since a rounding may decide whether a concept fires.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.artifacts import dictionary_hash
from core.encoder import load_encoder
from core.errors import TrainingStopped
from core.finetuning.config import Precision, TuneConfig
from core.finetuning.encoder import EncoderTuning, TunedEncoder, tune_encoder
from core.sae.checkpoint import Checkpoints, load_checkpoint
from core.sae.metrics import evaluate_sae
from core.streaming import LoadImage
from tests.unit.core import test_finetuning_concepts as concepts
from tests.unit.core import tunable
from tests.unit.core import tunable_encoder as world

GPU = "cuda"
STOP = 9  # looks of a training before it is stopped
CLOSE = 0.05  # relative difference of losses, see above

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def config(
    device: str,
    precision: Precision = "fp32",
    rank: int | None = None,
    base: TuneConfig | None = None,
) -> EncoderTuning:
    tune = replace(
        base or EncoderTuning().tune, epochs=4, batch=8, lr=1e-3, save_every=4, report_every=1,
        seed=5, device=device, precision=precision,
    )  # fmt: skip
    return EncoderTuning(rank=rank, pasted=0.3, grow=0, tune=tune)


def tune(
    where: Path, folder: Path, config: EncoderTuning,
    should_stop: Callable[[], bool] | None = None, load: LoadImage | None = None,
) -> TunedEncoder:  # fmt: skip
    """The tuning of a workspace whose device is the config's: its encoder lies there too."""
    encoder = load_encoder(f"local-dir:{where}", device=config.tune.device, batch_size=8)
    patches = encoder.info.grid[0] * encoder.info.grid[1]
    return tune_encoder(
        encoder, world.dictionary(encoder), world.head(), world.cases(patches),
        load or world.pictures().__getitem__, folder, config, should_stop=should_stop,
    )  # fmt: skip


def stopped(where: Path, folder: Path, config: EncoderTuning) -> None:
    asked = iter(range(1000))
    with pytest.raises(TrainingStopped):
        tune(where, folder, config, lambda: next(asked) == STOP)


def losses(made: TunedEncoder) -> np.ndarray:
    return np.array([value for _, value in made.curves["train.loss"]])


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tower_that_is_tuned_on_a_gpu_learns(
    where: Path, tmp_path: Path, precision: Precision, rank: int | None
) -> None:
    before = torch.cuda.get_rng_state()
    made = tune(where, tmp_path / "gpu", config(GPU, precision, rank))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    found = losses(made)
    assert np.mean(found[-6:]) < np.mean(found[:6])
    on_cpu = losses(tune(where, tmp_path / "cpu", config("cpu", precision, rank)))
    assert abs(found[0] - on_cpu[0]) < CLOSE * on_cpu[0]
    assert np.mean(np.abs(found - on_cpu) / on_cpu) < CLOSE
    assert {value.device.type for value in made.encoder.model.state_dict().values()} == {"cpu"}
    assert made.encoder.info.hash != load_encoder(f"local-dir:{where}").info.hash


def test_penalties_on_slopes_work_there(where: Path, tmp_path: Path) -> None:
    """They are differentiated twice, which the fused kernels of attention cannot."""
    setting = config(GPU, base=replace(world.TUNE, lr_of=()))
    assert setting.tune.losses.input_gradient > 0
    found = losses(tune(where, tmp_path, setting))
    assert np.mean(found[-6:]) < np.mean(found[:6])


@pytest.mark.parametrize(("first", "second"), [(GPU, "cpu"), ("cpu", GPU), (GPU, GPU)])
def test_a_checkpoint_goes_on_on_the_device_that_there_is(
    where: Path, tmp_path: Path, first: str, second: str
) -> None:
    """Pictures, weights and moments of one device, the rest on the other."""
    stopped(where, tmp_path / "moved", config(first))
    kept = max((tmp_path / "moved" / "checkpoints").glob("step-*"))
    done = int(kept.name.removeprefix("step-"))
    assert 0 < done < STOP

    def never(key: str) -> np.ndarray:
        raise AssertionError(f"picture {key} is prepared anew")

    asked = iter(range(1000))
    moved = tune(where, tmp_path / "moved", config(second), lambda: next(asked) > 1000, load=never)
    assert next(asked) == 24 - done  # steps: not from the start
    whole = losses(tune(where, tmp_path / "whole", config("cpu")))
    found = losses(moved)
    assert len(found) == len(whole) == 24
    assert np.mean(np.abs(found - whole) / whole) < CLOSE


def test_the_generator_of_a_gpu_is_kept_and_may_be_missing(tmp_path: Path) -> None:
    """Dropout draws from it; where the training goes on on the CPU, that one's goes on."""
    setting = replace(tunable.CONFIG, device=GPU)
    asked = iter(range(100))
    with pytest.raises(TrainingStopped):
        tunable.tune(tmp_path, setting, lambda: next(asked) == STOP)
    settings = max(tmp_path.glob("step-*")) / "state.json"
    setup = json.loads(settings.read_text(encoding="utf-8"))["setup"]
    found = load_checkpoint(Checkpoints(tmp_path), setup)
    assert found is not None
    assert "generator.cuda" in found.tensors
    made = tunable.tune(tmp_path, replace(setting, device="cpu"))
    assert made.steps == tunable.STEPS
    values = [value for _, value in made.curves["train.loss"]]
    assert values[-1] < values[0]


@pytest.mark.parametrize("second", [GPU, "cpu"])
def test_concepts_are_fitted_again_on_a_gpu(tmp_path: Path, second: str) -> None:
    """Broken off on the GPU, finished there or on the CPU; the settings kept are the same."""
    concepts.break_off(tmp_path, GPU)
    made = concepts.refit(tmp_path, device=second)
    on_cpu = concepts.refit(tmp_path / "cpu")
    assert made.config == on_cpu.config
    assert made.carried.as_map() == on_cpu.carried.as_map()
    assert made.sae.W_dec.device.type == "cpu"
    turned = concepts.things(concepts.LABELS).flatten(0, 1) @ concepts.axes()
    turned = turned @ concepts.small_turn(0.3)
    now, then = (evaluate_sae(sae, turned)["fvu"] for sae in (made.sae, concepts.dictionary()))
    assert now < then
    assert dictionary_hash(made.sae) != dictionary_hash(concepts.dictionary())
