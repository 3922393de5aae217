"""Training of the sparse autoencoder on a stream of tokens.

Training runs on scaled tokens (centred root-mean-square 1 per dimension), so that one learning
rate fits every encoder; the scale is folded into the weights at the end, so the result works in
raw token units.

Legend: M tokens, D dimension, N latents.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ConfigError
from core.sae.config import SAEConfig, TrainConfig, default_lr
from core.sae.metrics import evaluate_sae
from core.sae.model import SparseAutoencoder
from core.sae.objective import Loss, objective

TokenStream = Callable[[int], Iterator[Tensor]]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class TrainedSAE:
    """A trained, frozen autoencoder and its figures."""

    model: SparseAutoencoder
    metrics: dict[str, Any]  # of evaluate_sae, plus "held_out", "train_fvu", "steps"


def train_sae(
    stream: TokenStream,
    config: SAEConfig,
    train: TrainConfig,
    progress: Progress | None = None,
    *,
    held_out: Tensor | None = None,
) -> TrainedSAE:
    """Train on a stream; bit-identical for the same arguments on one machine.

    Args:
        stream: gives the tokens of epoch 0, 1, ... as float tensors [M, D], shuffled; called
            again until `train.steps` is reached. Tensors longer than a batch are split.
        config: shape and objective.
        train: length, rates, seed.
        progress: called now and then with the share done in [0, 1] and a short text; an
            exception that it raises stops the training (so a run can be cancelled).
        held_out: tokens [M, D] for the figures. None: the first batch is used, and
            metrics["held_out"] is False.

    Raises:
        ConfigError: the stream is empty or its tokens are not [M, config.d].
    """
    batches = _batches(stream, config.d, train.batch)
    first_MD = next(batches)
    scale = _scale_of(first_MD)
    model = _initial(config, first_MD * scale, train.seed)
    trainer = _Trainer(model, train)
    batch_MD, loss = first_MD, None
    for step in range(train.steps):
        loss = trainer.step(batch_MD * scale, step)
        if progress is not None and (step % max(1, train.steps // 100) == 0):
            unexplained = float(loss.reconstruction)
            progress(step / train.steps, f"step {step} of {train.steps}, loss {unexplained:.3f}")
        if step + 1 < train.steps:
            batch_MD = next(batches)
    _fold_scale(model, scale)
    model.eval().requires_grad_(False)
    metrics = evaluate_sae(model, first_MD if held_out is None else held_out)
    if progress is not None:
        progress(1.0, f"trained, {metrics['fvu']:.3f} of the variance unexplained")
    train_loss = float(loss.reconstruction) if loss is not None else math.nan
    extra = {"held_out": held_out is not None, "train_loss": train_loss, "steps": train.steps}
    return TrainedSAE(model, {**metrics, **extra})


class _Trainer:
    """The optimiser and what is tracked between steps."""

    def __init__(self, model: SparseAutoencoder, train: TrainConfig) -> None:
        self.model = model
        self.train = train
        self.peak = train.lr if train.lr is not None else default_lr(model.n)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=self.peak, fused=True)
        self.silent_N = torch.zeros(model.n, dtype=torch.int64)  # tokens since it last fired

    def step(self, tokens_MD: Tensor, step: int) -> Loss:
        """One optimiser step on one batch of scaled tokens."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * schedule(step, self.train)
        loss = objective(self.model, tokens_MD, self.silent_N >= self.train.dead_tokens)
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            _remove_parallel_gradient(self.model.W_dec)
            self.optimiser.step()
            self.model.W_dec.copy_(F.normalize(self.model.W_dec, dim=1))
            self._track(loss, len(tokens_MD), step)
        return loss

    def _track(self, loss: Loss, tokens: int, step: int) -> None:
        self.silent_N += tokens
        self.silent_N[loss.columns_Z] = 0
        if loss.smallest is None:
            return
        threshold = self.model.threshold
        momentum = self.model.config.threshold_momentum if step else 0.0
        threshold.mul_(momentum).add_(loss.smallest.float(), alpha=1 - momentum)


def schedule(step: int, train: TrainConfig) -> float:
    """Factor on the learning rate, (0, 1]: linear warm-up, flat, linear fall towards 0."""
    rising = (step + 1) / max(1.0, train.warmup * train.steps)
    falling = (train.steps - step) / max(1.0, train.decay * train.steps)
    return min(1.0, rising, falling)


def _batches(stream: TokenStream, d: int, size: int) -> Iterator[Tensor]:
    """Batches of at most `size` tokens, epoch after epoch, without end."""
    epoch = 0
    while True:
        found = False
        for tokens_MD in stream(epoch):
            if tokens_MD.ndim != 2 or tokens_MD.shape[1] != d:
                raise ConfigError(f"expected tokens [M, {d}], got {list(tokens_MD.shape)}")
            for batch_MD in torch.split(tokens_MD.detach().float(), size):
                if len(batch_MD):
                    found = True
                    yield batch_MD
        if not found:
            raise ConfigError("there are no tokens to train on")
        epoch += 1


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


def _remove_parallel_gradient(weight_ND: torch.nn.Parameter) -> None:
    """Take from each row's gradient what only changes its length, which is fixed at 1."""
    grad = weight_ND.grad
    if grad is not None:
        grad.sub_((grad * weight_ND).sum(1, keepdim=True) * weight_ND)


def _fold_scale(model: SparseAutoencoder, scale: float) -> None:
    """Turn a model of tokens * scale into one of tokens; decoder rows keep length 1."""
    with torch.no_grad():
        model.b_dec.div_(scale)
        model.b_enc.div_(scale)
        model.threshold.div_(scale)
