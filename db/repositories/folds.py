"""The folds over append-only tables, as SQL.

What stands is the row of the highest revision: per (cue, reviewer) for verdicts, per (case,
reviewer) for assessments, per concept for names.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.selectable import Subquery

from db.models import Assessment, Case, Concept, ConceptName, Verdict
from db.repositories.base import AnySelect

_VERDICT_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    Verdict.seq,
    Verdict.cue_id,
    Verdict.case_id,
    Verdict.concept_id,
    Verdict.reviewer_id,
    Verdict.value,
)


def standing_verdicts(
    *where: ColumnElement[bool], include_withdrawn: bool = False, name: str = "standing"
) -> Subquery:
    """Narrow rows (seq, ids, value) of the verdicts that stand among those `where` selects.

    One pass with a window function; `where` may restrict by project, concept, reviewer or
    cue, never by value or time (that would bring superseded rows back).
    """
    # In the order of the index, so that no back end has to sort a million rows.
    newer = (
        func.lead(Verdict.revision)
        .over(partition_by=(Verdict.cue_id, Verdict.reviewer_id), order_by=Verdict.revision)
        .label("newer")
    )
    ranked = select(*_VERDICT_COLUMNS, newer).where(*where).subquery(f"{name}_ranked")
    latest: AnySelect = select(ranked).where(ranked.c.newer.is_(None))
    if not include_withdrawn:
        latest = latest.where(ranked.c.value != "withdrawn")
    return latest.subquery(name)


def standing_assessments(*where: ColumnElement[bool]) -> Subquery:
    """(seq, case_id, reviewer_id, agree) of the assessments that stand and say something."""
    recency = (
        func.row_number()
        .over(
            partition_by=(Assessment.case_id, Assessment.reviewer_id),
            order_by=Assessment.revision.desc(),
        )
        .label("recency")
    )
    ranked = (
        select(
            Assessment.seq,
            Assessment.case_id,
            Assessment.reviewer_id,
            Assessment.agree,
            Assessment.blank,
            recency,
        )
        .where(*where)
        .subquery("assessments_ranked")
    )
    latest = select(ranked).where(ranked.c.recency == 1, ~ranked.c.blank)
    return latest.subquery("standing_assessments")


def latest_name() -> ColumnElement[str | None]:
    """The name of the enclosing query's concept: latest event, else the model's, else NULL."""
    latest = (
        select(ConceptName.name)
        .where(ConceptName.concept_id == Concept.id)
        .order_by(ConceptName.revision.desc())
        .limit(1)
        .correlate(Concept)
        .scalar_subquery()
    )
    return func.coalesce(latest, Concept.model_name)


def name_revision() -> ColumnElement[int]:
    """The revision of that name; 0 where there is no event."""
    latest = (
        select(func.max(ConceptName.revision))
        .where(ConceptName.concept_id == Concept.id)
        .correlate(Concept)
        .scalar_subquery()
    )
    return func.coalesce(latest, 0)


def after_in_queue(order: int, case_id: str) -> ColumnElement[bool]:
    """Cases strictly later in the queue than the one given."""
    # The first part is implied by the second, and lets an index find the beginning.
    return and_(Case.queue_order >= order, or_(Case.queue_order > order, Case.id > case_id))


def before_in_queue(order: int, case_id: str) -> ColumnElement[bool]:
    """Cases strictly earlier in the queue than the one given."""
    return and_(Case.queue_order <= order, or_(Case.queue_order < order, Case.id < case_id))
