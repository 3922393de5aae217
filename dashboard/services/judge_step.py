"""The step that judges a run's result: which groups are looked at, and what is kept of it.

Groups are, in this order: those that came with the images; label and rejected cues, as learnt from
the verdicts; label and the value of the rejected columns; the classes alone. Cases on which anybody
gave a word are left out: they taught the new head. The figures are those of `judging`.

Legend: I held-out cases, N concepts, R rejected cues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboard.services.learning_steps import Learning, cue_name
from dashboard.services.run_body import StepContext
from dashboard.services.settings_of import settings_in

if TYPE_CHECKING:
    from core.heads import LinearHead
    from dashboard.services.judging import Marked

JUDGED = "judged.json"
Rows = NDArray[np.int64]
GIVEN_GROUPS = "Groups are label and the group column that came with the images."
CUE_GROUPS = (
    "Groups are label and presence of the rejected cues, as the detectors learnt from the "
    "verdicts see it."
)
COLUMN_GROUPS = "Groups are label and the value of the rejected columns."
CLASS_GROUPS = "Groups are the classes: nothing was found to divide them further."


@dataclass(frozen=True)
class Side:
    """One of the two models that are compared."""

    head: LinearHead
    codes: Callable[[Rows], Any]  # rows -> pooled codes csr [I, N] under its own dictionary
    rejected: tuple[int, ...]  # concepts of its own dictionary


def keep_measured(
    context: StepContext,
    learning: Learning,
    before: Side,
    after: Side,
    details: Mapping[str, Any],
    *,
    former: Mapping[int, int] | None = None,
    later: Callable[[int], NDArray[Any]] | None = None,
) -> None:
    """Judges both models on the same held-out cases and keeps the result for the last step.

    Args:
        details: what else the run's details are to hold.
        former: concept of `after` -> concept of `before` where their dictionaries differ.
        later: row -> activations [P, N] under the dictionary of `after`, where it is another one.
    """
    from dashboard.services.judging import judge_run

    data, judged = learning.data, learning.evidence.judged
    attribute_of, said = _grouping(learning)
    with context.uow(read_only=True) as uow:
        settings = settings_in(uow, learning.run.project_id)
    found = judge_run(
        data, before, after, attribute_of=attribute_of, groups_from=said, left_out=judged,
        settings=settings, seed=learning.run.seed, former=former,
        marked=_marked(learning, later), progress=context.watch(),
    )  # fmt: skip
    held_out = {int(row) for row in data.rows(*data.held_out())}
    kept = {
        "groups_from": found.groups_from,
        "group_sizes": found.group_sizes(),
        "group_accuracy": found.group_accuracy(),
        "rejected_concepts": list(after.rejected),
        "judged_cases_left_out": len(judged & held_out),
        **details,
    }
    metrics = {"splits": found.splits_metrics(), "details": kept, "judgement": found.as_json()}
    learning.scratch.write_json(JUDGED, metrics)


def _marked(learning: Learning, later: Callable[[int], NDArray[Any]] | None) -> Marked:
    """The rejected regions of every case that has some."""
    from dashboard.services.judging import Marked
    from dashboard.services.judging_regions import patches_of

    regions: dict[int, NDArray[np.bool_]] = {}
    for mark in learning.evidence.marks:
        if mark.verdict == "spurious":
            regions[mark.row] = regions.get(mark.row, np.zeros_like(mark.region_P)) | mark.region_P
    data = learning.data
    acts = patches_of(data.bundle.sae, data.tokens_of)
    return Marked(regions, acts, later or acts)


def _grouping(learning: Learning) -> tuple[Callable[[Rows], list[str]] | None, str]:
    """What divides the cases of a class, and the sentence that says so."""
    data, cues, columns = learning.data, learning.cues(), learning.columns().cases
    held = data.rows(*data.held_out())
    if len(held) and all(data.images[int(row)].group_name for row in held):
        # A mixture of given and missing groups would say nothing.
        return lambda rows: [data.images[int(row)].group_name or "" for row in rows], GIVEN_GROUPS
    if cues:
        return lambda rows: _by_cues(learning, rows), CUE_GROUPS
    if columns:
        return lambda rows: [_by_columns(columns, int(row)) for row in rows], COLUMN_GROUPS
    return None, CLASS_GROUPS


def _by_cues(learning: Learning, rows: Rows) -> list[str]:
    from core.reweighting import presence

    data, cues = learning.data, learning.cues()
    found_IR = presence(cues, data.tokens_of, [int(row) for row in rows])
    names = [cue_name(cue, data) for cue in cues]
    return [_present(names, present_R) for present_R in found_IR]


def _present(names: Sequence[str], present_R: Sequence[bool]) -> str:
    """Such as "with ruler without colour sticker"."""
    pairs = zip(names, present_R, strict=True)
    return " ".join(f"{'with' if on else 'without'} {name}" for name, on in pairs)


def _by_columns(columns: Mapping[str, Sequence[str]], row: int) -> str:
    return ", ".join(f"{name} {columns[name][row] or 'unknown'}" for name in sorted(columns))
