"""Training of the sparse autoencoder on a stream of tokens.

Training runs on scaled tokens (centred root-mean-square 1 per dimension), so that one learning
rate fits every encoder; the scale is folded into the weights at the end, so the result works in
raw token units. The optimiser step itself is `core.sae.step`; here is what surrounds it: the
stream, the learning rate, silent latents, the inference threshold, checkpoints and figures.

Legend: M tokens, D dimension, N latents.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError
from core.sae.checkpoint import (
    Checkpoints,
    StreamPlace,
    TrainState,
    load_checkpoint,
    save_checkpoint,
    tensors_hash,
)
from core.sae.config import SAEConfig, TrainConfig, default_lr
from core.sae.distributed import Replicas
from core.sae.metrics import Journal, Progress, evaluate_sae
from core.sae.model import SparseAutoencoder
from core.sae.step import Step, StepReport, make_step
from core.sae.tie import Tie, check_tie
from core.streaming import BatchCursor, Place, SeekableStream, TokenStream

__all__ = ["Progress", "TokenStream", "TrainedSAE", "schedule", "train_sae"]


@dataclass(frozen=True)
class TrainedSAE:
    """A trained, frozen autoencoder and its figures."""

    model: SparseAutoencoder
    metrics: dict[str, Any]  # of evaluate_sae, plus "held_out", "train_loss", "steps"


def train_sae(
    stream: TokenStream,
    config: SAEConfig,
    train: TrainConfig,
    progress: Progress | None = None,
    *,
    held_out: Tensor | None = None,
    checkpoints: Checkpoints | None = None,
    metrics_file: Path | None = None,
    tie: Tie | None = None,
    replicas: Replicas | None = None,
    start: SparseAutoencoder | None = None,
) -> TrainedSAE:
    """Train on a stream; bit-identical for the same arguments on one machine.

    Args:
        stream: gives the tokens of epoch 0, 1, ... as float tensors [M, D], shuffled; called
            again until `train.steps` is reached. Tensors longer than a batch are split. See
            `core.streaming.ShuffledStream` for tokens straight from images.
        config: shape and objective.
        train: length, rates, seed, backend, device.
        progress: called now and then with the share done in [0, 1] and a short text; an
            exception that it raises stops the training (so a run can be cancelled).
        held_out: tokens [M, D] for the figures. None: the first batch is used, and
            metrics["held_out"] is False.
        checkpoints: where to save the training and go on from what is there; the result is
            bit-identical to that of a run without interruption.
        metrics_file: figures as the training goes, one JSON object per line, see
            `core.sae.metrics.Journal`.
        tie: latents that are to stand for known attributes.
        replicas: the processes that train together; None: all of torch.distributed's.
        start: a trained autoencoder of the same settings to go on from, in raw token units, such
            as that of an encoder before it was tuned; None: random directions.

    Raises:
        ConfigError: the stream is empty or its tokens are not [M, config.d]; the checkpoint is of
            another training; the tie or the backend does not fit; the loss is not finite.
    """
    device = _device(train)
    replicas = replicas or Replicas(device)
    if tie is not None:
        check_tie(tie, config)
    if start is not None and start.config != config:
        raise ConfigError("the autoencoder to start from has other settings")
    setup = _setup(config, train, tie, replicas, held_out)
    if start is not None:
        setup["start"] = tensors_hash(start.state_dict())
    saved = None if checkpoints is None else load_checkpoint(checkpoints, setup)
    place = Place() if saved is None else _restored(stream, saved, replicas.rank)
    cursor = BatchCursor(stream, config.d, train.batch, place)
    if saved is None:
        first_MD = cursor.next()
        run = _started(replicas.from_first(first_MD), config, train, replicas, tie, start)
        pending: Tensor | None = first_MD
    else:
        run, pending = _continued(saved, config, train, replicas, tie), None
    sample_MD = run.first_MD if held_out is None else held_out
    journal = Journal(train, progress, metrics_file, sample_MD, run.done, quiet=not replicas.first)
    try:
        while run.done < train.steps:
            report = run.advance(cursor.next() if pending is None else pending)
            pending = None
            journal.note(run.model, report, run.figures())
            if checkpoints is not None and _is_due(checkpoints, run.done, train.steps):
                _save(checkpoints, run, setup, cursor.place, stream, held_out is None)
    finally:
        run.step.finish()
    metrics = run.finish(sample_MD, held_out is not None)
    journal.done(metrics)
    return TrainedSAE(run.model, metrics)


class _Run:
    """A model in training and all that the next step depends on."""

    def __init__(
        self, model: SparseAutoencoder, train: TrainConfig, replicas: Replicas, tie: Tie | None
    ) -> None:
        self.model = model
        self.step: Step = make_step(model, train)
        self.train, self.replicas, self.tie = train, replicas, tie
        self.peak = train.lr if train.lr is not None else default_lr(model.n)
        self.silent_N = torch.zeros(model.n, dtype=torch.int64, device=model.W_dec.device)
        self.first_MD = torch.zeros(0, model.d)  # raw; for figures where nothing is held out
        self.done = 0
        self.tokens = 0
        self.scale = 1.0
        self.last_loss = math.nan
        self.tie_loss: float | None = None

    def advance(self, tokens_MD: Tensor) -> StepReport:
        """One optimiser step on one batch of raw tokens."""
        tokens_MD = tokens_MD.to(self.model.W_dec.device) * self.scale
        dead_N = self.silent_N >= self.train.dead_tokens
        lr = self.peak * schedule(self.done, self.train)
        if self.tie is None and self.replicas.world == 1:
            report = self.step.advance(tokens_MD, dead_N, lr)
        else:
            report = self._advance_by_parts(tokens_MD, dead_N, lr)
        if not math.isfinite(report.loss):
            raise ConfigError(
                f"the loss is not finite after {self.done} steps: the tokens hold such values, or "
                "the learning rate is too high"
            )
        fired_N, seen, smallest = self.replicas.share(
            report.fired_N, len(tokens_MD), report.smallest
        )
        self.silent_N += seen
        self.silent_N[fired_N] = 0
        self._follow(smallest)
        self.done += 1
        self.tokens += seen
        self.last_loss = report.reconstruction
        return report

    def _advance_by_parts(self, tokens_MD: Tensor, dead_N: Tensor, lr: float) -> StepReport:
        """With the gradients of a tie added, and averaged over the processes."""
        gradients = self.step.gradients(tokens_MD, dead_N)
        if self.tie is not None:
            rows = self.tie.rows_of(self.train.seed, self.done, self.replicas.rank)
            self.tie_loss = self.tie.add_gradients(self.model, gradients.named, self.scale, rows)
        self.replicas.mean_(gradients.flat_P)
        self.step.apply(gradients, lr)
        return gradients

    def _follow(self, smallest: float | None) -> None:
        """Running mean of the smallest kept activation; a batch in which nothing fired is left
        out. In float32 and outside any autocast: it decides what fires at inference."""
        if smallest is None:
            return
        threshold = self.model.threshold
        momentum = self.model.config.threshold_momentum if float(threshold) > 0 else 0.0
        threshold.mul_(momentum).add_(smallest, alpha=1 - momentum)

    def figures(self) -> dict[str, Any]:
        """Numbers of the training itself, for the journal."""
        dead_N = self.silent_N >= self.train.dead_tokens
        out = {
            "step": self.done,
            "tokens": self.tokens,
            "lr": self.peak * schedule(self.done - 1, self.train),
            "dead_in_training": float(dead_N.float().mean()),
            "threshold": float(self.model.threshold) / self.scale,
            "scale": self.scale,
        }
        return out if self.tie_loss is None else {**out, "tie_loss": self.tie_loss}

    def finish(self, sample_MD: Tensor, held_out: bool) -> dict[str, Any]:
        """Freeze the model, in raw units and on the CPU, and give its figures."""
        self.model.cpu()
        _fold_scale(self.model, self.scale)
        self.model.eval().requires_grad_(False)
        extra = {"held_out": held_out, "train_loss": self.last_loss, "steps": self.train.steps}
        return {**evaluate_sae(self.model, sample_MD.cpu()), **extra}


def schedule(step: int, train: TrainConfig) -> float:
    """Factor on the learning rate, (0, 1]: linear warm-up, flat, linear fall towards 0."""
    rising = (step + 1) / max(1.0, train.warmup * train.steps)
    falling = (train.steps - step) / max(1.0, train.decay * train.steps)
    return min(1.0, rising, falling)


def _started(
    first_MD: Tensor, config: SAEConfig, train: TrainConfig, replicas: Replicas, tie: Tie | None,
    start: SparseAutoencoder | None,
) -> _Run:  # fmt: skip
    """A new run; scale and start come from the first process's first batch."""
    scale = _scale_of(first_MD)
    model = _initial(config, first_MD * scale, train.seed) if start is None else _copy(start, scale)
    model = model.to(_device(train))
    if tie is not None:
        tie.start(model, train.seed)
    run = _Run(model, train, replicas, tie)
    run.scale, run.first_MD = scale, first_MD
    return run


def _continued(
    saved: TrainState, config: SAEConfig, train: TrainConfig, replicas: Replicas, tie: Tie | None
) -> _Run:
    """A run as it was when it was saved."""
    model = SparseAutoencoder(config)
    model.load_state_dict(_named(saved.tensors, "model."))
    run = _Run(model.to(_device(train)), train, replicas, tie)
    run.step.load_state_dict(_named(saved.tensors, "step."))
    run.silent_N.copy_(saved.tensors["silent_N"])
    run.first_MD = saved.tensors.get("first_MD", run.first_MD)
    run.done, run.tokens, run.scale = saved.done, saved.tokens, saved.scale
    run.last_loss = float(saved.tensors["last_loss"])
    return run


def _save(
    where: Checkpoints, run: _Run, setup: Mapping[str, Any], place: Place, stream: TokenStream,
    with_first: bool,
) -> None:  # fmt: skip
    """Save a run; all processes give their place in the stream, the first one writes."""
    state = stream.state() if isinstance(stream, SeekableStream) else None
    places = run.replicas.gather_json([place.epoch, place.tensors, place.rows, state])
    if run.replicas.first:
        tensors = {
            **{f"model.{name}": value for name, value in run.model.state_dict().items()},
            **{f"step.{name}": value for name, value in run.step.state_dict().items()},
            "silent_N": run.silent_N,
            "last_loss": torch.tensor(run.last_loss, dtype=torch.float64),
            **({"first_MD": run.first_MD} if with_first else {}),
        }
        spots = tuple(StreamPlace(Place(*p[:3]), p[3]) for p in places)
        state_now = TrainState(run.done, run.tokens, run.scale, setup, tensors, spots)
        save_checkpoint(where, state_now)
    run.replicas.barrier()


def _restored(stream: TokenStream, saved: TrainState, rank: int) -> Place:
    """Where this process stood in its stream; the stream takes up its state."""
    spot = saved.places[rank]
    if isinstance(stream, SeekableStream) and spot.state is not None:
        stream.restore(spot.state)
    return spot.place


def _setup(
    config: SAEConfig, train: TrainConfig, tie: Tie | None, replicas: Replicas,
    held_out: Tensor | None,
) -> dict[str, Any]:  # fmt: skip
    """What a checkpoint must share with the run that goes on from it."""
    kind = replace(train, device=_device(train).type)  # "cuda:1" goes on from "cuda:0"
    return {
        "sae": config.to_json(),
        "train": kind.to_json(),
        "tie": None if tie is None else tie.describe(),
        "processes": replicas.world,
        "held_out": held_out is not None,
    }


def _is_due(where: Checkpoints, done: int, steps: int) -> bool:
    return done % where.every == 0 or done == steps


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _device(train: TrainConfig) -> torch.device:
    if train.device != "auto":
        return torch.device(train.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _scale_of(tokens_MD: Tensor) -> float:
    """Factor that brings the centred tokens to a mean square of 1 per dimension."""
    centred = tokens_MD - tokens_MD.mean(0)
    rms = float(centred.square().mean().sqrt())
    return 1.0 / rms if rms > 0 else 1.0


def _initial(config: SAEConfig, tokens_MD: Tensor, seed: int) -> SparseAutoencoder:
    """Random unit decoder rows, the encoder a copy of their transpose, b_dec the data's mean."""
    generator = torch.Generator().manual_seed(seed)
    model = SparseAutoencoder(config)
    with torch.no_grad():
        rows = torch.randn(config.n, config.d, generator=generator)
        model.W_dec.copy_(F.normalize(rows, dim=1))
        model.W_enc.copy_(model.W_dec.T)  # a copy: tied storage would tie the training as well
        model.b_dec.copy_(tokens_MD.mean(0))
    return model


def _copy(start: SparseAutoencoder, scale: float) -> SparseAutoencoder:
    """A trainable copy of a model of tokens, as one of tokens * scale."""
    model = SparseAutoencoder(start.config)
    model.load_state_dict(start.state_dict())
    _fold_scale(model, 1.0 / scale)
    return model


def _fold_scale(model: SparseAutoencoder, scale: float) -> None:
    """Turn a model of tokens * scale into one of tokens; decoder rows keep length 1."""
    with torch.no_grad():
        model.b_dec.div_(scale)
        model.b_enc.div_(scale)
        model.threshold.div_(scale)
