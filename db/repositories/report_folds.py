"""The folds of a report, as SQL: what stood at a moment, in the cases that the report speaks of.

A report of a period is to stay the same afterwards, so the folds take the words up to its end and
leave out what came later: a verdict that was withdrawn in April stands in the report of March.
"""

from typing import Any

from sqlalchemy import ColumnElement, or_, select, union
from sqlalchemy.sql.selectable import Subquery

from db.models import Assessment, Case, CaseWord, Image, Verdict
from db.report_records import Selection
from db.repositories.base import AnySelect
from db.repositories.folds import standing_assessments, standing_verdicts


def standing_words(sel: Selection, *where: ColumnElement[bool]) -> Subquery:
    """(seq, cue_id, case_id, concept_id, reviewer_id, value) of the verdicts that count."""
    stands = standing_verdicts(*_given(Verdict, sel), *where)
    query: AnySelect = select(stands)
    if sel.since is not None:
        query = query.join(Verdict, Verdict.seq == stands.c.seq)
        query = query.where(Verdict.created_at >= sel.since)
    return _in_cases(query, stands, sel).subquery("words")


def standing_of_cases(sel: Selection, *where: ColumnElement[bool]) -> Subquery:
    """(seq, case_id, reviewer_id, agree, blank) of the words on whole cases that count."""
    stands = standing_assessments(*_given(Assessment, sel), *where)
    query: AnySelect = select(stands)
    if sel.since is not None:
        query = query.join(Assessment, Assessment.seq == stands.c.seq)
        query = query.where(Assessment.created_at >= sel.since)
    return _in_cases(query, stands, sel).subquery("assessed")


def spoken(sel: Selection) -> AnySelect:
    """Ids of the cases on which a word counts."""
    if sel.since is None and sel.until is None and not sel.committed:
        return _spoken_now(sel)
    verdicts, assessed = standing_words(sel), standing_of_cases(sel)
    both: Any = union(select(verdicts.c.case_id), select(assessed.c.case_id))
    return select(both.subquery("spoken").c.case_id)


def _spoken_now(sel: Selection) -> AnySelect:
    """The same from the counters, which hold what stands now: no fold over every word."""
    query = select(CaseWord.case_id).distinct().join(Case, Case.id == CaseWord.case_id)
    query = query.join(Image, Image.id == Case.image_id)
    query = query.where(Case.project_id == sel.project_id, *_narrowed(sel))
    if sel.version_id is not None:
        query = query.where(Case.version_id == sel.version_id)
    if sel.reviewer_id is not None:
        query = query.where(CaseWord.reviewer_id == sel.reviewer_id)
    return query


def of_cases(sel: Selection, *, decided: bool = False) -> tuple[ColumnElement[bool], ...]:
    """That a case (joined with its image) is one of the report's.

    Args:
        decided: only those of the version whose decisions are told, whoever spoke on them.
    """
    where = [Case.project_id == sel.project_id, *_narrowed(sel)]
    if decided:
        return (*where, Case.version_id == sel.decides_id)
    if sel.version_id is not None:
        where.append(Case.version_id == sel.version_id)
    if sel.by_words:
        where.append(Case.id.in_(spoken(sel)))
    elif sel.version_id is None:
        judged = select(CaseWord.case_id).where(CaseWord.case_id == Case.id).correlate(Case)
        where.append(or_(Case.version_id == sel.decides_id, judged.exists()))
    if sel.committed:
        where.append(Case.id.in_(_committed(sel)))
    return tuple(where)


def _given(model: Any, sel: Selection) -> list[ColumnElement[bool]]:
    """What both folds may restrict by: to forget what came after the end is the point here."""
    where = [model.project_id == sel.project_id]
    if sel.reviewer_id is not None:
        where.append(model.reviewer_id == sel.reviewer_id)
    if sel.case_id is not None:
        where.append(model.case_id == sel.case_id)
    if sel.until is not None:
        where.append(model.created_at < sel.until)
    return where


def _in_cases(query: AnySelect, stands: Subquery, sel: Selection) -> AnySelect:
    if sel.committed:
        query = query.where(stands.c.case_id.in_(_committed(sel)))
    if sel.version_id is None and sel.class_name is None:
        return query
    query = query.join(Case, Case.id == stands.c.case_id).join(Image, Image.id == Case.image_id)
    if sel.version_id is not None:
        query = query.where(Case.version_id == sel.version_id)
    return query.where(*_narrowed(sel))


def _narrowed(sel: Selection) -> list[ColumnElement[bool]]:
    where = []
    if sel.class_name is not None:
        where.append(or_(Case.prediction == sel.class_name, Image.label == sel.class_name))
    if sel.case_id is not None:
        where.append(Case.id == sel.case_id)
    return where


def _committed(sel: Selection) -> AnySelect:
    """Cases on which the person's own word on the whole case is in, as it stands now."""
    stands = standing_assessments(
        Assessment.project_id == sel.project_id, Assessment.reviewer_id == sel.reviewer_id
    )
    return (
        select(stands.c.case_id)
        .join(Assessment, Assessment.seq == stands.c.seq)
        .where(or_(Assessment.agree.is_not(None), Assessment.corrected_label.is_not(None)))
    )
