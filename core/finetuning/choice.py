"""Which way of tuning fits a model and its marks? Tried on marked cases that were held back.

    score(way) = min over fills f of accuracy on { f(x) : x held back, rejected part filled }

A held-back case whose rejected part is changed must keep its label, whatever it is changed to:
what other cases have there, their mean, noise, or nothing. So the scores come from the feedback
alone; no group label, no test case and no case without a mark is looked at. The worst fill counts,
as a model may have learnt to ignore one kind of fill only.

Right for the right reasons (Ross et al. 2017), counterexamples (Teso and Kersting 2019) and both at
once are the ways tried (`ways`); see core.finetuning.losses.

Legend: I cases; H held-back cases; B cases of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import ConfigError, FeedbackError, TooFewVerdicts
from core.finetuning.augment import Statistics, rejected_content
from core.finetuning.config import Losses, TuneConfig
from core.finetuning.examples import Examples
from core.finetuning.loop import Trained, train
from core.pacing import Progress, paced, part

BLANKS = ("others", "mean", "noise", "nothing")
"""What the rejected part of a held-back case is changed to; "nothing" is 0."""
DRAWS = 4
"""Copies of each held-back case per fill that is drawn."""
MOST = 300
"""Held-back cases at most."""
ENOUGH = 20
"""Held-back cases from which it can be said that nothing is left to decide by."""


@dataclass(frozen=True)
class WayScore:
    """One way of tuning on the held-back cases.

    worst   accuracy under the fill that does most harm, [0, 1]
    loss    cross-entropy under that fill, nats
    by_fill accuracy by fill
    plain   accuracy on the same cases as they are
    turned  share of all copies that are answered otherwise than the case itself
    """

    name: str
    worst: float
    loss: float
    by_fill: Mapping[str, float]
    plain: float
    turned: float


@dataclass(frozen=True, eq=False)
class Choice:
    """The way chosen, the model tuned in it on all cases, and how all ways did."""

    name: str
    trained: Trained
    scores: tuple[WayScore, ...]  # in the order of the candidates
    untouched: WayScore  # the model given, on the same cases
    why: str

    @property
    def better(self) -> bool:
        """Whether the way chosen did better on held-back cases than the model given."""
        chosen = next(s for s in self.scores if s.name == self.name)
        return chosen.worst > self.untouched.worst


def ways(base: TuneConfig, strength: float = 10.0) -> dict[str, TuneConfig]:
    """The ways tried by default; all but the losses is taken from `base`.

    Args:
        strength: of the penalty on input gradients, per squared unit of the inputs.
    """
    asked = {
        "reasons": Losses(input_gradient=strength),
        "filled": Losses(counterfactual=1.0, fill="others"),
        "filled_only": Losses(answers=0.0, counterfactual=1.0, fill="marked"),
        "both": Losses(input_gradient=strength, counterfactual=1.0, agreement=1.0, fill="others"),
    }
    return {name: replace(base, losses=losses) for name, losses in asked.items()}


def choose(
    model: nn.Module,
    examples: Examples,
    candidates: Mapping[str, TuneConfig],
    *,
    held: float = 0.25,
    trial: float = 0.5,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Choice:
    """Try every way without some marked cases, score it on them, tune with the best on all.

    Args:
        model: to start from; not changed.
        examples: cases with marks (perhaps spread to all: core.finetuning.spread).
        candidates: settings by name; of those within one standard error of the best, the one that
            the filling turns least, then the better, then the one of lower loss.
        held: share of the marked cases held back, (0, 1).
        trial: share of the passes that a trial makes, (0, 1].

    Raises:
        TooFewVerdicts: fewer than 2 marked cases.
        FeedbackError: without what was rejected no way does better than always saying the
            commonest class (looked at from `ENOUGH` held-back cases on).
        ConfigError: no candidates, or shares out of range.
        TrainingStopped: as `should_stop` asked.
    """
    if not candidates or not 0 < held < 1 or not 0 < trial <= 1:
        raise ConfigError("there must be candidates; held lies in (0, 1) and trial in (0, 1]")
    held_H, rest = _parted(examples, held, seed)
    judge = Judge.of(examples, held_H, seed)
    tell = paced(progress)
    step = 1.0 / (len(candidates) + 1)
    scores = []
    for k, (name, config) in enumerate(candidates.items()):
        short = replace(config, epochs=max(1, round(trial * config.epochs)))
        tried = train(
            model, examples.subset(rest), short, should_stop=should_stop,
            progress=part(tell, k * step, (k + 1) * step, f"trying {name}"),
        )  # fmt: skip
        scores.append(judge.score(name, tried.model))
    best = _best(scores, len(held_H))
    if trial < 1 and _nothing_left(best, judge.labels_H) is not None:
        longer = train(model, examples.subset(rest), candidates[best.name], should_stop=should_stop)
        best = judge.score(best.name, longer.model)  # a trial may end before it has learnt
    said = _nothing_left(best, judge.labels_H)
    if said is not None:
        raise FeedbackError(said)
    trained = train(
        model, examples, candidates[best.name], should_stop=should_stop,
        progress=part(tell, 1 - step, 1.0, f"tuning with {best.name}"),
    )  # fmt: skip
    why = (
        f"{best.name} answered {100 * best.worst:.1f} % of {len(held_H)} held-back marked cases "
        "rightly under the fill of the rejected part that does most harm"
    )
    return Choice(best.name, trained, tuple(scores), judge.score("untouched", model), why)


def _best(scores: Sequence[WayScore], held: int) -> WayScore:
    """Of the ways within one standard error of the best worst fill, the one that turns least.

    A few held-back cases cannot tell ways apart by accuracy; what was rejected must not turn any.
    """
    top = max(score.worst for score in scores)
    error = (top * (1 - top) / held) ** 0.5
    near = [score for score in scores if score.worst >= top - error]
    return min(near, key=lambda s: (s.turned, -s.worst, s.loss))


def _nothing_left(best: WayScore, labels_H: Tensor) -> str | None:
    """What to say where what is left of the held-back cases tells nothing of their labels."""
    count = len(labels_H)
    chance = float(labels_H.bincount().max()) / count
    margin = 2 * (chance * (1 - chance) / count) ** 0.5
    if count < ENOUGH or best.worst > chance + margin:
        return None
    return (
        "without what was rejected nothing is left to decide by: "
        f"{100 * best.worst:.1f} % of held-back cases were answered rightly, always saying one "
        f"class gives {100 * chance:.1f} %. Check whether too much was rejected"
    )


def _parted(
    examples: Examples, held: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows held back and the others; at least one marked case on both sides."""
    marked_M = np.flatnonzero(examples.marked_I)
    if len(marked_M) < 2:
        raise TooFewVerdicts("mark at least 2 cases: one to learn from and one to check with")
    rng = np.random.default_rng([seed, 5])
    count = min(MOST, max(1, round(held * len(marked_M))), len(marked_M) - 1)
    held_H = np.sort(rng.choice(marked_M, count, replace=False))
    return held_H, np.setdiff1d(np.arange(len(examples)), held_H)


@dataclass(frozen=True, eq=False)
class Judge:
    """Copies of held-back cases, the same for every model that is scored."""

    inputs: Tensor  # float32 [H, ...]
    labels_H: Tensor
    copies: Mapping[str, Tensor]  # by fill, float32 [D * H, ...]; D 1 or DRAWS

    @classmethod
    def of(cls, examples: Examples, held_H: NDArray[np.int64], seed: int) -> Judge:
        """Fill the rejected parts of the held-back cases; donors come from all classes alike."""
        rng = np.random.default_rng([seed, 6])
        batch = examples.take(held_H)
        if batch.rejected is None:
            raise ConfigError("no case is marked")
        usual = Statistics.of(examples)
        copies: dict[str, list[Tensor]] = {name: [] for name in BLANKS}

        def add(name: str, content: Tensor) -> None:
            copies[name].append(torch.where(_mask(batch.rejected), content, batch.inputs))

        for _ in range(DRAWS):
            add("others", _donated(examples, len(held_H), rng))
            drawn = rng.standard_normal(tuple(batch.inputs.shape), dtype=np.float32)
            add("noise", usual.mean + usual.spread * torch.from_numpy(drawn))
        add("mean", usual.mean.expand_as(batch.inputs))
        add("nothing", torch.zeros_like(batch.inputs))
        filled = {name: torch.cat(parts) for name, parts in copies.items()}
        return cls(batch.inputs, batch.labels_B, filled)

    def score(self, name: str, model: nn.Module) -> WayScore:
        """Accuracy and loss of a model on all copies."""
        model.eval()
        found: dict[str, tuple[float, float]] = {}
        for fill, copies in self.copies.items():
            found[fill] = _right(model, copies, self.labels_H)
        worst = min(found, key=lambda fill: (found[fill][0], -found[fill][1]))
        plain, _ = _right(model, self.inputs, self.labels_H)
        said_H = _said(model, self.inputs)
        turned = [
            _said(model, copies) != said_H.repeat(len(copies) // len(said_H))
            for copies in self.copies.values()
        ]
        by_fill = {fill: accuracy for fill, (accuracy, _) in found.items()}
        return WayScore(
            name,
            found[worst][0],
            found[worst][1],
            by_fill,
            plain,
            float(torch.cat(turned).float().mean()),
        )


def _mask(rejected: Tensor | None) -> Tensor:
    if rejected is None:
        raise ConfigError("no case is marked")
    return rejected


def _donated(examples: Examples, count: int, rng: np.random.Generator) -> Tensor:
    """What was rejected in random other marked cases, float32 [H, ...]."""
    marked_M = np.flatnonzero(examples.marked_I)
    return rejected_content(examples.take(rng.choice(marked_M, count)))


def _said(model: nn.Module, inputs: Tensor) -> Tensor:
    """The answers of a model, int64 [B]."""
    with torch.no_grad():
        return torch.cat([model(block).argmax(1) for block in torch.split(inputs, 256)])


def _right(model: nn.Module, inputs: Tensor, labels_H: Tensor) -> tuple[float, float]:
    """Accuracy and cross-entropy in nats; the labels repeat for every copy."""
    labels = labels_H.repeat(len(inputs) // len(labels_H))
    with torch.no_grad():
        logits = torch.cat([model(block).float() for block in torch.split(inputs, 256)])
    loss = nn.functional.cross_entropy(logits, labels)
    return float((logits.argmax(1) == labels).float().mean()), float(loss)
