"""A small fine-tuning that can be killed: used by the tests and run as their child process.

python tunable.py FOLDER STEP SAVE_EVERY: trains with checkpoints in FOLDER, says "step STEP" before
that step and dawdles there until it is killed; with STEP -1 it says "step 0" and goes on slowly.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from core.finetuning import Examples, Losses, OnPoint, Trained, TuneConfig, train

CASES, CLASSES, SIDE = 60, 3, 6
LOSSES = Losses(input_gradient=2.0, counterfactual=0.5, agreement=0.1, paste=0.3, fill="noise")
CONFIG = TuneConfig(
    LOSSES, epochs=6, batch=16, lr=5e-3, weight_decay=0.01, schedule="cosine", warmup=0.1, clip=5.0,
    patience=4, look_every=5, save_every=4, report_every=3, seed=11, lr_of=(("4.", 0.5),),
)  # fmt: skip
STEPS = 24


def net(seed: int = 0) -> nn.Module:
    """Dropout and batch norm: what they keep must come back after a kill as well."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(6 * 16, 12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, CLASSES),
    )  # fmt: skip


def cases(count: int = CASES, seed: int = 3) -> Examples:
    """Pictures whose class is in one row, and in a corner that people rejected in every third."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    labels = torch.arange(count) % CLASSES
    x[torch.arange(count), 0, 2 + labels] += 1.0
    x[:, 1, 0, 0] += labels
    rejected = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
    rejected[::3, :, 0, 0] = True
    weight = torch.rand(count, generator=generator) + 0.5
    return Examples(x, labels, rejected, weight)


def tune(
    folder: Path | None,
    config: TuneConfig = CONFIG,
    should_stop: Callable[[], bool] | None = None,
    on_point: OnPoint | None = None,
) -> Trained:
    return train(
        net(), cases(), config, validation=cases(20, 4), checkpoint_folder=folder,
        should_stop=should_stop, on_point=on_point,
    )  # fmt: skip


def bits(result: Trained) -> tuple[dict[str, Tensor], object]:
    figures = (result.curves, result.steps, result.best_step, result.metrics)
    return dict(result.model.state_dict()), figures


def _done(folder: Path) -> int:
    """Steps that the newest checkpoint holds."""
    return max((int(p.name.removeprefix("step-")) for p in folder.glob("step-*")), default=0)


def _child(folder: Path, step: int, save_every: int) -> None:
    asked = _done(folder)

    def dawdle() -> bool:
        nonlocal asked
        if asked == step or (step < 0 and asked == 0):
            sys.stdout.write(f"step {asked}\n")
            sys.stdout.flush()
        asked += 1
        time.sleep(600 if asked - 1 == step else 0.02)
        return False

    from dataclasses import replace

    tune(folder, replace(CONFIG, save_every=save_every), dawdle)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _child(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
