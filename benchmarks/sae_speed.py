"""How fast an autoencoder trains on the CPU: beside its peers and beside its own floor.

d=512, n=8192, k=12, batches of 4096 tokens, the paper's Matryoshka groups, auxiliary loss on.
Every trainer is trained once, in three windows that take turns; each window's tokens come from
one seed, so the figures per "seed" are figures per window of one run. The floor is the encoder
product in bfloat16 with the selection of the k*M largest, and nothing else.

Legend: M tokens, D dimension, A active directions per token.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.clock import busy_seconds
from benchmarks.harness import Metric, Result, Target
from benchmarks.sae_peers import Ours, Setting, Trainer, held_out_fvu, peers
from core.sae import SAEConfig

STEPS: Final = 15
"""Per window and trainer: a peer's window lasts 40 to 60 s on two cores."""
MODEL_SEED: Final = 4242
TRUE_SEED: Final = 77
"""Of the true directions: a model that starts from their seed starts from the truth."""
DIRECTIONS, ACTIVE, NOISE = 1000, 8, 0.01
HELD_OUT: Final = 4096
OURS, FLOOR = "ours", "floor"
PEERS: Final = {
    "ratio_vs_dictionary_learning": "dictionary_learning",
    "ratio_vs_saelens": "saelens",
}


@dataclass(frozen=True)
class Window:
    """One trainer's turn."""

    tokens_per_s: float
    cpu_s_per_step: float
    foreign_cpu: float  # cores that other processes kept busy meanwhile


def run(seeds: tuple[int, ...], quick: bool = False) -> Result:
    """Train everyone in len(seeds) windows; see the module.

    Args:
        seeds: one per window, of its tokens.
        quick: a small problem of two steps a window, unscored.
    """
    config = SAEConfig(d=64, n=256, k=4) if quick else SAEConfig(d=512, n=8192, k=12)
    steps, batch = (2, 512) if quick else (STEPS, 4096)
    total = steps * len(seeds) + 1
    setting = Setting(config, batch, 1e-3, max(1, total // 12), 8, total, MODEL_SEED)
    streams = [[tokens(config.d, seed, i, batch) for i in range(steps)] for seed in seeds]
    scale = float(1 / (streams[0][0] - streams[0][0].mean(0)).square().mean().sqrt())
    held_out = tokens(config.d, seeds[0], -1, min(HELD_OUT, 8 * batch)) * scale
    ours = Ours(setting, streams[0][0] * scale)
    first_call = _warm_up(setting, streams[0][0] * scale)
    others, missing = peers(setting)
    trainers: dict[str, Trainer] = {**others, OURS: ours}
    for trainer in trainers.values():  # untimed: libraries load and allocate on first use
        trainer.step(tokens(config.d, seeds[0], -2, batch) * scale)
    rows = []
    for stream in streams:
        scaled = [part * scale for part in stream]
        rows.append(_turns(trainers, ours, scaled, held_out, config.k))
    metrics = summarise(rows, tuple(missing), scored=not quick)
    return Result("sae_speed", seeds, metrics, _notes(missing, first_call, quick))


def tokens(d: int, seed: int, part: int, count: int) -> Tensor:
    """Tokens [count, d] of ACTIVE of DIRECTIONS unit directions, their frequency ~ 1 / rank."""
    true = torch.Generator().manual_seed(TRUE_SEED)
    directions = F.normalize(torch.randn(DIRECTIONS, d, generator=true), dim=1)
    generator = torch.Generator().manual_seed(1_000_000 + 1000 * seed + part)
    share = 1 / torch.arange(1, DIRECTIONS + 1)
    drawn = torch.multinomial(share, count * ACTIVE, replacement=True, generator=generator)
    value = torch.rand(count, ACTIVE, generator=generator) + 0.5
    mixed = F.embedding_bag(
        drawn.view(count, ACTIVE), directions, per_sample_weights=value, mode="sum"
    )
    return mixed + NOISE * torch.randn(count, d, generator=generator)


def summarise(
    rows: Sequence[dict[str, float]], missing: Sequence[str], *, scored: bool = True
) -> tuple[Metric, ...]:
    """The ratios with their targets, then every figure that they come from.

    Args:
        rows: one per window: "<trainer>_tokens_per_s", "<trainer>_fvu" and more.
        missing: peers that were not measured: their targets are not met.
        scored: whether the ratios have targets.
    """

    def target(op: str, value: float) -> Target | None:
        return Target("<=" if op == "<=" else ">=", value) if scored else None

    speed = [row[f"{OURS}_tokens_per_s"] for row in rows]
    out = []
    for key, name in PEERS.items():
        values: tuple[float, ...] = ()
        if name not in missing:
            pairs = zip(speed, rows, strict=True)
            values = tuple(own / row[f"{name}_tokens_per_s"] for own, row in pairs)
        out.append(Metric(key, values, "times", target(">=", 15)))
    floor = tuple(row[f"{FLOOR}_tokens_per_s"] / own for own, row in zip(speed, rows, strict=True))
    out.append(Metric("ratio_to_floor", floor, "times slower", target("<=", 3)))
    present = [name for name in PEERS.values() if name not in missing]
    last = rows[-1:]  # the trained state: earlier windows are on the way there
    fvu = tuple(
        row[f"{OURS}_fvu"] / min(row[f"{name}_fvu"] for name in present) for row in last if present
    )
    out.append(Metric("fvu_ratio", fvu, "ours / best peer", target("<=", 1.02)))
    for key in rows[0]:
        unit = next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")
        out.append(Metric(key, tuple(row[key] for row in rows), unit))
    return tuple(out)


_UNITS: Final = {
    "tokens_per_s": "tokens/s",
    "_ms": "ms/step",
    "_cpu_s": "CPU s/step",
    "_fvu": "share of variance",
    "_dead": "latents",
    "_foreign": "cores",
}


def _turns(
    trainers: dict[str, Trainer], ours: Ours, stream: list[Tensor], held_out: Tensor, k: int
) -> dict[str, float]:
    """One window of everyone, then of the floor; figures by name."""
    row: dict[str, float] = {}
    before = dict(ours.backend.seconds)
    for name, trainer in trainers.items():
        row |= _figures(name, _timed(trainer.step, stream))
        row[f"{name}_dead"] = trainer.dead()
    for phase, seconds in ours.backend.seconds.items():
        row[f"{phase}_ms"] = 1000 * (seconds - before[phase]) / len(stream)
    row |= _figures(FLOOR, _timed(_floor(ours), stream))
    for name, trainer in trainers.items():
        row[f"{name}_fvu"] = held_out_fvu(trainer.weights(), held_out, k)
    return row


def _figures(name: str, window: Window) -> dict[str, float]:
    return {
        f"{name}_tokens_per_s": window.tokens_per_s,
        f"{name}_cpu_s": window.cpu_s_per_step,
        f"{name}_foreign": window.foreign_cpu,
    }


def _timed(step: Callable[[Tensor], None], stream: Sequence[Tensor]) -> Window:
    gc.collect()
    count = sum(len(part) for part in stream)
    wall, own, busy = time.perf_counter(), time.process_time(), busy_seconds()
    for part in stream:
        step(part)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    foreign = max(0.0, busy_seconds() - busy - own) / wall
    return Window(count / wall, own / len(stream), foreign)


def _floor(ours: Ours) -> Callable[[Tensor], None]:
    """The encoder product of the present weights and the choice of the k*M largest."""
    none_Q = np.zeros(0, np.int64)

    def step(tokens_MD: Tensor) -> None:
        ours.backend.forward.encode(tokens_MD.numpy(), none_Q)

    return step


def _warm_up(setting: Setting, tokens_MD: Tensor) -> float:
    """Seconds of the first two steps of another model: compiling, or reading it from disk."""
    impatient = replace(setting, patience=1)
    start = time.perf_counter()
    trainer = Ours(impatient, tokens_MD)
    for part in torch.split(tokens_MD, max(1, len(tokens_MD) // 8))[:3]:
        trainer.step(part)
    trainer.backend.finish()
    return time.perf_counter() - start


def _notes(missing: dict[str, str], first_call_s: float, quick: bool) -> tuple[str, ...]:
    notes = [
        f"{torch.get_num_threads()} threads; batch, learning rate, groups, k and patience before "
        "a latent counts as dead are the same for all; figures per window of one run, "
        "fvu_ratio after the last window.",
        "ratio_to_floor: the floor is our own bfloat16 encoder product with the exact selection.",
        "SAELens rescales activations by the length of decoder rows, which it does not fix at 1; "
        "its auxiliary loss is not divided by the variance. dictionary_learning starts at the "
        "geometric median and clips gradients, as does SAELens.",
        f"First steps of a process, before the windows: {first_call_s:.1f} s "
        "(loading compiled kernels, or compiling them where there are none yet).",
    ]
    notes += [
        f"{name} is not installed, so it was not measured (pip install -e '.[bench]'): {why}"
        for name, why in missing.items()
    ]
    if quick:
        notes.append("A quick trial on a small problem: not scored.")
    return tuple(notes)
