"""From scores to places: the plan of a version's queue as the store takes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from dashboard.services import queue_plan, queue_scores
from dashboard.services.project_settings import ProjectSettings
from dashboard.services.publishing import DEVELOPMENT
from db.desk_records import QueuePlace, QueueRecord
from db.records import VersionRecord

PLANNED = "queue.planned"  # the audit row of a plan
Named = Callable[[Collection[int]], Mapping[int, str]]  # numbers of concepts -> their names


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
    front = [QueuePlace(each.case_id, each.reason, each.score, each.wanted) for each in kept]
    return front + _dealt(facts, found, free, rules), found.notes


def open_places(
    facts: queue_scores.Facts,
    version: VersionRecord,
    rules: ProjectSettings,
    codes: queue_scores.Codes | None,
    *,
    free: frozenset[str],
    served: Mapping[str, int],
    named: Named,
) -> tuple[list[QueuePlace], tuple[str, ...]]:
    """The cases that nobody has begun, in the order in which they are to come from now on.

    Args:
        free: ids of those cases.
        served: strategy -> cases that it put before people so far; see queue_plan.plan.
        named: what concepts are called, for the reasons of cases that would teach.
    """
    found = queue_scores.scores(facts, version, codes, seed=rules.seed)
    rows = [at for at, row in enumerate(facts.rows) if row.case_id in free]
    about = {} if found.about_I is None else {at: int(found.about_I[at]) for at in rows}
    names = named({number for number in about.values() if number >= 0})
    lessons = {
        at: names.get(number) or f"concept {number}" for at, number in about.items() if number >= 0
    }
    return _dealt(facts, found, rows, rules, served=served, lessons=lessons), found.notes


def _dealt(
    facts: queue_scores.Facts,
    found: queue_scores.Scores,
    free: Sequence[int],
    rules: ProjectSettings,
    *,
    served: Mapping[str, int] | None = None,
    lessons: Mapping[int, str] | None = None,
) -> list[QueuePlace]:
    """Those rows of the facts in the order of the plan. `lessons`: row -> what it teaches about."""
    rows = [facts.rows[at] for at in free]
    planned = queue_plan.plan(
        {name: score_I[list(free)] for name, score_I in found.by_strategy.items()},
        {name: float(weight) for name, weight in rules.weights.items()},
        control_share=rules.control_share,
        held_out_I=np.array([row.split not in DEVELOPMENT for row in rows], dtype=bool),
        seed=rules.seed,
        served=served,
    )
    people = queue_plan.wanted(
        [row.sha256 for row in rows],
        share=rules.overlap_share,
        people=rules.reviews_wanted,
        seed=rules.seed,
    )
    dealt = zip(planned, free, rows, people, strict=True)
    about = lessons or {}
    return [
        QueuePlace(row.case_id, _reason(place.strategy, about.get(at)), place.score, wanted)
        for place, at, row, wanted in sorted(dealt, key=lambda each: each[0].order)
    ]


def _reason(strategy: str, about: str | None) -> str:
    """Why a case stands there; of one that would teach also what about, where that is known."""
    told = strategy == "teach" and about is not None
    return queue_plan.in_words(strategy, f"about {about}" if told else "")
