"""DecoyDigits: a swatch in a corner gives the label away (after Ross et al. 2017's DecoyMNIST).

scikit-learn's digits, 8x8, scaled to 20x20 in a frame of 28x28. In training a swatch of 4x4 in a
random corner has the grey 255 - 25 * label. Tests: `correlated` as in training, `random` with the
swatch of a random label, `reversed` with that of 9 - label. Perceptron 784-50-30-10, 60 passes.

Legend: I cases; H = W = 28 places; 1 channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

from benchmarks.feedback_models import (
    Perceptron,
    Task,
    accuracy,
    bad_marks,
    dfr,
    drawn,
    ours,
    tuned,
)  # fmt: skip
from benchmarks.feedback_protocol import (
    BUDGETS,
    QUALITIES,
    Figures,
    Gate,
    gap_gate,
    over_seeds,
)  # fmt: skip
from benchmarks.harness import Target
from core.finetuning import Examples, Losses, TuneConfig
from core.finetuning.choice import ways
from core.finetuning.spread import unmarked

NAME = "decoy_digits"
UNITS = {
    "correlated": "accuracy", "random": "accuracy", "reversed": "accuracy",
    "noticed": "share of runs with a notice",
    "changed": "share of runs that changed the model",
}  # fmt: skip
GAP = "reversed"
REFERENCES = {
    "pilot_unfixed.correlated": 0.981, "pilot_unfixed.random": 0.808,
    "pilot_unfixed.reversed": 0.576, "pilot_rrr.random": 0.959, "pilot_rrr.reversed": 0.959,
    "pilot_oracle.random": 0.956, "published_mnist_unfixed.random": 0.5155,
    "published_mnist_rrr.random": 0.9607, "published_mnist_oracle.random": 0.9611,
}  # fmt: skip
NOTES = (
    "ours is ours_25: 25 marked cases and 5 control cases; ours_N: N marked cases; rrr: the true "
    "swatch of all 1200 cases; rrr_N: that of N cases, nothing else",
    "bad feedback (ours_random, ...): 100 marked cases, 5 control cases marked as badly",
    "masking: the four corners at 0 in the unfixed model, nothing is trained",
    "dfr: label and swatch always go together in training, so the groups are the classes",
    "published_mnist: Ross et al. on MNIST, another data set; pilot: an earlier run of ours",
)
SIDE, SWATCH, TESTED = 28, 4, 597
STRENGTH = 10.0
JUDGED = 100


def digits() -> tuple[Tensor, Tensor]:
    """float32 [I, 1, 28, 28] in [0, 1] without swatch, and labels."""
    known = load_digits()
    small = torch.from_numpy((known.images / 16).astype(np.float32))[:, None]
    large = nn.functional.interpolate(small, size=(20, 20), mode="bilinear", align_corners=False)
    return nn.functional.pad(large, (4, 4, 4, 4)), torch.from_numpy(known.target.astype(np.int64))


def with_swatch(
    inputs: Tensor, shown_I: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The cases with the swatch of `shown_I` in a random corner, and where it lies (bool)."""
    out, where = inputs.clone(), torch.zeros_like(inputs, dtype=torch.bool)
    far = SIDE - SWATCH
    for i, shown in enumerate(shown_I):
        top, left = (int(v) * far for v in rng.integers(0, 2, 2))
        place = (i, slice(None), slice(top, top + SWATCH), slice(left, left + SWATCH))
        out[place] = (255 - 25 * int(shown)) / 255
        where[place] = True
    return out, where


@dataclass(frozen=True, eq=False)
class World:
    """One seed: the task, its cases without swatch, the tests."""

    task: Task
    bare: Examples
    tests: Mapping[str, Tensor]
    labels_I: Tensor  # of the tests

    def row(self, name: str, model: nn.Module) -> dict[str, float]:
        """Figures of a model on all tests."""
        return {f"{name}.{k}": accuracy(model, x, self.labels_I) for k, x in self.tests.items()}


def world(seed: int, quick: bool) -> World:
    """Split the digits at random and put the swatches on."""
    inputs, labels = digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(inputs))
    test, train = torch.from_numpy(order[:TESTED]), torch.from_numpy(order[TESTED:])
    shown, where = with_swatch(inputs[train], labels[train].numpy(), rng)
    own = labels[test].numpy()
    tests = {
        "correlated": with_swatch(inputs[test], own, rng)[0],
        "random": with_swatch(inputs[test], rng.integers(0, 10, TESTED), rng)[0],
        "reversed": with_swatch(inputs[test], 9 - own, rng)[0],
    }
    base = TuneConfig(epochs=5 if quick else 60, batch=64, lr=1e-3, seed=seed)
    asked = {k: v for k, v in ways(base, STRENGTH).items() if k != "filled_only"}
    task = Task(
        Perceptron((784, 50, 30, 10), seed), Examples(shown, labels[train], where), base, asked
    )
    return World(task, Examples(inputs[train], labels[train]), tests, labels[test])


def run(seeds: Sequence[int], quick: bool = False) -> Figures:
    """Figures of all seeds."""
    return over_seeds(one_seed, seeds, quick)


def one_seed(seed: int, quick: bool = False) -> dict[str, float]:
    """All strategies, the efficiency curve and the bad feedback."""
    made = world(seed, quick)
    task, examples = made.task, made.task.examples
    unfixed = tuned(task)
    models = {
        "unfixed": unfixed,
        "oracle": tuned(task, examples=made.bare),
        "rrr": tuned(task, Losses(input_gradient=STRENGTH)),
        "dfr": dfr(unfixed, examples, examples.labels_I.numpy(), 10, seed),
        "masking": _Masked(unfixed),
    }
    row: dict[str, float] = {}
    for name, model in models.items():
        row |= made.row(name, model)
    for count in BUDGETS[:2] if quick else BUDGETS:
        row |= _efficiency(made, unfixed, count, seed)
    row |= {f"ours.{key}": row[f"ours_{5 if quick else 25}.{key}"] for key in made.tests}
    for quality in QUALITIES[:1] if quick else QUALITIES:
        row |= _bad(made, unfixed, quality, seed)
    return row


def _efficiency(made: World, unfixed: nn.Module, count: int, seed: int) -> dict[str, float]:
    examples = made.task.examples
    assert examples.rejected is not None
    rows = drawn(count, len(examples), seed)
    fixed = ours(made.task, unfixed, examples.rejected, rows)
    few = unmarked(examples, [int(r) for r in rows])
    penalised = tuned(made.task, Losses(input_gradient=STRENGTH), few)
    return {
        **made.row(f"ours_{count}", fixed.model),
        f"ours_{count}.changed": float(fixed.changed),
        **made.row(f"rrr_{count}", penalised),
    }


def _bad(made: World, unfixed: nn.Module, quality: str, seed: int) -> dict[str, float]:
    true = made.task.examples.rejected
    assert true is not None
    marks = bad_marks(true, quality, seed, SWATCH)
    fixed = ours(made.task, unfixed, marks, drawn(JUDGED, len(true), seed))
    return {
        **made.row(f"ours_{quality}", fixed.model),
        f"ours_{quality}.noticed": float(bool(fixed.notices)),
        f"ours_{quality}.changed": float(fixed.changed),
    }


def _masked(inputs: Tensor) -> Tensor:
    """The four corners at 0."""
    out, far = inputs.clone(), SIDE - SWATCH
    for rows in (slice(0, SWATCH), slice(far, SIDE)):
        for columns in (slice(0, SWATCH), slice(far, SIDE)):
            out[:, :, rows, columns] = 0
    return out


class _Masked(nn.Module):
    """A model that sees the corners at 0."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B, 10]."""
        logits: Tensor = self.model(_masked(inputs))
        return logits


def gate(means: Mapping[str, float]) -> Gate:
    """The unfixed model must lose 10 points on the reversed test."""
    return gap_gate(means, "reversed", 0.10)


def targets(means: Mapping[str, float]) -> Mapping[str, Target]:
    """95 % of the gap closed on both decorrelated tests; bad feedback noticed, and harmless."""
    made = {"ours.gap_closed": Target(">=", 0.95)}
    unfixed, clean = means["unfixed.random"], means["oracle.random"]
    need = unfixed + 0.95 * (clean - unfixed)
    made["ours.random"] = Target(">=", need, text="95 % of the gap to the oracle closed")
    for quality in QUALITIES:
        if f"ours_{quality}.noticed" in means:
            made[f"ours_{quality}.noticed"] = Target(">=", 1.0, text="bad feedback is noticed")
            made[f"ours_{quality}.reversed"] = Target(
                ">=", means["unfixed.reversed"] - 0.02, text="and does no harm: unfixed - .02"
            )
    return made
