"""Train any torch module on cases and on what people rejected in them.

    order of epoch e = permutation(seed, e); step s draws from generator(seed, s)
    w <- AdamW(w, gradient of the weighted sum of core.finetuning.losses)

A training that was killed goes on from its last checkpoint to the same bits: weights, moments,
best weights, figures and the state of torch's generators are saved, every other draw is a
function of seed and step.

Legend: I cases; B cases of a batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from core.errors import ConfigError, TrainingStopped
from core.finetuning import state
from core.finetuning.augment import Statistics
from core.finetuning.config import TuneConfig
from core.finetuning.examples import Source
from core.finetuning.objective import LOOK, ORDER, STEP, Objective, Terms
from core.finetuning.state import Running
from core.pacing import Progress, paced

OnPoint = Callable[[str, int, float], None]
"""Told series, step and value of each point of a curve."""
SERIES: Final[Mapping[str, str]] = {
    "train.loss": "whole objective on the training cases, nats",
    "train.answers": "cross-entropy of the answers on the training cases, nats",
    "train.reasons": "weighted penalties and copies on the training cases, nats",
    "train.accuracy": "share of training cases answered right, as they were drawn",
    "validation.loss": "whole objective on the validation cases, nats",
    "validation.accuracy": "share of validation cases answered right",
}
"""What each curve shows."""
_POINTS = 100
_CURVES = ("loss", "answers", "reasons", "accuracy")


@dataclass(frozen=True, eq=False)
class Trained:
    """A tuned model, in eval mode and on the CPU, and how it came about."""

    model: nn.Module
    curves: Mapping[str, tuple[tuple[int, float], ...]]  # by name of SERIES
    steps: int  # that were made
    best_step: int | None  # of the weights kept; None without validation cases: the last
    stopped_early: bool  # by patience
    metrics: Mapping[str, float]  # last value of each curve, and the best "validation.best"


def train(
    model: nn.Module,
    examples: Source,
    config: TuneConfig | None = None,
    *,
    validation: Source | None = None,
    checkpoint_folder: Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_point: OnPoint | None = None,
) -> Trained:
    """Tune a copy of a model; bit-identical for the same arguments on one CPU.

    Args:
        model: gives logits [B, C] of inputs [B, ...], or reads concepts (losses.Reads). Parameters
            that require no gradient stay as they are. The model given is not changed.
        examples: cases to learn from.
        config: what is asked and how it is trained.
        validation: cases for early stopping, judged by the same objective; the weights that did
            best on them are kept. None: the last weights are kept.
        checkpoint_folder: where to save the training; None: nowhere.
        resume: go on from what is in that folder; False: remove it and start anew.
        progress: told the share done and a short text; an exception that it raises ends the
            training, which then goes on from the last checkpoint.
        should_stop: asked before every step; once it says True a checkpoint is saved and
            TrainingStopped raised.
        on_point: told every point of the curves; after a resume the earlier ones again.

    Raises:
        ConfigError: settings, cases and model do not fit, the checkpoint is of another training,
            or the loss is not finite.
        TrainingStopped: as asked; the same call goes on.
    """
    config = config or TuneConfig()
    tuned = copy.deepcopy(model).to(_device(config))
    run = _Training(tuned, examples, validation, config, on_point)
    tell = paced(progress)
    with _own_generators(config, run.device):
        run.begin(checkpoint_folder, resume)
        while not run.running.journal.over:
            if should_stop is not None and should_stop():
                run.save()
                raise TrainingStopped(
                    f"stopped after step {run.running.journal.done} of {run.steps}; start it "
                    "again to go on from there"
                )
            run.step()
            tell(run.running.journal.done / run.steps, run.words())
    tell(1.0, run.words())
    return run.finish()


class _Training:
    """One training: model, optimiser, objectives and where it stands."""

    def __init__(
        self, model: nn.Module, examples: Source, validation: Source | None, config: TuneConfig,
        on_point: OnPoint | None,
    ) -> None:  # fmt: skip
        self.config, self.source, self.validation = config, examples, validation
        self.device = _device(config)
        self.count = len(examples.labels_I)
        self.per_epoch = math.ceil(self.count / config.batch)
        self.steps = self.per_epoch * config.epochs
        self.running = Running(model, _optimiser(model, config))
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.rates = [group["lr"] for group in self.running.optimiser.param_groups]
        self.objective = self._objective(examples)
        self.held = None if validation is None else self._objective(validation)
        if config.losses.reasons and not self.objective.marked:
            raise ConfigError("no case is marked: mark some, or leave the losses on marks out")
        self.tell = on_point
        model.train()
        self.initial = ""
        self.folder: Path | None = None
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def begin(self, folder: Path | None, resume: bool) -> None:
        """Start, or go on from a folder's checkpoint."""
        self.folder = folder
        if folder is None:
            return
        self.initial = state.weights_hash(self.running.model)
        if not resume:
            state.forget(folder)
        elif state.resume(folder, self.running, self.setup()) and self.tell is not None:
            for series, step, value in self.running.journal.points:
                self.tell(series, step, value)

    def step(self) -> None:
        """One update, and what is due after it."""
        journal, config = self.running.journal, self.config
        self._set_rate(journal.done)
        if not self.running.model.training:  # walking over all modules costs a small one dearly
            self.running.model.train()
        for parameter in self.parameters:
            parameter.grad = None
        terms = self.objective.terms(
            self.running.model, self._rows(journal.done), (STEP, journal.done)
        )
        loss = float(terms.total.detach())
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss is not finite after {journal.done} steps: lower lr, or the weight of "
                "the losses on marks"
            )
        if terms.total.requires_grad:  # a batch without marks teaches nothing without answers
            terms.total.backward()  # type: ignore[no-untyped-call]
            if config.clip is not None:
                nn.utils.clip_grad_norm_(self.parameters, config.clip)
            self.running.optimiser.step()
        journal.done += 1
        self._note(terms, loss)
        self._look()
        journal.over = journal.over or journal.done >= self.steps
        if self.folder is not None and (journal.over or journal.done % config.save_every == 0):
            self.save()

    def save(self) -> None:
        """Write a checkpoint, where there is a folder for it."""
        if self.folder is not None:
            state.save(self.folder, self.running, self.setup())

    def setup(self) -> dict[str, Any]:
        """What a checkpoint must share with the training that goes on from it."""
        held = None if self.validation is None else self.validation.identity
        config = {**self.config.to_json(), "device": self.device.type}
        return {"tune": config, "cases": self.source.identity, "validation": held,
                "model": self.initial}  # fmt: skip

    def words(self) -> str:
        """Where the training stands."""
        journal = self.running.journal
        epoch = min(journal.done // self.per_epoch + 1, self.config.epochs)
        return f"step {journal.done} of {self.steps}, pass {epoch} of {self.config.epochs}"

    def finish(self) -> Trained:
        """The best weights, frozen in eval mode."""
        journal, model = self.running.journal, self.running.model
        if self.running.best:
            model.load_state_dict(self.running.best)
        curves = journal.curves()
        metrics = {series: points[-1][1] for series, points in curves.items()}
        if journal.best is not None:
            metrics["validation.best"] = journal.best
        early = journal.done < self.steps
        return Trained(model.cpu().eval(), curves, journal.done, journal.best_step, early, metrics)

    def _objective(self, source: Source) -> Objective:
        losses, config = self.config.losses, self.config
        statistics = None
        if losses.fills and losses.fill in ("mean", "noise"):
            statistics = Statistics.of(self.source).to(self.device)
        return Objective(
            source, losses, statistics, config.marks or config.batch, config.seed, self.device,
            by_weight=config.draw == "shuffle", half=config.precision == "bf16",
        )  # fmt: skip

    def _rows(self, step: int) -> NDArray[np.int64]:
        """The cases of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._shuffled(epoch))
        return self._order[1][place * self.config.batch : (place + 1) * self.config.batch]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.config.seed, ORDER, epoch])
        weight_I = self.source.weight_I
        if self.config.draw == "shuffle" or weight_I is None:
            return rng.permutation(self.count)
        share_I = weight_I.double().numpy()
        return rng.choice(self.count, self.count, p=share_I / share_I.sum())

    def _set_rate(self, step: int) -> None:
        factor = rate(step, self.steps, self.config)
        for group, peak in zip(self.running.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = peak * factor

    def _note(self, terms: Terms, loss: float) -> None:
        """Add a step to the running means; tell them where a point is due."""
        journal = self.running.journal
        values = (loss, terms.answers, terms.reasons, terms.right)
        for name, value in zip(_CURVES, values, strict=True):
            journal.sums[name] = journal.sums.get(name, 0.0) + value
        journal.summed += 1
        every = self.config.report_every or max(1, self.steps // _POINTS)
        if journal.done % every == 0 or journal.done == self.steps:
            for name, total in journal.sums.items():
                self._point(f"train.{name}", total / journal.summed)
            journal.sums, journal.summed = {}, 0

    def _point(self, series: str, value: float) -> None:
        point = (series, self.running.journal.done, value)
        self.running.journal.points.append(point)
        if self.tell is not None:
            self.tell(*point)

    def _look(self) -> None:
        """Judge the model on the validation cases where that is due, and keep the best."""
        journal = self.running.journal
        every = self.config.look_every or self.per_epoch
        if self.held is None or (journal.done % every and journal.done != self.steps):
            return
        loss, right = judged(self.held, self.running.model, self.config.batch)
        self._point("validation.loss", loss)
        self._point("validation.accuracy", right)
        journal.since_best += 1
        if journal.best is None or loss < journal.best:
            journal.best, journal.best_step, journal.since_best = loss, journal.done, 0
            self.running.best = _copied(self.running.model)
        patience = self.config.patience
        journal.over = patience is not None and journal.since_best >= patience


def judged(objective: Objective, model: nn.Module, size: int) -> tuple[float, float]:
    """Objective and accuracy over all cases of an objective, in blocks of `size`.

    The model is in eval mode meanwhile; fills and pastes are the same every time.
    """
    model.eval()
    count, loss, right = len(objective.source.labels_I), 0.0, 0.0
    losses = objective.losses
    slopes = max(losses.input_gradient, losses.concept_gradient) > 0
    for block, start in enumerate(range(0, count, size)):
        rows_B = np.arange(start, min(start + size, count), dtype=np.int64)
        # no_grad, not inference_mode: bf16 was measured several times slower in the latter.
        with torch.set_grad_enabled(slopes):
            terms = objective.terms(model, rows_B, (LOOK, block))
        loss += float(terms.total.detach()) * len(rows_B)
        right += terms.right * len(rows_B)
    return loss / count, right / count


def rate(step: int, steps: int, config: TuneConfig) -> float:
    """Factor on the learning rate, [0, 1]: linear warm-up, then constant or half a cosine to 0."""
    warm = config.warmup * steps
    rising = min(1.0, (step + 1) / warm) if warm >= 1 else 1.0
    match config.schedule:
        case "constant":
            return rising
        case "cosine":
            share = max(0.0, step - warm) / max(1.0, steps - warm)
            return rising * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))


def _optimiser(model: nn.Module, config: TuneConfig) -> torch.optim.Optimizer:
    """AdamW over what requires a gradient; one group for each rate and decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((f for start, f in config.lr_of if name.startswith(start)), 1.0)
            decay = config.weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((config.lr * factor, decay), []).append(parameter)
    if not groups:
        raise ConfigError("the model has no parameter that may change")
    return torch.optim.AdamW(
        [{"params": p, "lr": lr, "weight_decay": wd} for (lr, wd), p in groups.items()], fused=True
    )


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@contextmanager
def _own_generators(config: TuneConfig, device: torch.device) -> Iterator[None]:
    """torch's generators start from the seed here and are given back as they were after.

    The plain product of attention is taken where slopes are differentiated again, which the fused
    kernels cannot, and on the CPU, where their backward pass is slow.
    """
    losses = config.losses
    plain = device.type == "cpu" or max(losses.input_gradient, losses.concept_gradient) > 0
    kernels = [SDPBackend.MATH] if plain else list(_FUSED)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), sdpa_kernel(kernels):
        torch.manual_seed(config.seed)
        yield


_FUSED: Final = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)


def _device(config: TuneConfig) -> torch.device:
    if config.device != "auto":
        return torch.device(config.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
