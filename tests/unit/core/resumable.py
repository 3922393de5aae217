"""A small training that can be killed: used by test_sae_checkpoint and run as its child process.

python resumable.py FOLDER_OF_TOKENS FOLDER_OF_CHECKPOINTS BACKEND
"""

import sys
import time
from pathlib import Path

import torch

from core.sae import SAEConfig, TrainConfig
from core.sae.checkpoint import Checkpoints
from core.sae.config import Backend
from core.sae.metrics import Progress
from core.sae.train import TrainedSAE, train_sae
from core.streaming import ShuffledStream, StoreSource
from core.tokens import TokenStore

IMAGES, P, D = 40, 9, 8
STEPS, EVERY = 60, 7
SLOW_FROM = 0.5  # share of the steps after which the child dawdles until it is killed


def fill(folder: Path) -> None:
    generator = torch.Generator().manual_seed(17)
    directions = torch.randn(12, D, generator=generator)
    for image in range(IMAGES):
        acts = torch.rand(P, 12, generator=generator).sub(0.7).clamp_min(0)
        TokenStore(folder).write([(f"sha{image:02d}", acts @ directions)])


def train(
    tokens: Path, checkpoints: Path | None, backend: Backend, progress: Progress | None = None
) -> TrainedSAE:
    store = TokenStore(tokens)
    settings = TrainConfig(steps=STEPS, batch=32, lr=5e-3, seed=3, dead_after=64, backend=backend)
    return train_sae(
        ShuffledStream(StoreSource(store, sorted(store.shas())), 32, seed=3, buffer=100),
        SAEConfig(d=D, n=64, k=2, group_fractions=(0.25, 0.75)),
        settings,
        progress,
        checkpoints=None if checkpoints is None else Checkpoints(checkpoints, EVERY),
        metrics_file=None if checkpoints is None else checkpoints / "metrics.jsonl",
    )


def dawdle(share: float, text: str) -> None:
    if share >= SLOW_FROM:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], dawdle)  # type: ignore[arg-type]
