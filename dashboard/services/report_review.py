"""What a report says of the review: verdicts, concepts called spurious, words on whole cases.

Verdicts in one case are not independent: the interval of a share of verdicts draws whole cases
anew (core.resampling). For a single concept, which has one cue in a case at most, Wilson's interval
counts each case once, however many people judged the cue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.services.judging_words import estimate
from dashboard.services.report_words import WHAT, count, figure, many
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.marks import CriterionView
from dashboard.viewmodels.report_content import (
    Figure,
    PersonPart,
    RatingFigure,
    SpuriousConcept,
    SpuriousExample,
)
from db.records import CaseRecord
from db.report_records import AssessmentRow, CaseWords, ConceptWords, Selection, SpuriousCue
from db.unit_of_work import UnitOfWork

WITH_PICTURES = 12  # concepts of the ranking that examples are given of
EXAMPLES = 3  # per concept
SEED = 0  # of the draws: a report made twice has the same intervals


def verdict_figures(rows: Sequence[CaseWords]) -> tuple[Figure, ...]:
    """How many verdicts count and which share calls the cue spurious."""
    spurious_I = np.array([row.spurious for row in rows], dtype=np.float64)
    said_I = np.array([row.spurious + row.correct for row in rows], dtype=np.float64)
    unsure = sum(row.unsure for row in rows)
    said = int(said_I.sum())
    share = _clustered(spurious_I, said_I)
    verdicts = count("verdicts", "Verdicts", said + unsure, "verdicts")
    return verdicts, figure(
        "spurious_share", "Share of spurious cues", share, "share", said,
        f"verdicts in {many(int((said_I > 0).sum()), 'case')}",
        why_not="nobody has called a cue correct or spurious",
    )  # fmt: skip


def label_agreement(rows: Sequence[AssessmentRow]) -> Figure:
    """How often people agree with the decision."""
    yes: defaultdict[str, int] = defaultdict(int)
    all_: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.agree is not None:
            all_[row.case_id] += 1
            yes[row.case_id] += row.agree
    keys = sorted(all_)
    share = _clustered(
        np.array([yes[key] for key in keys], dtype=np.float64),
        np.array([all_[key] for key in keys], dtype=np.float64),
    )
    return figure(
        "label_agreement", "Agreement with the decision", share, "share", sum(all_.values()),
        f"words on {many(len(keys), 'case')}", why_not="nobody has judged a whole case",
    )  # fmt: skip


def ratings(
    rows: Sequence[AssessmentRow], criteria: Sequence[CriterionView]
) -> tuple[RatingFigure, ...]:
    """The ratings by each criterion of the project."""
    found = []
    for each in criteria:
        points = [(row.case_id, int(row.ratings[each.key])) for row in rows
                  if each.key in row.ratings]  # fmt: skip
        counts = [sum(value == step for _, value in points) for step in range(1, 6)]
        total: defaultdict[str, float] = defaultdict(float)
        people: defaultdict[str, float] = defaultdict(float)
        for case_id, value in points:
            total[case_id] += value
            people[case_id] += 1
        keys = sorted(total)
        mean = _clustered(
            np.array([total[key] for key in keys]), np.array([people[key] for key in keys]),
            low=1.0, high=5.0,
        )  # fmt: skip
        told = figure("rating", each.label, mean, "score", len(points),
                      f"ratings of {many(len(keys), 'case')}", why_not="nobody has rated a case",
                      what=f"{WHAT['rating']}; {each.text}")  # fmt: skip
        found.append(
            RatingFigure(each.key, each.label, told, (counts[0], counts[1], counts[2], counts[3],
                                                      counts[4]))
        )  # fmt: skip
    return tuple(found)


def _clustered(
    part_I: NDArray[Any], whole_I: NDArray[Any], low: float = 0.0, high: float = 1.0
) -> Estimate:
    """Sum over sum with the interval of whole cases drawn anew.

    Of a share it is at least as wide as Wilson's over the cases: with few cases the draws hardly
    vary, and would claim to know more than so few cases prove.
    """
    from core.decided import share_of
    from core.intervals import wilson
    from core.resampling import bootstrap, draws_for

    inside = whole_I > 0
    part_I, whole_I = part_I[inside], whole_I[inside]
    cases = len(whole_I)
    if not cases:
        return Estimate(None)
    drawn = bootstrap({"it": share_of(part_I, whole_I)}, resamples=draws_for(cases), seed=SEED)
    found = estimate(drawn["it"].estimate(low, high))
    if found.value is None or (low, high) != (0.0, 1.0):
        return found
    floor = wilson(found.value * cases, cases)
    ends = [each for each in (found.low, found.high, floor.low, floor.high) if each is not None]
    return Estimate(found.value, min(ends), max(ends))


def people(uow: UnitOfWork, sel: Selection) -> tuple[PersonPart, ...]:
    """Who said how much, most first."""
    rows = sorted(uow.report.people(sel), key=lambda row: (-row.verdicts, row.reviewer))
    return tuple(PersonPart(r.reviewer, r.verdicts, r.assessments, r.cases) for r in rows)


def spurious_ranking(uow: UnitOfWork, sel: Selection) -> tuple[SpuriousConcept, ...]:
    """Every judged concept, the most surely spurious first, the first ones with examples."""
    found = sorted(
        (_concept(row) for row in uow.report.by_concept(sel)),
        key=lambda each: (-(each.share.low or 0.0), -each.spurious, each.name, each.concept_id),
    )
    first = [each.concept_id for each in found[:WITH_PICTURES] if each.spurious]
    examples = _examples(uow, uow.report.spurious_cues(sel, first, EXAMPLES) if first else ())
    return tuple(_with(each, examples.get(each.concept_id, ())) for each in found)


def _concept(row: ConceptWords) -> SpuriousConcept:
    from core.intervals import wilson

    said = row.correct + row.spurious
    share = row.spurious / said if said else 0.0
    found = estimate(wilson(share * row.cases, row.cases)) if said else Estimate(None)
    return SpuriousConcept(
        concept_id=row.concept_id,
        concept=row.number,
        dictionary=row.dictionary_hash,
        name=row.name or f"concept {row.number}",
        correct=row.correct,
        spurious=row.spurious,
        unsure=row.unsure,
        cases=row.cases,
        people=row.people,
        share=figure("concept", "Called spurious", found, "share", said,
                     f"verdicts in {many(row.cases, 'case')}",
                     why_not="nobody called it correct or spurious"),
        mean_causal_effect=float(row.mean_causal_effect),
    )  # fmt: skip


def _with(each: SpuriousConcept, examples: tuple[SpuriousExample, ...]) -> SpuriousConcept:
    return replace(each, examples=examples) if examples else each


def _examples(
    uow: UnitOfWork, rows: Sequence[SpuriousCue]
) -> dict[str, tuple[SpuriousExample, ...]]:
    cases: Mapping[str, CaseRecord] = {
        case.id: case for case in uow.report.cases(sorted({row.case_id for row in rows}))
    }
    found: dict[str, tuple[SpuriousExample, ...]] = {}
    for row in rows:
        case = cases[row.case_id]
        found[row.concept_id] = (
            *found.get(row.concept_id, ()),
            SpuriousExample(
                row.cue_id, row.case_id, case.image_id, case.image.relpath, case.image.sha256,
                case.image.label, case.prediction, row.causal_effect, row.people,
            ),
        )  # fmt: skip
    return found
