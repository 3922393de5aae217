"""Networks and baselines of the synthetic protocols; all training is core.finetuning's.

Every strategy of a protocol starts from the same network with the same seed and gets the same
number of passes over the same cases.

Legend: I cases; G groups; D features; C classes; B cases of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.finetuning import Examples, Losses, TuneConfig, train
from core.finetuning.repair import Repair, repair
from core.finetuning.spread import unmarked
from core.heads import fit_head

CONTROLS = 5
"""Control cases whose rejected part is agreed; they are marked by the same person too."""
SUBSETS = 10
"""Balanced subsets that DFR averages over."""


class Perceptron(nn.Module):
    """Linear and ReLU layers on the flattened input."""

    def __init__(self, sizes: tuple[int, ...], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Flatten()]
        for wide, narrow in pairwise(sizes[:-1]):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def features(self, inputs: Tensor) -> Tensor:
        """The last hidden layer, >= 0, [B, D]."""
        hidden: Tensor = self.body(inputs)
        return hidden

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B, C]."""
        logits: Tensor = self.head(self.features(inputs))
        return logits


class Convolutional(nn.Module):
    """Three convolutions and the maximum over places: what is small may decide."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 4, 2, 1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(8, 24, 3, 1, 1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(24, 32, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(32, classes)

    def features(self, inputs: Tensor) -> Tensor:
        """Maximum over places of the last feature maps, >= 0, [B, D]."""
        found: Tensor = self.body(inputs).amax((2, 3))
        return found

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B, C]."""
        logits: Tensor = self.head(self.features(inputs))
        return logits


Network = Perceptron | Convolutional


@dataclass(frozen=True, eq=False)
class Task:
    """One seed of a protocol: the network to start from, its cases and how it is trained."""

    start: Network
    examples: Examples  # with the true rejected part of every case
    base: TuneConfig
    ways: Mapping[str, TuneConfig]
    trial: float = 0.25


def tuned(task: Task, losses: Losses | None = None, examples: Examples | None = None) -> nn.Module:
    """A network trained on the task's cases, or on others, by some losses (plain answers)."""
    config = replace(task.base, losses=losses or Losses())
    return train(task.start, examples or task.examples, config).model


def accuracy(model: nn.Module, inputs: Tensor, labels_I: Tensor) -> float:
    """Share of right answers, [0, 1]."""
    with torch.no_grad():
        right = [
            (model(x).argmax(1) == y)
            for x, y in zip(torch.split(inputs, 500), torch.split(labels_I, 500), strict=True)
        ]
    return float(torch.cat(right).float().mean())


def dfr(
    model: nn.Module, examples: Examples, group_I: NDArray[np.int64], classes: int, seed: int
) -> nn.Module:
    """Deep feature reweighting (Kirichenko et al. 2022, arXiv 2204.02937) with true groups.

    The last layer is fitted anew on `SUBSETS` random subsets with as many cases of each group as
    the smallest has; the heads are averaged. Groups that do not occur cannot be balanced.
    """
    assert isinstance(model, Perceptron | Convolutional)
    with torch.no_grad():
        parts = [model.features(x) for x in torch.split(examples.inputs, 500)]
    features_ID = torch.cat(parts).double().numpy()
    labels_I = examples.labels_I.numpy()
    rng = np.random.default_rng([seed, 3])
    least = int(np.unique(group_I, return_counts=True)[1].min())
    weight_CD, bias_C = np.zeros((classes, features_ID.shape[1])), np.zeros(classes)
    names = [str(k) for k in range(classes)]
    for _ in range(SUBSETS):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(group_I == g), least, False) for g in np.unique(group_I)]
        )
        head = fit_head(features_ID[rows], labels_I[rows], names, c=1.0, seed=seed)
        weight_CD += np.asarray(head.weight_CN) / SUBSETS
        bias_C += np.asarray(head.bias_C) / SUBSETS
    fitted = type(model).__new__(type(model))
    nn.Module.__init__(fitted)
    fitted.body = model.body
    fitted.head = nn.Linear(features_ID.shape[1], classes)
    with torch.no_grad():
        fitted.head.weight.copy_(torch.from_numpy(weight_CD))
        fitted.head.bias.copy_(torch.from_numpy(bias_C))
    return fitted.eval()


def ours(task: Task, unfixed: nn.Module, given: Tensor, rows: NDArray[np.int64]) -> Repair:
    """The product's repair from the marks on `rows` and `CONTROLS` control cases.

    Args:
        given: what the reviewer marks in every case (perhaps wrongly); only that of `rows` and of
            the control cases is looked at. What is agreed is the rejected part of the task's cases.
    """
    agreed = task.examples.rejected
    assert agreed is not None
    control = np.random.default_rng([task.base.seed, 9]).choice(len(given), CONTROLS, False)
    marked = unmarked(replace(task.examples, rejected=given), [int(row) for row in rows])
    return repair(
        unfixed, marked, task.base, start=task.start, candidates=task.ways, trial=task.trial,
        agreed=agreed[torch.from_numpy(control)], given=given[torch.from_numpy(control)],
    )  # fmt: skip


def drawn(count: int, of: int, seed: int) -> NDArray[np.int64]:
    """The cases that a reviewer marks: random ones, those of a smaller budget among them."""
    return np.random.default_rng([seed, 4]).permutation(of)[:count]


def bad_marks(true: Tensor, quality: str, seed: int, side: int = 4) -> Tensor:
    """Marks [I, 1, H, W] of a reviewer who marks badly.

    random     a square of `side` places anywhere
    inverted   everything but the true part
    misplaced  the true part moved by 5 to 11 places both ways, around the edges
    wrong20    in 20 % of the cases as random, else true
    """
    rng = np.random.default_rng([seed, 8])
    if quality == "inverted":
        return ~true
    marks = true.clone()
    height, width = true.shape[2:]
    for i in range(len(true)):
        if quality == "misplaced":
            down, right = (int(rng.integers(5, 12) * rng.choice((-1, 1))) for _ in range(2))
            marks[i] = true[i].roll((down, right), (1, 2))
        elif quality == "random" or rng.random() < 0.2:
            top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
            marks[i] = False
            marks[i, :, top : top + side, left : left + side] = True
    return marks
