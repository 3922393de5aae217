"""The cases of a fine-tuning as its engine takes them: labels, weights, what was rejected where.

Legend: P patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.services.learning_steps import Learning
from dashboard.services.run_data import TRAIN, VAL
from dashboard.services.run_options import asked_finetune
from db.feedback_records import RunRecord

if TYPE_CHECKING:
    from core.cue_marks import MarkedRegion
    from core.finetuning.encoder import EncoderTuning, TuneCase

APART = 0.15
"""Share of the training cases that is held for the early stop where there is no val split."""
ANY_DEVICE = "auto"
"""What versions keep as their device, wherever they were made: a part of their hash."""


def tune_cases(learning: Learning, weights: Mapping[str, float]) -> tuple[TuneCase, ...]:
    """Train and validation cases in the run's order.

    What people marked in a case counts there; in the other training cases, what the detectors of
    the rejected cues find.

    Args:
        weights: image sha256 -> weight >= 0; 1 where it is not named.
    """
    from core.finetuning.encoder import TuneCase
    from core.finetuning.regions import found_regions

    data = learning.data
    rows, held = _held(learning)
    marked = _by_row(learning.evidence.marks)
    unmarked = [row for row in rows if row not in marked]
    found = found_regions(learning.cues(), data.tokens_of, unmarked) if learning.cues() else {}
    cases = []
    for row in rows:
        said = marked.get(row, ())
        rejected = [mark for mark in said if mark.verdict == "spurious"]
        sha = data.images[row].sha256
        cases.append(
            TuneCase(
                key=sha,
                label=int(data.labels_I[row]),
                held=row in held,
                weight=1.0 if row in held else weights.get(sha, 1.0),
                rejected_P=_union(rejected) if rejected else found.get(row),
                accepted_P=_union(mark for mark in said if mark.verdict == "correct"),
                concepts=_concepts(rejected),
            )
        )
    return tuple(cases)


def encoder_tuning(run: RunRecord, device: str = ANY_DEVICE) -> EncoderTuning:
    """The engine's settings for what a run asks.

    Args:
        device: of the workspace, where the work is done. What a version keeps of its settings
            leaves it out, so that its hash says what was done and not where.
    """
    from core.finetuning.encoder import EncoderTuning

    asked = asked_finetune(run.config).options
    losses = {name: asked[name] for name in ("contribution", "counterfactual", "agreement")}
    return EncoderTuning.from_json(
        {
            "blocks": asked["blocks"],
            "rank": asked["rank"] if asked["part"] == "adapters" else None,
            "pasted": asked["pasted"],
            "tune": {
                **{name: asked[name] for name in ("epochs", "lr", "patience", "precision")},
                "losses": {**losses, "anchor": asked["anchor"]},
                "seed": run.seed,
                "device": device,
            },
        }
    )


def _held(learning: Learning) -> tuple[list[int], set[int]]:
    """Rows of train and val, and those that are only looked at."""
    from core.splits import held_back

    data = learning.data
    train, val = data.rows(TRAIN), data.rows(VAL)
    rows = [int(row) for row in (*train, *val)]
    if len(val):
        return rows, {int(row) for row in val}
    apart = held_back(data.labels_I[train], APART, learning.run.seed)
    marked = {mark.row for mark in learning.evidence.marks}
    return rows, {int(row) for row in train[apart]} - marked


def _by_row(marks: Iterable[MarkedRegion]) -> dict[int, list[MarkedRegion]]:
    found: dict[int, list[MarkedRegion]] = {}
    for mark in marks:
        found.setdefault(mark.row, []).append(mark)
    return found


def _concepts(rejected: Sequence[MarkedRegion]) -> tuple[int, ...] | None:
    """The rejected concepts of a case; None, which stands for all, where nobody said which.

    A drawn place names none: whatever fires in it is rejected, and a case has one list for all
    its regions.
    """
    from core.drawn import is_place

    named = tuple(dict.fromkeys(mark.concept for mark in rejected))
    return None if not named or any(is_place(concept) for concept in named) else named


def _union(marks: Iterable[MarkedRegion]) -> Any:
    """Union of the regions, bool [P]; None without marks."""
    regions = [mark.region_P for mark in marks]
    return np.logical_or.reduce(regions) if regions else None
