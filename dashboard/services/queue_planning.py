"""From scores to places: the plan of a version's queue as the store takes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.services import queue_plan, queue_scores
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.publishing import DEVELOPMENT
from db.desk_records import QueuePlace, QueueRecord
from db.records import VersionRecord

PLANNED = "queue.planned"  # the audit row of a plan


def places(
    facts: queue_scores.Facts,
    version: VersionRecord,
    rules: ProjectSettings,
    codes: queue_scores.Codes | None,
    *,
    kept: Sequence[QueueRecord | QueuePlace] = (),
) -> tuple[list[QueuePlace], tuple[str, ...]]:
    """Every case in its order, with the reason and how many people it wants; and notes.

    Args:
        kept: cases that stay at the front as they are; the others are planned behind them.
    """
    found = queue_scores.scores(facts, version, codes, seed=rules.seed)
    staying = {item.case_id for item in kept}
    free = [at for at, row in enumerate(facts.rows) if row.case_id not in staying]
    rows = [facts.rows[at] for at in free]
    planned = queue_plan.plan(
        {name: score_I[free] for name, score_I in found.by_strategy.items()},
        {name: float(weight) for name, weight in rules.weights.items()},
        control_share=rules.control_share,
        held_out_I=np.array([row.split not in DEVELOPMENT for row in rows], dtype=bool),
        seed=rules.seed,
    )
    people = queue_plan.wanted(
        [row.sha256 for row in rows],
        share=rules.overlap_share,
        people=rules.reviews_wanted,
        seed=rules.seed,
    )
    ordered = sorted(zip(planned, rows, people, strict=True), key=lambda each: each[0].order)
    front = [QueuePlace(each.case_id, each.reason, each.score, each.wanted) for each in kept]
    behind = [
        QueuePlace(row.case_id, queue_plan.in_words(place.strategy), place.score, wanted)
        for place, row, wanted in ordered
    ]
    return front + behind, found.notes
