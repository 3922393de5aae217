"""Train the demo encoder from scratch: `python -m core.phantoms.training --out FOLDER --seed 0`.

Phantoms without any shortcut; see docs/decisions/0004. CPU, bf16 autocast, one single-threaded
process per core: a thread pool inside every operation stalls as soon as a core is shared, one
exchange of gradients per step does not. Progress goes to stderr and, one JSON line per report,
to `training_log.jsonl` in the folder.

Legend: B images, P patches, D embedding, C cues, T region terms, K classes, Q captions, S side.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.phantoms import losses
from core.phantoms.captions import sample_caption, sample_class_prompt, sample_region_prompt
from core.phantoms.corpus import Corpus, CorpusSpec, draw_parallel
from core.phantoms.model import (
    GRID,
    MODEL_CFG,
    PATCH,
    SIDE,
    build,
    encode_dense,
    normalise,
    save_folder,
)
from core.phantoms.spec import CLASSES, CUE_NAMES, GENERAL_MEMBERS

TERMS: tuple[str, ...] = (*CUE_NAMES, *GENERAL_MEMBERS)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    images        phantoms drawn once and reused with flips, turns and jitter
    steps         optimiser steps, if the time allows
    minutes       wall time after which the schedule ends, whatever the step
    batch         images a step and process
    processes     data-parallel processes, one thread each
    rate          peak learning rate
    warm_up       steps of linear warm-up, then cosine to zero
    decay         decoupled weight decay of matrices
    clip          largest gradient norm
    muon          Muon instead of AdamW for the image blocks' matrices
    seed          weights, order and augmentation; the data come from series seed + 1000
    report_every  steps between log lines
    save_every    steps between checkpoints of the folder (0: only at the end)
    """

    images: int = 12000
    steps: int = 1400
    minutes: float = 90.0
    batch: int = 32
    processes: int = 2
    rate: float = 1e-3
    warm_up: int = 100
    decay: float = 0.05
    clip: float = 1.0
    seed: int = 0
    muon: bool = True
    report_every: int = 50
    save_every: int = 250
    weights: losses.LossWeights = field(default_factory=losses.LossWeights)


@dataclass(frozen=True)
class Batch:
    """x [B, 3, S, S] float, cover [B, P, C] in 0..1, labels [B] int64."""

    x_BCSS: Tensor
    cover_BPC: Tensor
    labels_B: Tensor


class Tokens:
    """open_clip's tokenizer with a memory: the phrases repeat all the time."""

    def __init__(self) -> None:
        self._tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=40)
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._tokenizer([text])[0]
        return torch.stack([self._known[text] for text in texts])


def batches(corpus: Corpus, config: TrainConfig, rank: int = 0) -> Iterator[Batch]:
    """Endless shuffled batches, every image turned, flipped and relit anew."""
    rng = np.random.default_rng([config.seed, 7, rank])
    while True:
        order = rng.permutation(len(corpus))
        for start in range(0, len(corpus) - config.batch + 1, config.batch):
            rows = np.sort(order[start : start + config.batch])
            yield _augment(rng, corpus, rows)


def _augment(rng: np.random.Generator, corpus: Corpus, rows: np.ndarray) -> Batch:
    """Flip and turn in eighths of the batch (pictures and truth alike), then jitter colours."""
    images, cover = corpus.images[rows].copy(), corpus.cover[rows].copy()
    for part in range(8):
        at = slice(part, None, 8)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        for stack in (images, cover):
            piece = np.rot90(stack[at], turn, axes=(1, 2))
            stack[at] = piece[:, :, ::-1] if flip else piece
    x_BCSS = normalise(torch.from_numpy(images))
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (len(rows), 3, 1, 1)).astype(np.float32))
    lift = torch.from_numpy(rng.uniform(-0.15, 0.15, (len(rows), 1, 1, 1)).astype(np.float32))
    cover_BPC = torch.from_numpy(cover).float().flatten(1, 2) / 255.0
    return Batch(x_BCSS * gain + lift, cover_BPC, torch.from_numpy(corpus.labels[rows]))


def caption_batch(
    rng: np.random.Generator, cover_BPC: Tensor, labels_B: Tensor
) -> tuple[list[str], Tensor]:
    """One random caption per image and truth [B, Q]: 1 where caption q is true of image b."""
    shown_BC = cover_BPC.amax(1) > 0.2
    captions: list[str] = []
    truth = torch.zeros(len(labels_B), len(labels_B))
    for row, label in enumerate(labels_B.tolist()):
        cues = [name for name, on in zip(CUE_NAMES, shown_BC[row].tolist(), strict=True) if on]
        text, named = sample_caption(rng, CLASSES[label], cues)
        captions.append(text)
        index = [CUE_NAMES.index(name) for name in named]
        holds_B = shown_BC[:, index].all(1) if index else torch.ones(len(labels_B)).bool()
        truth[:, row] = (holds_B & (labels_B == label)).float()
    return captions, truth


class Trainer:
    """Model, throw-away pixel head and optimisers of one process."""

    def __init__(self, config: TrainConfig, rarity_T: Tensor, rank: int = 0) -> None:
        self.config = config
        self.progress = 0.0
        self.model: Any = build(config.seed)
        self.pixel_head = nn.Linear(MODEL_CFG["embed_dim"], 48)
        self.tokens = Tokens()
        self.rng = np.random.default_rng([config.seed, 8, rank])
        self.rarity_T = rarity_T
        self.optimisers = self._optimisers()

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for the image blocks' matrices (twice the progress a step), AdamW for the rest."""
        blocks, matrices, others = [], [], []
        named = [*self.model.named_parameters(), *self.pixel_head.named_parameters()]
        for name, value in named:
            if self.config.muon and name.startswith("visual.transformer") and value.ndim == 2:
                blocks.append(value)
            elif value.ndim >= 2 and "embedding" not in name:
                matrices.append(value)
            else:
                others.append(value)
        rate, decay = self.config.rate, self.config.decay
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": decay},
            {"params": others},
        ]
        adam = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        if not blocks:
            return [adam]
        muon = torch.optim.Muon(blocks, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        return [adam, muon]

    def _texts(self, captions: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Unit embeddings of class prompts [K, D], region prompts [T, D], captions [Q, D]."""
        prompts = [sample_class_prompt(self.rng, label) for label in CLASSES]
        regions = [sample_region_prompt(self.rng, term) for term in TERMS]
        tokens = self.tokens([*prompts, *regions, *captions])
        embedded = self.model.encode_text(tokens, normalize=True)
        k, t, _ = torch.split(embedded, [len(CLASSES), len(TERMS), len(captions)])
        return k, t, embedded[len(CLASSES) + len(TERMS) :]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Every objective, unweighted, on one batch."""
        captions, truth_BQ = caption_batch(self.rng, batch.cover_BPC, batch.labels_B)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            global_BD, tokens_BPD = encode_dense(self.model, batch.x_BCSS)
            text_KD, text_TD, text_QD = self._texts(captions)
            pixels = self.pixel_head(tokens_BPD)
        tokens_BPD, text_KD, text_TD = tokens_BPD.float(), text_KD.float(), text_TD.float()
        scale, bias = self.model.logit_scale.exp(), self.model.logit_bias
        unit_BD = F.normalize(global_BD.float(), dim=-1)
        unit_BPD = F.normalize(tokens_BPD, dim=-1)
        mean_BD = F.normalize(tokens_BPD.mean(1), dim=-1)
        target_BPT = losses.region_targets(batch.cover_BPC)
        dense_BPT = scale * unit_BPD @ text_TD.T + bias
        return {
            "label": F.cross_entropy(scale * unit_BD @ text_KD.T, batch.labels_B),
            "caption": losses.caption_loss(scale * unit_BD @ text_QD.float().T + bias, truth_BQ),
            "dense": losses.dense_loss(dense_BPT, target_BPT, self.rarity_T),
            "lesion_label": losses.lesion_label_loss(
                scale * unit_BPD @ text_KD.T, batch.cover_BPC, batch.labels_B
            ),
            "mean_label": F.cross_entropy(scale * mean_BD @ text_KD.T, batch.labels_B),
            "pixels": F.mse_loss(pixels.float(), losses.pixel_targets(batch.x_BCSS, GRID)),
        }

    def step(self, batch: Batch, factor: float, progress: float = 0.0) -> dict[str, float]:
        """One step at `factor` times the peak rate, gradients averaged over the processes.

        `progress` is averaged along with them into `self.progress`, so that all processes see
        the same clock. Returns the losses.
        """
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self.config.rate * factor
        parts = self.losses(batch)
        weights = asdict(self.config.weights)
        total = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
        self.progress = average([*self.model.parameters(), *self.pixel_head.parameters()], progress)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():  # a temperature above 50 only sharpens what fp16 cannot hold
            self.model.logit_scale.clamp_(max=math.log(50))
        return {"total": float(total.detach()), **{n: float(v.detach()) for n, v in parts.items()}}


def average(parameters: list[nn.Parameter], progress: float) -> float:
    """Average all gradients, and `progress`, over the processes; returns the mean progress."""
    if not dist.is_initialized():
        return progress
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in grads), torch.tensor([progress])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad))
        at += grad.numel()
    return float(flat[-1])


def schedule(step: int, progress: float, config: TrainConfig) -> float:
    """Share of the peak rate: linear warm-up by steps, then cosine down to 0 at progress 1."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(config: TrainConfig, corpus: Corpus, out: Path, rank: int = 0) -> tuple[nn.Module, int]:
    """Train until the steps or the minutes are used up; process 0 logs and writes the folder.

    Returns the model in fp32 and the number of steps made.
    """
    sample = torch.from_numpy(corpus.cover[:1000]).float().flatten(1, 2) / 255.0
    trainer = Trainer(config, losses.rarity_weights(losses.region_targets(sample)), rank)
    out.mkdir(parents=True, exist_ok=True)
    log = Reporter(out / "training_log.jsonl", config.report_every) if rank == 0 else None
    stream, start, step = batches(corpus, config, rank), time.monotonic(), 0
    # The plain product is faster than the fused kernel on a CPU, whose backward pass is slow.
    with sdpa_kernel(SDPBackend.MATH):
        while trainer.progress < 1.0:
            spent = (time.monotonic() - start) / (60 * config.minutes)
            factor = schedule(step, trainer.progress, config)
            row = trainer.step(next(stream), factor, max(spent, (step + 1) / config.steps))
            step += 1
            if log is not None:
                log.add(step, row)
                if config.save_every and step % config.save_every == 0:
                    save_folder(trainer.model, out)
    if rank == 0:
        save_folder(trainer.model, out)
    model: nn.Module = trainer.model
    return model.eval(), step


class Reporter:
    """Averages losses and writes a line every few steps."""

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every
        self._rows: list[dict[str, float]] = []
        self._start = time.monotonic()
        path.write_text("", encoding="utf-8")

    def add(self, step: int, row: dict[str, float]) -> None:
        """Note one step."""
        self._rows.append(row)
        if step % self._every:
            return
        mean = {k: round(float(np.mean([r[k] for r in self._rows])), 4) for k in row}
        line = {"step": step, "seconds": round(time.monotonic() - self._start, 1), **mean}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        sys.stderr.write(json.dumps(line) + "\n")
        self._rows.clear()


def work(rank: int, config: TrainConfig, corpus_folder: Path, out: Path, store: str) -> None:
    """One process of a run: every process draws (or finds) the corpus and takes its share."""
    torch.set_num_threads(1)
    if config.processes > 1:
        dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=config.processes)
    corpus = _corpus(config, corpus_folder)
    mine = slice(rank, None, config.processes)
    share = Corpus(corpus.images[mine], corpus.cover[mine], corpus.labels[mine])
    del corpus
    start = time.monotonic()
    _, steps = train(config, share, out, rank)
    if rank == 0:
        record = {
            "config": asdict(config),
            "steps_made": steps,
            "train_wall_seconds": round(time.monotonic() - start, 1),
            "train_cpu_seconds": round(time.process_time() * config.processes, 1),
            "torch": torch.__version__,
            "open_clip": open_clip.__version__,
        }
        text = json.dumps(record, indent=1) + "\n"
        (out / "training.json").write_text(text, encoding="utf-8")
    if config.processes > 1:
        dist.destroy_process_group()


def _corpus(config: TrainConfig, folder: Path) -> Corpus:
    spec = CorpusSpec(config.images, 1000 + config.seed, SIDE, PATCH)
    return draw_parallel(spec, folder, config.processes)


def run(config: TrainConfig, corpus_folder: Path, out: Path) -> None:
    """Draw the corpus once, then train in `config.processes` processes."""
    _corpus(config, corpus_folder)
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        if config.processes == 1:
            work(0, config, corpus_folder, out, store)
        else:
            mp.spawn(work, (config, corpus_folder, out, store), config.processes)  # type: ignore[attr-defined, no-untyped-call]


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    default = TrainConfig()
    parser = argparse.ArgumentParser(description="Train the demo encoder from scratch.")
    parser.add_argument("--out", type=Path, required=True, help="open_clip folder to write")
    parser.add_argument("--corpus", type=Path, required=True, help="folder for drawn phantoms")
    for name in ("seed", "images", "steps", "batch", "processes"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    for name in ("minutes", "rate"):
        parser.add_argument(f"--{name}", type=float, default=getattr(default, name))
    parser.add_argument("--no-muon", action="store_true", help="AdamW for every parameter")
    args = vars(parser.parse_args(argv))
    out, corpus = args.pop("out"), args.pop("corpus")
    run(TrainConfig(muon=not args.pop("no_muon"), **args), corpus, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
