"""From verdicts to a head that no longer leans on what experts rejected.

1. learn a detector for every rejected cue (core.cue_detector),
2. read off which training cases show it,
3. weigh the cases so that, under the weights, label and rejected cues are independent,
4. fit the head again on the pooled codes with these weights.

Masking the rejected concepts instead leaves the shortcut in all other concepts (SHIFT, arXiv
2403.19647; docs/decisions/0005).

Shape legend: I cases; N concepts; R rejected cues; C classes; P patches; D embedding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from core.case_weights import balanced_weights, case_groups
from core.cue_detector import RejectedCue, learn_rejected_cues, presence
from core.cue_marks import DetectorConfig, MarkedRegion, TokensOf
from core.drawn import called, is_place
from core.errors import FeedbackError
from core.first_head import calibrated
from core.heads import Float64Array, LinearHead, Pooled, Pooling, fit_head
from core.splits import held_back

__all__ = [
    "DetectorConfig",
    "GroupRow",
    "MarkedRegion",
    "RejectedCue",
    "ReweightResult",
    "balanced_weights",
    "group_names",
    "learn_rejected_cues",
    "presence",
    "reweight",
]

Progress = Callable[[float, str], None]
APART = 0.2
"""Share of the cases set apart for the temperature, where there is no validation split."""


@dataclass(frozen=True)
class GroupRow:
    """One group of training cases: a label with or without each rejected cue."""

    label: str
    present: tuple[bool, ...]  # one per rejected cue
    n: int
    weight: float  # share of the total weight after balancing, [0, 1]


@dataclass(frozen=True, eq=False)
class ReweightResult:
    """A new head and how it came about; row order is that of the cases given."""

    head: LinearHead
    cues: tuple[RejectedCue, ...]
    presence_IR: NDArray[np.bool_]
    weight_I: Float64Array  # mean 1 over the cases fitted on, 0 on validation cases
    groups: tuple[GroupRow, ...]
    unused: int = 0  # marks "spurious" that belong to no cue marked often enough

    @property
    def rejected(self) -> tuple[int, ...]:
        """All concepts that belong to a rejected cue, ascending."""
        return tuple(sorted({k for cue in self.cues for k in cue.concepts if not is_place(k)}))


def group_names(
    labels_I: NDArray[Any],
    presence_IR: NDArray[np.bool_],
    classes: Sequence[str],
    cue_names: Sequence[str],
) -> list[str]:
    """A readable group per case, such as "melanoma with ruler without colour sticker"."""
    names = []
    for label, present_R in zip(labels_I, presence_IR, strict=True):
        pairs = zip(present_R, cue_names, strict=True)
        parts = [f"{'with' if on else 'without'} {name}" for on, name in pairs]
        names.append(" ".join([classes[int(label)], *parts]))
    return names


def reweight(
    *,
    tokens_of: TokensOf,
    marks: Sequence[MarkedRegion],
    rows_I: Sequence[int],
    pooled_IN: Pooled,
    labels_I: NDArray[Any],
    classes: Sequence[str],
    validation_I: NDArray[np.bool_] | None = None,
    config: DetectorConfig | None = None,
    c: float | None = None,
    seed: int = 0,
    grid: tuple[int, int] | None = None,
    names: Mapping[int, str] | None = None,
    progress: Progress | None = None,
    cues: Sequence[RejectedCue] | None = None,
    pooling: Pooling = "max",
) -> ReweightResult:
    """Learn the rejected cues, balance the cases, refit the head.

    Args:
        tokens_of: dense tokens float32 [P, D] of a row.
        marks: verdicts, one per cue; their rows need not be among `rows_I`.
        rows_I: labelled cases to learn from, as `tokens_of` knows them.
        pooled_IN, labels_I: their pooled codes and labels (integers into classes).
        validation_I: cases kept out of the fit; only the temperature is fitted on them. None (or no
            case) sets a share of the cases apart for that.
        c: inverse penalty of the head; None chooses it by weighted cross-validation, cautiously
            (balanced weights leave few effective cases; see heads.choose_c).
        seed: of all sampling.
        cues: detectors learnt before; with them, `marks` are not looked at.
        pooling: how the codes were pooled; kept with the new head.

    Raises:
        TooFewVerdicts, DetectorFailed: see learn_rejected_cues.
        FeedbackError: a rejected cue shows in all cases or in none.
        ConfigError: shapes do not fit, or a class has no case.
    """
    say = progress or (lambda share, text: None)
    labels = np.asarray(labels_I, dtype=np.int64)
    held = np.zeros(len(labels), np.bool_) if validation_I is None else np.asarray(validation_I)
    settings = config or DetectorConfig(seed=seed)
    say(0.0, "learning what was marked")
    if cues is None:
        cues = learn_rejected_cues(
            tokens_of, marks, background_rows=rows_I, grid=grid, config=settings, names=names
        )
    learnt = tuple(cues)
    say(0.4, "looking for the rejected cues in all cases")
    presence_IR = presence(learnt, tokens_of, rows_I)
    _check_presence(presence_IR[~held], learnt, names or {})
    say(0.7, "fitting the head on balanced groups")
    result = _refit(learnt, presence_IR, csr_array(pooled_IN), labels, held, classes, c, seed)
    head = replace(result.head, pooling=pooling)
    return replace(result, head=head, unused=_unused(marks, learnt))


def _unused(marks: Sequence[MarkedRegion], cues: Sequence[RejectedCue]) -> int:
    """Marks "spurious" that no cue was learnt from."""
    spurious = [m for m in marks if m.verdict == "spurious" and m.region_P.any()]
    return sum(
        not any(m.row in cue.rows and m.shows in cue.concepts for cue in cues) for m in spurious
    )


def _refit(
    cues: tuple[RejectedCue, ...], presence_IR: NDArray[np.bool_], pooled_IN: Pooled,
    labels_I: NDArray[np.int64], held_I: NDArray[np.bool_], classes: Sequence[str],
    c: float | None, seed: int,
) -> ReweightResult:  # fmt: skip
    fit_I = ~held_I
    weight_I = np.zeros(len(labels_I))
    weight_I[fit_I] = balanced_weights(labels_I[fit_I], presence_IR[fit_I])

    def fitted(rows_I: NDArray[np.bool_]) -> LinearHead:
        return fit_head(
            pooled_IN[rows_I], labels_I[rows_I], classes, sample_weight=weight_I[rows_I], c=c,
            cautious=True, seed=seed,
        )  # fmt: skip

    head = fitted(fit_I)
    stand_in, check_I = head, held_I
    if not held_I.any():
        # A second head, fitted without some cases, stands in for the first on those cases.
        check_I = held_back(labels_I, APART, seed)
        stand_in = fitted(~check_I) if check_I.any() else head
    if check_I.any():
        head = calibrated(
            head, stand_in.logits(pooled_IN[check_I]), labels_I[check_I],
            weight_I=balanced_weights(labels_I[check_I], presence_IR[check_I]),
            stand_in=stand_in is not head,
        )  # fmt: skip
    groups = _group_table(labels_I[fit_I], presence_IR[fit_I], weight_I[fit_I], classes)
    return ReweightResult(head, cues, presence_IR, weight_I, groups)


def _check_presence(
    presence_IR: NDArray[np.bool_], cues: Sequence[RejectedCue], names: Mapping[int, str]
) -> None:
    for cue, share in zip(cues, presence_IR.mean(0), strict=True):
        if share in (0.0, 1.0):
            name = called(cue.concepts[0], names)
            where = "every training case" if share else "no training case"
            raise FeedbackError(
                f"the rejected cue {name} shows in {where}: there is nothing to balance it with"
            )


def _group_table(
    labels_I: NDArray[np.int64], presence_IR: NDArray[np.bool_], weight_I: Float64Array,
    classes: Sequence[str],
) -> tuple[GroupRow, ...]:  # fmt: skip
    rows, group_I, size_G = case_groups(labels_I, presence_IR)
    mass_G = np.bincount(group_I, weights=weight_I) / weight_I.sum()
    return tuple(
        GroupRow(classes[int(row[0])], tuple(bool(x) for x in row[1:]), int(n), float(mass))
        for row, n, mass in zip(rows, size_G, mass_G, strict=True)
    )
