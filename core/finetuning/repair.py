"""From a few marks on the input to a model that no longer leans on what they lie on.

1. spread the marks to all cases, if they have something in common (core.finetuning.spread),
2. ask whether the model leans on what was marked, and whether marks on control cases agree with the
   agreed ones (core.finetuning.marks),
3. try the ways of tuning on marked cases that are held back, take the best
   (core.finetuning.choice), unless nothing is left to decide by.

Bad marks end the work: the model stays as it is, and the notices say why.

Legend: I cases; K control cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from core.errors import FeedbackError
from core.finetuning.choice import Choice, choose, ways
from core.finetuning.config import TuneConfig
from core.finetuning.examples import Examples
from core.finetuning.marks import MarksCheck, check_marks
from core.finetuning.spread import Spread, SpreadConfig, spread_marks
from core.pacing import Progress


@dataclass(frozen=True, eq=False)
class Repair:
    """What became of a model and its marks.

    model     the tuned one, or the one given where `changed` is False
    changed   whether it was tuned
    notices   what a person should know, in plain words; never empty where nothing was changed
    """

    model: nn.Module
    changed: bool
    notices: tuple[str, ...]
    spread: Spread | None = None
    check: MarksCheck | None = None
    choice: Choice | None = None


def repair(
    model: nn.Module,
    examples: Examples,
    base: TuneConfig,
    *,
    start: nn.Module | None = None,
    candidates: Mapping[str, TuneConfig] | None = None,
    agreed: Tensor | None = None,
    given: Tensor | None = None,
    config: SpreadConfig | None = None,
    trial: float = 0.5,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Repair:
    """Tune a model by marks, unless something speaks against them.

    Args:
        model: the one that people looked at; gives logits [B, C].
        examples: training cases with `rejected` of the marked ones.
        base: how it is trained; the losses are those of the ways tried.
        start: weights to tune from; None: those of `model`.
        candidates: ways to try; None: core.finetuning.choice.ways(base).
        agreed, given: rejected parts of control cases, bool [K, ...], see check_marks.
        trial: share of the passes that a trial makes, (0, 1].

    Raises:
        TrainingStopped: as `should_stop` asked.
        ConfigError: settings, cases and model do not fit.
    """
    spread: Spread | None = None
    check: MarksCheck | None = None
    try:
        spread = spread_marks(examples, config)
        check = check_marks(model, spread.examples, agreed=agreed, given=given, seed=base.seed)
        check.require()
        choice = choose(
            start or model, spread.examples, candidates or ways(base), trial=trial, seed=base.seed,
            progress=progress, should_stop=should_stop,
        )  # fmt: skip
    except FeedbackError as error:
        return Repair(model, False, (str(error),), spread, check)
    notices = (*spread.notices, *check.notices)
    return Repair(choice.trained.model, True, notices, spread, check, choice)
