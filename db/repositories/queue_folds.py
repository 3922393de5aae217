"""When a case of the queue is open for somebody, as SQL over the enclosing query's `cases`.

A case is open for a reviewer who has no standing word on it and no skip or escalation of
their own, where it was assigned to them or has a place left: a person with a word, an
assignment or a running lease takes one of the `wanted` places.

These conditions stand in the queries of every key press, so they are written as text: building
and hashing the same expression anew costs more than asking the database.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, TextClause, bindparam, exists, text
from sqlalchemy.orm import aliased

from db.columns import UtcDateTime
from db.models import Assignment, Case, CaseWord, QueueMark

_SAID = """EXISTS (
    SELECT 1 FROM case_words w WHERE w.case_id = cases.id AND w.reviewer_id = :me)"""
_RESOLVED = """EXISTS (
    SELECT 1 FROM queue_marks e WHERE e.case_id = m.case_id AND e.seq > m.seq
    AND e.kind = 'resolve' AND (m.kind <> 'skip' OR e.reviewer_id = m.reviewer_id))"""
_PUT_ASIDE = f"""EXISTS (
    SELECT 1 FROM queue_marks m WHERE m.case_id = cases.id AND m.reviewer_id = :me
    AND m.kind IN ('skip', 'escalate') AND NOT {_RESOLVED})"""
_STANDS = """g.assigned AND NOT EXISTS (
    SELECT 1 FROM assignments later WHERE later.case_id = g.case_id
    AND later.assignee_id = g.assignee_id AND later.seq > g.seq)"""
_GIVEN = f"""EXISTS (
    SELECT 1 FROM assignments g WHERE g.case_id = cases.id AND g.assignee_id = :me
    AND {_STANDS})"""
_WORDS_OF_OTHERS = """(
    SELECT COUNT(*) FROM case_words w WHERE w.case_id = cases.id AND w.reviewer_id <> :me)"""
_GIVEN_TO_OTHERS = f"""(
    SELECT COUNT(*) FROM assignments g WHERE g.case_id = cases.id AND g.assignee_id <> :me
    AND {_STANDS} AND NOT EXISTS (
        SELECT 1 FROM case_words w WHERE w.case_id = cases.id AND w.reviewer_id = g.assignee_id))"""
_HELD_BY_OTHERS = f"""(
    SELECT COUNT(*) FROM leases l WHERE l.case_id = cases.id AND l.reviewer_id <> :me
    AND l.expires_at > :now AND NOT EXISTS (
        SELECT 1 FROM case_words w WHERE w.case_id = cases.id AND w.reviewer_id = l.reviewer_id)
    AND NOT EXISTS (
        SELECT 1 FROM assignments g WHERE g.case_id = cases.id
        AND g.assignee_id = l.reviewer_id AND {_STANDS}))"""
_LASTING = f"{_WORDS_OF_OTHERS} + {_GIVEN_TO_OTHERS}"
_TAKEN = f"{_LASTING} + {_HELD_BY_OTHERS}"


def _open(taken: str) -> str:
    return f"NOT {_SAID} AND NOT {_PUT_ASIDE} AND (({taken}) < cases.wanted OR {_GIVEN})"


_OPEN_NOW, _OPEN_BUT_FOR_LEASES = _open(_TAKEN), _open(_LASTING)
_MINE_OR_OPEN = f"({_SAID} OR ({_OPEN_NOW}))"
# What a claim asks: have I a word on it, was it given to me, how many places are taken.
CLAIM = f"SELECT {_SAID} AS said, {_GIVEN} AS given, {_TAKEN} AS taken FROM cases WHERE id = :case"


def said(sql: str, reviewer_id: str, now: datetime | None = None) -> TextClause:
    """`sql` for a reviewer at a moment."""
    clause = text(sql).bindparams(me=reviewer_id)
    return clause if now is None else clause.bindparams(bindparam("now", now, UtcDateTime()))


def is_open(reviewer_id: str, now: datetime | None) -> TextClause:
    """Whether the case is open for a reviewer; leases count only where `now` is given."""
    return said(_OPEN_BUT_FOR_LEASES if now is None else _OPEN_NOW, reviewer_id, now)


def is_mine_or_open(reviewer_id: str, now: datetime) -> TextClause:
    """Whether a reviewer has a word on the case or it is open for them."""
    return said(_MINE_OR_OPEN, reviewer_id, now)


def put_aside(reviewer_id: str) -> TextClause:
    """Whether the reviewer skipped or escalated the case."""
    return said(_PUT_ASIDE, reviewer_id)


def assigned_to(reviewer_id: str) -> TextClause:
    """Whether the case is given to a reviewer."""
    return text(_GIVEN.replace(":me", ":given_to")).bindparams(given_to=reviewer_id)


def has_word(reviewer_id: str | None) -> ColumnElement[bool]:
    """Whether that reviewer (None: anyone) has a standing word on the case."""
    found = exists().where(CaseWord.case_id == Case.id)
    if reviewer_id is not None:
        found = found.where(CaseWord.reviewer_id == reviewer_id)
    return found.correlate(Case)


def standing_mark(kind: str) -> ColumnElement[bool]:
    """Whether a mark of that kind (by anybody) stands on the case."""
    mark = aliased(QueueMark)
    found = exists().where(mark.case_id == Case.id, mark.kind == kind, ~resolved(mark))
    return found.correlate(Case)


def resolved(mark: Any) -> ColumnElement[bool]:
    """Whether a mark was ended: a skip by the one who skipped, others by anybody."""
    end = aliased(QueueMark)
    return exists().where(
        end.case_id == mark.case_id,
        end.seq > mark.seq,
        end.kind == "resolve",
        (mark.kind != "skip") | (end.reviewer_id == mark.reviewer_id),
    )


def standing_assignment(row: Any) -> tuple[ColumnElement[bool], ...]:
    """That an assignment is the latest of its case and person, and gives."""
    later = aliased(Assignment)
    superseded = exists().where(
        later.case_id == row.case_id, later.assignee_id == row.assignee_id, later.seq > row.seq
    )
    return row.assigned, ~superseded
