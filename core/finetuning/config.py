"""Settings of a fine-tuning: what is asked of the model, and how it is trained.

Legend: none; every field says its unit.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

from core.errors import ConfigError

Fill = Literal["others", "marked", "mean", "noise", "given"]
"""What takes the place of a rejected part.

others  what another training case, drawn anew every time from all classes, has in the same place
marked  what was rejected in another marked case, of any class; where that case has nothing rejected
        in the same place, the mean of what it has rejected
mean    the mean of all training cases in the same place
noise   normal draws with the mean and the spread of all training cases in the same place
given   `Examples.filled`, such as a picture filled in from its surroundings (core.filling)
"""
Precision = Literal["fp32", "bf16"]
Schedule = Literal["constant", "cosine"]
Draw = Literal["shuffle", "weighted"]
_WEIGHTS: Final = (
    "answers",
    "input_gradient",
    "concept_gradient",
    "contribution",
    "counterfactual",
    "agreement",
    "paste",
    "anchor",
)


@dataclass(frozen=True)
class Losses:
    """Weight of each term of the objective, >= 0; 0 leaves it out. See core.finetuning.losses."""

    answers: float = 1.0  # cross-entropy on the cases as they are
    input_gradient: float = 0.0  # right for the right reasons, on the rejected part of the input
    concept_gradient: float = 0.0  # the same on rejected concepts in rejected regions
    contribution: float = 0.0  # logit units that rejected concepts in rejected regions can move
    counterfactual: float = 0.0  # cross-entropy on copies whose rejected part is filled
    agreement: float = 0.0  # how far the answer to such a copy differs from that to the original
    paste: float = 0.0  # cross-entropy on copies with a part that was rejected elsewhere
    anchor: float = 0.0  # how far tokens outside rejected regions moved from where they were
    fill: Fill = "others"

    def __post_init__(self) -> None:
        for name in _WEIGHTS:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"the weight of {name} must be a finite number >= 0: {value}")
        if not any(getattr(self, name) > 0 for name in ("answers", "counterfactual", "paste")):
            raise ConfigError("nothing teaches the answers: raise answers, counterfactual or paste")
        if self.fill not in get_args(Fill):
            raise ConfigError(f"the fill {self.fill!r} is unknown: {', '.join(get_args(Fill))}")

    @property
    def reasons(self) -> bool:
        """Whether any term looks at marked cases."""
        of_marks = ("input_gradient", "concept_gradient", "contribution", "counterfactual")
        return any(getattr(self, name) > 0 for name in (*of_marks, "agreement", "paste"))

    @property
    def concepts(self) -> bool:
        """Whether any term needs a model that reads concepts (core.finetuning.losses.Reads)."""
        return max(self.concept_gradient, self.contribution, self.anchor) > 0

    @property
    def fills(self) -> bool:
        """Whether any term needs copies whose rejected part is filled."""
        return max(self.counterfactual, self.agreement) > 0


@dataclass(frozen=True)
class TuneConfig:
    """How a model is trained.

    Steps are Adam updates. With the same seed, cases and settings the result has the same bits on
    one CPU, whether it was interrupted or not.
    """

    losses: Losses = field(default_factory=Losses)
    epochs: int = 10  # passes over the cases, at most
    batch: int = 64  # cases per step
    marks: int | None = None  # marked cases drawn besides, where few are marked; None: a batch more
    lr: float = 1e-3  # peak learning rate
    lr_of: tuple[tuple[str, float], ...] = ()  # (start of a parameter's name, factor on lr)
    weight_decay: float = 0.0  # decoupled (AdamW), of weights with two or more axes
    schedule: Schedule = "constant"
    warmup: float = 0.0  # share of the steps with a rising rate, [0, 1)
    clip: float | None = None  # largest norm of the gradient; None: any
    draw: Draw = "shuffle"  # "weighted": draw cases by weight instead of weighing their loss
    patience: int | None = None  # looks at the validation cases without progress before it ends
    look_every: int | None = None  # steps between two such looks; None: once an epoch
    save_every: int = 200  # steps between two checkpoints
    report_every: int | None = None  # steps between two points of a curve; None: about 100 in all
    seed: int = 0
    device: str = "cpu"  # a torch device, or "auto": a GPU where there is one
    precision: Precision = "fp32"  # bf16: forward passes in bfloat16, weights stay float32

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "save_every"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("marks", "patience", "look_every", "report_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be at least 1, or left out")
        _require(math.isfinite(self.lr) and self.lr > 0, "lr must be above 0")
        _require(self.weight_decay >= 0, "weight_decay must not be negative")
        _require(0 <= self.warmup < 1, "warmup lies in [0, 1)")
        _require(self.clip is None or self.clip > 0, "clip must be above 0, or left out")
        _require(self.schedule in get_args(Schedule), f"the schedule {self.schedule!r} is unknown")
        _require(self.draw in get_args(Draw), f"the draw {self.draw!r} is unknown")
        _require(self.precision in get_args(Precision), "the precision is fp32 or bf16")
        _require(all(f >= 0 for _, f in self.lr_of), "factors in lr_of must not be negative")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back."""
        return {**asdict(self), "lr_of": [list(pair) for pair in self.lr_of]}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> TuneConfig:
        """Read what `to_json` wrote, or a part of it. Raises ConfigError."""
        try:
            pairs = tuple((str(name), float(factor)) for name, factor in raw.get("lr_of", ()))
            losses = Losses(**raw.get("losses", {}))
            return cls(**{**raw, "lr_of": pairs, "losses": losses})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"not the settings of a fine-tuning: {error}") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)
