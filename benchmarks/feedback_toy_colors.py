"""Toy Colors: two rules that always agree; block one and the model must learn the other.

5x5 pictures of four colours (Ross et al. 2017). Rule 1: all four corners have one colour. Rule 2:
the three places in the middle of the top row are all different. Class 0 obeys both, class 1
neither. The expert rejects the places of a rule. What a model has learnt shows on pictures that
obey exactly one rule: there the label is that of the rule that was left.

Legend: I cases; H = W = 5 places; 3 channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.feedback_models import Perceptron, Task, accuracy, dfr, drawn, ours, tuned
from benchmarks.feedback_protocol import Figures, Gate, over_seeds
from benchmarks.harness import Target
from core.finetuning import Examples, Losses, TuneConfig
from core.finetuning.choice import ways

NAME = "toy_colors"
UNITS = {
    "ordinary": "accuracy",
    "other_rule": "accuracy by the rule that was left, where exactly one holds",
    "refused": "share of runs that left the model alone",
}
GAP = None
REFERENCES = {
    "published_unfixed.ordinary": 0.9998, "published_rrr_block1.ordinary": 1.0,
    "published_rrr_block2.ordinary": 1.0, "published_rrr_both.ordinary": 0.537,
}  # fmt: skip
NOTES = (
    "block1 (block2): the places of rule 1 (2) are rejected; both: those of both rules, after "
    "which nothing can be learnt: rrr (strength 1e6) must fall to chance, ours refuses and says so",
    "unfixed_block1 (_block2): what the unfixed model scores by the rule that block1 (block2) "
    "leaves; it leans on one of the rules, so one of the two has no gap",
    "oracle_block1 (_block2): trained on pictures where the colours of the rejected places are "
    "drawn anew, independent of the class; masking: these places are grey, nothing is trained",
    "ours: 25 marked cases; dfr: label and both rules always go together, so the groups are the "
    "classes: nothing to balance",
    "a strategy without a block: the lower of its two blocks (`refused`: the higher)",
)
COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 128, 255], [128, 0, 255]]) / 255
CORNERS = ((0, 0), (0, 4), (4, 0), (4, 4))
TOP = ((0, 1), (0, 2), (0, 3))
MARKED = 25
STRENGTH = 10.0
Colours = NDArray[np.int64]


def pictures(count: int, rule1: bool, rule2: bool, rng: np.random.Generator) -> Colours:
    """Colour numbers int64 [I, 5, 5] of pictures that obey, or break, each rule."""
    found = rng.integers(0, 4, (count, 5, 5))
    _until(found, CORNERS, lambda c: (c == c[:, :1]).all(1), rule1, rng)
    _until(found, TOP, _all_different, rule2, rng)
    return found


def _all_different(colour_IP: Colours) -> NDArray[np.bool_]:
    ordered = np.sort(colour_IP, 1)
    return np.asarray((ordered[:, 1:] != ordered[:, :-1]).all(1))


def _until(
    found: Colours, places: Sequence[tuple[int, int]], obeys: object, wanted: bool,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw the colours of some places anew until a rule holds (or fails) everywhere."""
    assert callable(obeys)
    rows, columns = (np.asarray(axis) for axis in zip(*places, strict=True))
    wrong = np.arange(len(found))
    while len(wrong):
        found[wrong[:, None], rows, columns] = rng.integers(0, 4, (len(wrong), len(places)))
        wrong = wrong[obeys(found[wrong[:, None], rows, columns]) != wanted]


def coloured(found: Colours) -> Tensor:
    """float32 [I, 3, 5, 5] in [-.5, .5]."""
    return COLOURS[torch.from_numpy(found)].permute(0, 3, 1, 2).contiguous() - 0.5


def rejected(places: Sequence[tuple[int, int]], count: int) -> Tensor:
    """bool [I, 1, 5, 5], True at these places."""
    mask = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    for row, column in places:
        mask[..., row, column] = True
    return mask.expand(count, -1, -1, -1).clone()


def drawn_set(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """As many pictures of class 0 (both rules) as of class 1 (neither), and their labels."""
    half = count // 2
    both = np.concatenate((pictures(half, True, True, rng), pictures(half, False, False, rng)))
    return coloured(both), torch.repeat_interleave(torch.arange(2), half)


def run(seeds: Sequence[int], quick: bool = False) -> Figures:
    """Figures of all seeds."""
    return over_seeds(one_seed, seeds, quick)


def one_seed(seed: int, quick: bool = False) -> dict[str, float]:
    """All strategies, either rule and both rules blocked."""
    rng = np.random.default_rng(seed)
    count = 2000 if quick else 20_000
    inputs, labels = drawn_set(count, rng)
    tests = drawn_set(count, rng)
    one, two = (coloured(pictures(2000, a, not a, rng)) for a in (True, False))
    conflict = torch.cat((one, two))
    by_rule1 = torch.repeat_interleave(torch.arange(2), 2000)
    base = TuneConfig(epochs=4 if quick else 15, batch=256, lr=3e-3, seed=seed)
    start = Perceptron((75, 50, 30, 2), seed)
    unfixed = tuned(Task(start, Examples(inputs, labels), base, {}))
    balanced = dfr(unfixed, Examples(inputs, labels), labels.numpy(), 2, seed)
    row: dict[str, float] = {}
    for block, places, truth in ((1, CORNERS, 1 - by_rule1), (2, TOP, by_rule1)):
        mask = rejected(places, count)
        task = Task(start, Examples(inputs, labels, mask), base, _ways(base))
        anew = torch.where(mask, coloured(rng.integers(0, 4, (count, 5, 5))), inputs)
        # Where the unfixed model never leant on the blocked rule, ours leaves it alone and says so.
        fixed = ours(task, unfixed, mask, drawn(MARKED, count, seed))
        models = {
            "unfixed": unfixed,
            "rrr": tuned(task, Losses(input_gradient=STRENGTH)),
            "oracle": tuned(task, examples=Examples(anew, labels)),
            "ours": fixed.model,
            "dfr": balanced,
            "masking": _Masked(unfixed, mask[:1]),
        }
        for name, model in models.items():
            row[f"{name}_block{block}.ordinary"] = accuracy(model, *tests)
            row[f"{name}_block{block}.other_rule"] = accuracy(model, conflict, truth)
        row[f"ours_block{block}.refused"] = float(not fixed.changed)
    row |= worse(row)
    mask = rejected((*CORNERS, *TOP), count)
    task = Task(start, Examples(inputs, labels, mask), base, _ways(base))
    row["rrr_both.ordinary"] = accuracy(tuned(task, Losses(input_gradient=1e6)), *tests)
    fixed = ours(task, unfixed, mask, drawn(MARKED, count, seed))
    row["ours_both.refused"] = float(not fixed.changed)
    return row


def worse(row: Mapping[str, float]) -> dict[str, float]:
    """STRATEGY.METRIC of the block on which a strategy does worse, of STRATEGY_block1 and 2."""
    found = {}
    for key, one in row.items():
        name, _, metric = key.partition(".")
        if name.endswith("_block1"):
            stem = name.removesuffix("_block1")
            two = row[f"{stem}_block2.{metric}"]
            found[f"{stem}.{metric}"] = max(one, two) if metric == "refused" else min(one, two)
    return found


def _ways(base: TuneConfig) -> dict[str, TuneConfig]:
    return {k: v for k, v in ways(base, STRENGTH).items() if k != "filled_only"}


class _Masked(nn.Module):
    """A model that sees grey in some places."""

    def __init__(self, model: nn.Module, mask: Tensor) -> None:
        super().__init__()
        self.model, self.mask = model, mask

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B, 2]."""
        logits: Tensor = self.model(torch.where(self.mask, 0.0, inputs))
        return logits


def gate(means: Mapping[str, float]) -> Gate:
    """The unfixed model must have left one of the rules unlearnt."""
    worse = min(means["unfixed_block1.other_rule"], means["unfixed_block2.other_rule"])
    return Gate(worse < 0.9, f"unfixed scores {worse:.3f} by the rule that it leans on less")


def targets(means: Mapping[str, float]) -> Mapping[str, Target]:
    """Either rule blocked: the other is learnt."""
    return {
        "ours_block1.other_rule": Target(">=", 0.95, text="the rule that was left is learnt"),
        "ours_block2.other_rule": Target(">=", 0.95, text="the rule that was left is learnt"),
    }
