"""All terms of the objective on a batch: originals, marked cases, filled and pasted copies.

Every draw is a function of seed and step alone, so that any step can be made again.

Legend: B cases of a batch; I cases; C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import ConfigError
from core.finetuning import losses as terms_of
from core.finetuning.augment import Statistics, drawing, fill, paste
from core.finetuning.config import Losses
from core.finetuning.examples import Batch, Source

OWN = 0.25  # share of marked cases from which those of the batch serve, and none are drawn besides
ORDER, STEP, LOOK = 1, 2, 3  # second words of the seeds: order of cases, a step, a validation


@dataclass(frozen=True, eq=False)
class Terms:
    """What one batch gives: the terms unweighted, the whole, and how many answers were right."""

    named: dict[str, Tensor]
    total: Tensor  # scalar, weighted sum
    answers: float  # weighted cross-entropy of the originals, nats; 0 where they are not looked at
    right: float  # share of the originals that were answered right; 0 likewise

    @property
    def reasons(self) -> float:
        """The weighted sum of all terms but the answers."""
        return float(self.total.detach()) - self.answers


@dataclass(eq=False)
class Objective:
    """The objective over one set of cases.

    Args:
        source: the cases; donors of fills and pastes are drawn from them.
        losses: weights of the terms.
        statistics: of the training cases; None where no term needs them.
        size: marked cases drawn per step where only some are marked.
        seed: of all draws.
        by_weight: whether the loss is weighed; False where cases are drawn by weight already.
    """

    source: Source
    losses: Losses
    statistics: Statistics | None
    size: int
    seed: int
    device: torch.device
    by_weight: bool = True
    half: bool = False  # forward passes in bfloat16
    _all_I: NDArray[np.int64] = field(init=False)
    _is_marked_I: NDArray[np.bool_] = field(init=False)
    _marked_M: NDArray[np.int64] = field(init=False)
    _scale: float = field(init=False)

    def __post_init__(self) -> None:
        marked_I = self.source.marked_I
        self._all_I = np.arange(len(marked_I), dtype=np.int64)
        self._is_marked_I = marked_I
        self._marked_M = np.flatnonzero(marked_I).astype(np.int64)
        weight_I = self.source.weight_I
        self._scale = 1.0 if weight_I is None else 1.0 / float(weight_I.double().mean())

    @property
    def marked(self) -> int:
        """How many cases are marked."""
        return len(self._marked_M)

    def terms(self, model: nn.Module, rows_B: NDArray[np.int64], salt: tuple[int, int]) -> Terms:
        """The objective on some rows; the draws are a function of the seed and the salt."""
        batch = self._take(rows_B)
        rng = np.random.default_rng([self.seed, *salt])
        named: dict[str, Tensor] = {}
        found, right = None, 0.0
        if self.losses.answers > 0 or self.losses.anchor > 0:
            found = self._original(model, batch)
            right = float((found.logits_BC.argmax(1) == batch.labels_B).float().mean())
            if self.losses.answers > 0:
                named["answers"] = terms_of.answers(found.logits_BC, batch)
            if self.losses.anchor > 0:
                named["anchor"] = terms_of.anchor(found, batch)
        if self.losses.reasons and self.marked > 0:
            named |= self._of_marks(model, *self._marked(batch, found, rows_B, rng), rng)
            if self.losses.paste > 0:
                named["paste"] = self._pasted(model, batch, rng)
        return self._summed(named, right, batch)

    def _summed(self, named: dict[str, Tensor], right: float, batch: Batch) -> Terms:
        if not named and not self.marked:
            raise ConfigError("no case is marked, and nothing else was to be learnt")
        parts = [getattr(self.losses, name) * value for name, value in named.items()]
        total = torch.stack(parts).sum() if parts else batch.weight_B.sum() * 0.0
        answers = float(named["answers"].detach()) if "answers" in named else 0.0
        return Terms(named, total, self.losses.answers * answers, right)

    def _marked(
        self, batch: Batch, found: terms_of.Read | None, rows_B: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> tuple[Batch, terms_of.Read | None]:  # fmt: skip
        """Marked cases for this step: those of the batch where marks are common, else drawn."""
        if self.marked < OWN * len(self._all_I):
            drawn = rng.choice(self._marked_M, min(self.size, self.marked), replace=False)
            return self._take(drawn), None
        inside_B = self._is_marked_I[rows_B]
        if inside_B.all():
            return batch, found
        rows_M = torch.from_numpy(np.flatnonzero(inside_B)).to(self.device)
        return batch.select(rows_M), None if found is None else found.select(rows_M)

    def _of_marks(
        self, model: nn.Module, batch: Batch, found: terms_of.Read | None,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:  # fmt: skip
        """The terms on marked cases but for the pasted copies; none for an empty batch."""
        losses, named = self.losses, dict[str, Tensor]()
        if not len(batch.labels_B):
            return named
        slopes = max(losses.input_gradient, losses.concept_gradient, losses.contribution) > 0
        if found is None and (slopes or losses.agreement > 0):
            found = self._original(model, batch)
        if slopes and found is not None:
            named |= terms_of.reasons(found, batch, losses)
        if losses.fills:
            copies = self._read(model, self._filled(batch, rng))
            if losses.counterfactual > 0:
                named["counterfactual"] = terms_of.answers(copies.logits_BC, batch)
            if losses.agreement > 0 and found is not None:
                named["agreement"] = terms_of.agreement(found.logits_BC, copies.logits_BC)
        return named

    def _original(self, model: nn.Module, batch: Batch) -> terms_of.Read:
        """The cases as they are; with a slope where one is asked for."""
        if not self.losses.input_gradient > 0:
            return self._read(model, batch.inputs)
        return self._read(model, batch.inputs.detach().clone().requires_grad_(True))

    def _filled(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        size = len(batch.labels_B)
        return fill(
            batch, self.losses.fill,
            others=drawing(self.source, self._all_I, size, rng, self.device),
            marked=drawing(self.source, self._marked_M, size, rng, self.device),
            statistics=self.statistics, rng=rng,
        )  # fmt: skip

    def _pasted(self, model: nn.Module, batch: Batch, rng: np.random.Generator) -> Tensor:
        size = len(batch.labels_B)
        donors = drawing(self.source, self._marked_M, size, rng, self.device)()
        return terms_of.answers(self._read(model, paste(batch, donors)).logits_BC, batch)

    def _read(self, model: nn.Module, inputs: Tensor) -> terms_of.Read:
        if not self.half:
            return terms_of.read(model, inputs)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return terms_of.read(model, inputs)

    def _take(self, rows_B: NDArray[np.int64]) -> Batch:
        batch = self.source.take(rows_B).to(self.device)
        if not self.by_weight:
            return replace(batch, weight_B=torch.ones_like(batch.weight_B))
        return (
            batch if self._scale == 1.0 else replace(batch, weight_B=batch.weight_B * self._scale)
        )
