"""How far people agree within a report's scope, and what is not decided yet.

The figures are those of the Agreement screen (agreement_figures.py), over the words that stood at
the end of the scope's period. Where a person is named, over the items that this person judged
together with others, because agreement is between people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dashboard.services.agreement_figures import (
    CUE_WORDS,
    Said,
    disputes,
    figures,
    table,
)
from dashboard.services.concept_rows import shown_names
from dashboard.services.home_words import points
from dashboard.services.report_words import WHAT, figure
from dashboard.viewmodels.agreement import AgreementView, DisputeRow, Subject
from dashboard.viewmodels.home import AgreementPoint
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.report_content import (
    AgreementPart,
    Figure,
    OpenDispute,
    OpenMark,
    OpenPart,
)
from db.report_records import Selection, SharedWord
from db.unit_of_work import UnitOfWork

WITHDRAWN = "withdrawn"
LISTED = 50  # open disagreements, and open marks
BLIND = (
    "The review is blind for you: others' words are left out of this report until the lead makes "
    "it, so it cannot say how far people agree."
)
KRIPPENDORFF = "alpha"


@dataclass(frozen=True)
class Agreed:
    """What was found on the items of one subject."""

    view: AgreementView
    open: tuple[OpenDispute, ...]


def agreement(uow: UnitOfWork, sel: Selection) -> tuple[AgreementPart, OpenPart]:
    """The agreement on cues and on cases, and the disagreements that nobody decided."""
    if sel.committed:
        return AgreementPart(None, None, BLIND), OpenPart((), 0, (), 0, BLIND)
    everyone = replace(sel, reviewer_id=None)
    cues = _agreed(uow, "cue", uow.report.shared_cues(everyone, of=sel.reviewer_id), sel)
    cases = _agreed(uow, "case", uow.report.shared_cases(everyone, of=sel.reviewer_id), sel)
    both = (*cues.open, *cases.open)
    total, marks = uow.report.open_marks(sel, LISTED)
    note = "" if sel.reviewer_id is None else (
        "Over the cues and cases that this person judged together with others."
    )  # fmt: skip
    return AgreementPart(cues.view, cases.view, note, _over_time(uow, sel)), OpenPart(
        disputes=both[:LISTED],
        disputes_total=len(both),
        marks=tuple(
            OpenMark(m.kind, m.case_id, m.relpath, m.reviewer, m.created_at, m.reason)
            for m in marks
        ),
        marks_total=total,
    )


def _over_time(uow: UnitOfWork, sel: Selection) -> tuple[AgreementPoint, ...]:
    """The agreement month by month, of the whole project; a month that the period touches."""
    if sel.version_id or sel.class_name or sel.reviewer_id or sel.case_id:
        return ()
    found = points(uow.home.agreement(sel.project_id, "month"))
    first = sel.since.date().replace(day=1) if sel.since else None
    last = sel.until.date() if sel.until else None
    return tuple(
        point
        for point in found
        if (first is None or point.start >= first) and (last is None or point.start < last)
    )


def agreement_figures(part: AgreementPart) -> tuple[Figure, ...]:
    """The two headline coefficients, as the Agreement screen has them."""
    return (
        _alpha("agreement", "Agreement on cues", part.cues, part.note),
        _alpha("agreement_cases", "Agreement on cases", part.cases, part.note),
    )


def _alpha(key: str, label: str, view: AgreementView | None, note: str) -> Figure:
    found = None if view is None else next(
        (each for each in view.overall if KRIPPENDORFF in each.name.lower()), None
    )  # fmt: skip
    if view is None or found is None or found.value is None:
        why = (found.note if found else "") or note or "no two people judged the same"
        return figure(key, label, Estimate(None), "score", view.items if view else 0, "shared",
                      what=WHAT[key], why_not=why)  # fmt: skip
    ends = found.bootstrap or found.analytic or (None, None)
    what = "cues" if view.subject == "cue" else "cases"
    return figure(key, label, Estimate(found.value, *ends), "score", found.items,
                  f"{what} judged by two or more")  # fmt: skip


def _agreed(
    uow: UnitOfWork, subject: Subject, rows: Iterable[SharedWord], sel: Selection
) -> Agreed:
    said = [Said(r.item, r.case_id, r.group, r.reviewer, r.word) for r in rows]
    words = CUE_WORDS if subject == "cue" else tuple(sorted({str(each.word) for each in said}))
    found = table(said, subject, words)
    decided = {
        row.subject_id: row.value
        for row in uow.adjudications.standing(sel.project_id, subject)
        if row.value != WITHDRAWN and (sel.until is None or row.created_at < sel.until)
    }
    names = {} if found.subject == "case" else shown_names(uow, found.groups)
    items = set(found.items)
    view = figures(found, {k: v for k, v in decided.items() if k in items}, names)
    still = [row for row in disputes(found, {}, names) if row.id not in decided]
    return Agreed(view, tuple(_open(subject, row) for row in still))


def _open(subject: Subject, row: DisputeRow) -> OpenDispute:
    return OpenDispute(subject, row.id, row.case_id, row.about, row.said)
