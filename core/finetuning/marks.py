"""Do the marks point at what the model leans on, and do they agree with what is known?

Before a model is changed by marks, two questions that need no test data:

    reliance  mean over marked cases of TV(p(x), p(x with the marked part of another case))
    control   the same for as large a part elsewhere in the same case
    kappa     Cohen's chance-corrected agreement, over places, of a rater's marks with the agreed
              marks of control cases (core.raters.cohen)

TV is the total variation distance of two answers, sum_c |p_c - q_c| / 2, in [0, 1]. Marks beside
the cue, at random places or on the wrong part of a shortcut move the answer no more than other
parts do. Inverted marks may well move it (they mark what the answer *should* rest on), and nothing
in the data can tell: that is what control cases are for. So control cases decide where there are
some: a person who agrees with them is believed even where the model leans little on what was
marked, and told so. Without control cases marks that the model does not lean on are refused.

Legend: I cases; M marked cases; L places; C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from torch import Tensor, nn

from core.errors import ConfigError, FeedbackError
from core.finetuning.examples import Examples
from core.raters import cohen

FINE = 0.4
"""Agreement with control cases below which marks are not used (Landis and Koch 1977: fair)."""
LEVEL = 0.05
"""Of the test that marked parts move the answer more than others."""
DRAWS = 8
"""Fills of each marked case."""


@dataclass(frozen=True)
class MarksCheck:
    """What was found about a set of marks.

    reliance   how far filling what was marked moves the answers, [0, 1]
    control    the same for other parts of the same size, [0, 1]
    p_value    one-sided Wilcoxon signed-rank test over cases that the first is larger
    kappa      agreement with the control cases, [-1, 1]; None without control cases
    notices    in plain words; empty where nothing is odd
    refused    whether the marks must not be used
    """

    reliance: float
    control: float
    p_value: float
    kappa: float | None
    notices: tuple[str, ...]
    refused: bool

    def require(self) -> None:
        """Raise FeedbackError with the notices, where the marks must not be used."""
        if self.refused:
            raise FeedbackError("; ".join(self.notices))


def check_marks(
    model: nn.Module,
    examples: Examples,
    *,
    agreed: Tensor | None = None,
    given: Tensor | None = None,
    most: int = 200,
    seed: int = 0,
) -> MarksCheck:
    """Judge marks by the model that they are to correct, and by control cases.

    Args:
        model: before any change; gives logits [B, C].
        examples: cases with `rejected`; only marked ones are looked at, at most `most` of them.
        agreed: bool [K, ...], the agreed rejected parts of K control cases.
        given: bool of the same shape: what the same person marked in them.

    Raises:
        ConfigError: no case is marked, or only one of `agreed` and `given` is there.
    """
    if (agreed is None) != (given is None):
        raise ConfigError("control cases need both the agreed and the given marks")
    rng = np.random.default_rng(seed)
    marked_M = np.flatnonzero(examples.marked_I)
    if not len(marked_M):
        raise ConfigError("no case is marked")
    rows_M = marked_M if len(marked_M) <= most else np.sort(rng.choice(marked_M, most, False))
    moved_M, control_M = reliance(model, examples, rows_M, rng)
    p_value = _p_value(moved_M, control_M)
    kappa = None if agreed is None or given is None else place_agreement(agreed, given)
    moved, control = float(moved_M.mean()), float(control_M.mean())
    of_model, of_person = _on_reliance(moved, control, p_value), _on_agreement(kappa)
    refused = bool(of_model if kappa is None else of_person)
    notices = (*of_person, *of_model)
    return MarksCheck(moved, control, p_value, kappa, notices, refused)


def _on_reliance(moved: float, control: float, p_value: float) -> tuple[str, ...]:
    if moved > control and p_value < LEVEL:
        return ()
    return (
        f"the model does not lean on what was marked: changing it moves the answer by {moved:.3f}, "
        f"changing other parts of the same size by {control:.3f}. Check where the marks lie",
    )


def _on_agreement(kappa: float | None) -> tuple[str, ...]:
    if kappa is None or kappa >= FINE:
        return ()
    why = "the opposite was marked" if kappa < 0 else "other parts were marked"
    return (
        f"the marks on the control cases do not agree with the agreed ones (kappa {kappa:.2f}, "
        f"needed {FINE:.2f}): {why}. Look at these cases together first",
    )


def reliance(
    model: nn.Module, examples: Examples, rows_M: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far filling the marked part, and another one, moves the answer of each case, float64 [M].

    Filled with what a random other case has in the same places, `DRAWS` times. The other part has
    as many places, or all that are not marked if there are fewer; it is the marked part moved
    within a picture, or random columns of a table.
    """
    if examples.rejected is None:
        raise ConfigError("no case is marked")
    picked = torch.from_numpy(rows_M)
    inputs = examples.inputs[picked]
    marked = examples.rejected[picked].expand_as(inputs)
    before_MC = _answers(model, inputs)
    moved_M, control_M = np.zeros(len(rows_M)), np.zeros(len(rows_M))
    for _ in range(DRAWS):
        donors = examples.inputs[torch.from_numpy(rng.integers(0, len(examples), len(rows_M)))]
        elsewhere = _elsewhere(marked, rng)
        for part, total_M in ((marked, moved_M), (elsewhere, control_M)):
            after_MC = _answers(model, torch.where(part, donors, inputs))
            total_M += 0.5 * np.abs(after_MC - before_MC).sum(1) / DRAWS
    return moved_M, control_M


def place_agreement(agreed: Tensor, given: Tensor) -> float:
    """Cohen's kappa over all places of all control cases, [-1, 1].

    Raises:
        ConfigError: the shapes differ.
    """
    if agreed.shape != given.shape:
        raise ConfigError("agreed and given marks have different shapes")
    first_L, second_L = (part.numpy().ravel().astype(np.int64) for part in (agreed, given))
    found = cohen(first_L, second_L, 2, resamples=0)
    return 0.0 if found.value is None else found.value


def _answers(model: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """Probabilities, float64 [B, C]; the model is left in the mode it was in."""
    training = model.training
    model.eval()
    with torch.no_grad():
        blocks = [model(block).double().softmax(1) for block in torch.split(inputs, 256)]
    model.train(training)
    return np.asarray(torch.cat(blocks).numpy(), np.float64)


def _elsewhere(marked: Tensor, rng: np.random.Generator) -> Tensor:
    """As many places that are not marked, bool like `marked`."""
    if marked.ndim == 4:
        moved = torch.stack([_moved(mask, rng) for mask in marked])
        return moved & ~marked
    chance = torch.from_numpy(rng.random(tuple(marked.shape), dtype=np.float32))
    rank = chance.masked_fill(marked, 2.0).argsort(1).argsort(1)
    return (rank < marked.sum(1, keepdim=True)) & ~marked


def _moved(mask_CHW: Tensor, rng: np.random.Generator) -> Tensor:
    """A mask moved by a random way within the picture, around its edges."""
    shifts = tuple(int(rng.integers(0, side)) for side in mask_CHW.shape[1:])
    return mask_CHW.roll(shifts, dims=(1, 2))


def _p_value(moved_M: NDArray[np.float64], control_M: NDArray[np.float64]) -> float:
    """One-sided p-value that the marked part moves answers more, (0, 1]; 1 where nothing differs.

    At least 5 cases are needed to get below .05.
    """
    if not (moved_M != control_M).any():
        return 1.0
    return float(wilcoxon(moved_M, control_M, alternative="greater").pvalue)
