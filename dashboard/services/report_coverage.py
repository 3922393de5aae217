"""What was reviewed, and above all what was not: by class, by split, by group, by concept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dashboard.services.judging_words import estimate
from dashboard.services.report_words import figure, many, number
from dashboard.viewmodels.report_content import (
    CoverageKind,
    CoveragePart,
    CoverageRow,
    Figure,
    NotJudged,
)
from db.report_records import CoverageCount, Selection, UnjudgedConcept
from db.unit_of_work import UnitOfWork

LISTED = 50  # rows of one kind
CONCEPTS = 30  # not judged, by their largest effect
KINDS: tuple[tuple[CoverageKind, Callable[[CoverageCount], str | None]], ...] = (
    ("class", lambda row: row.label),
    ("split", lambda row: row.split),
    ("group", lambda row: row.group),
)
Judged = frozenset[str]


def coverage(uow: UnitOfWork, sel: Selection, judged: Judged) -> CoveragePart:
    """The coverage of a scope.

    Args:
        judged: ids of the concepts on which a verdict counts.
    """
    return coverage_of(uow.report.coverage(sel), uow.report.shown_concepts(sel), judged)


def coverage_of(
    counts: Sequence[CoverageCount], shown: Sequence[UnjudgedConcept], judged: Judged
) -> CoveragePart:
    """The same from what was read."""
    cases, reviewed = sum(row.cases for row in counts), sum(row.reviewed for row in counts)
    rows, left_out = [], []
    for kind, name_of in KINDS:
        found = _rows(kind, name_of, counts)
        if len(found) > 1 or (found and found[0].name is not None):
            rows += found[:LISTED]
        if len(found) > LISTED:
            left_out.append((kind, len(found) - LISTED))
    missing = [each for each in shown if each.concept_id not in judged]
    return CoveragePart(
        cases=cases,
        reviewed=reviewed,
        share=covered("coverage", "Coverage", cases, reviewed),
        sentence=_sentence(cases, reviewed, rows, len(shown), len(missing)),
        rows=tuple(rows),
        not_explained=cases - sum(row.explained for row in counts),
        concepts=len(shown),
        not_judged=len(missing),
        not_judged_first=tuple(
            NotJudged(
                each.concept_id, each.number, each.name or f"concept {each.number}", each.cues,
                each.largest_effect,
            )
            for each in missing[:CONCEPTS]
        ),
        left_out=tuple(left_out),
    )  # fmt: skip


def covered(key: str, label: str, cases: int, reviewed: int) -> Figure:
    """A share of cases that were judged: counted, not estimated, so without an interval."""
    from core.intervals import Estimate

    share = Estimate(reviewed / cases if cases else None)
    return figure(key, label, estimate(share), "share", cases, "cases",
                  why_not="there are no cases")  # fmt: skip


def _rows(
    kind: CoverageKind, name_of: Callable[[CoverageCount], str | None],
    counts: Sequence[CoverageCount],
) -> list[CoverageRow]:  # fmt: skip
    """Least reviewed first; those without a class, split or group last."""
    totals: dict[str | None, list[int]] = {}
    for row in counts:
        total = totals.setdefault(name_of(row), [0, 0])
        total[0] += row.cases
        total[1] += row.reviewed
    found = [
        CoverageRow(kind, name, cases, seen, covered("covered", "Reviewed", cases, seen))
        for name, (cases, seen) in totals.items()
    ]
    return sorted(
        found,
        key=lambda r: (r.name is None, r.reviewed / r.cases if r.cases else 0.0, str(r.name)),
    )


def _sentence(
    cases: int, reviewed: int, rows: Sequence[CoverageRow], shown: int, missing: int
) -> str:
    if not cases:
        return "There are no cases, so nothing could be reviewed."
    parts = [
        f"{many(cases - reviewed, 'case')} of {cases:,} ({number(1 - reviewed / cases, 'share')}) "
        "were not reviewed by anybody"
    ]
    untouched = [row for row in rows if row.name is not None and not row.reviewed]
    if untouched and reviewed:
        named = ", ".join(f"{row.kind} {row.name}" for row in untouched[:5])
        more = f" and {len(untouched) - 5} more" if len(untouched) > 5 else ""
        parts.append(f"nothing at all of {named}{more}")
    if shown:
        parts.append(f"{missing:,} of the {many(shown, 'concept')} shown as cues were never judged")
    return "; ".join(parts) + "."
