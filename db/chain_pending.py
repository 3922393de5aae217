"""Rows that this transaction said and that are not chained yet.

A session reports every new row of an append-only table by itself, whoever inserted it and how:
one at a time, in bulk, or by a replay. `UnitOfWork.commit` writes their entries just before it
commits, so a row and its entry are stored together or not at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import event, inspect
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, sessionmaker

from db.chain import WORKSPACE, content_of, row_hash
from db.models import CHAINED, AuditEntry, ConceptName

Clock = Literal["event", "line"]  # what counts the rows of a table, where anything does
_KEY = "insight_chain"
_MODELS: frozenset[type[Any]] = frozenset(CHAINED)


@dataclass(frozen=True)
class Pending:
    """A row that is to be chained."""

    model: type[Any]
    row_id: str
    project_id: str | None  # None: told by the concept
    row_hash: str
    at: datetime
    order: int | None  # seq, or the number of an audit line; None where it is not known yet
    concept_id: str | None = None

    @property
    def table(self) -> str:
        return str(self.model.__tablename__)

    @property
    def clock(self) -> Clock | None:
        return clock_of(self.model)


def clock_of(model: type[Any]) -> Clock | None:
    """What orders the rows of a table within one database (names: their revision, hashed)."""
    if model is AuditEntry:
        return "line"
    return None if model is ConceptName else "event"


def key_of(model: type[Any]) -> Any:
    """The column by which entries know a row: ids made by clients, never a database's numbers."""
    return model.uid if model is AuditEntry else model.id


def order_of(model: type[Any]) -> Any:
    """The column that numbers the rows within one database, or None."""
    if model is ConceptName:
        return None
    return model.id if model is AuditEntry else model.seq


def pending_of(model: type[Any], values: Mapping[str, Any]) -> Pending:
    """What is to be chained of a row with these values."""
    said_at = values["at"] if model is AuditEntry else values["created_at"]
    project = values.get("project_id")
    named = model is ConceptName
    return Pending(
        model=model,
        row_id=values["uid"] if model is AuditEntry else values["id"],
        project_id=None if named else WORKSPACE if project is None else str(project),
        row_hash=row_hash(model.__tablename__, content_of(model, values)),
        at=said_at,
        order=None if named else values.get("id" if model is AuditEntry else "seq"),
        concept_id=values["concept_id"] if named else None,
    )


def listen(sessions: sessionmaker[Session]) -> None:
    """Make every session of this factory notice what is said in it."""
    event.listen(sessions, "after_flush", _after_flush)
    event.listen(sessions, "do_orm_execute", _before_execute)
    event.listen(sessions, "after_soft_rollback", _after_rollback)


def taken(session: Session) -> tuple[Pending, ...]:
    """What was said since the last call, in that order."""
    return tuple(row for row, _within in session.info.pop(_KEY, {}).values())


def settle(session: Session, table: str, row_id: str) -> Pending | None:
    """Take one row out: it has an entry already (one that came with it from elsewhere)."""
    found = session.info.get(_KEY, {}).pop((table, row_id), None)
    return None if found is None else found[0]


def _note(session: Session, row: Pending) -> None:
    waiting = session.info.setdefault(_KEY, {})
    waiting[row.table, row.row_id] = (row, session.get_nested_transaction())


def _after_flush(session: Session, _context: object) -> None:
    if not session.new:
        return
    states = [inspect(each) for each in session.new if type(each) in _MODELS]
    for state in sorted(states, key=lambda fresh: fresh.insert_order):
        _note(session, pending_of(state.class_, state.dict))


def _before_execute(state: ORMExecuteState) -> None:
    if not state.is_insert or state.bind_mapper is None:
        return
    model = state.bind_mapper.class_
    if model not in CHAINED:
        return
    if not state.parameters:
        raise TypeError(f"{model.__tablename__}: an INSERT ... SELECT would escape the chain")
    for values in _rows(state.parameters):
        defaults = {
            column.key: column.default.arg
            for column in model.__table__.columns
            if column.default is not None and column.default.is_scalar
        }
        _note(state.session, pending_of(model, {**defaults, **values}))


def _rows(parameters: Any) -> Iterator[Mapping[str, Any]]:
    yield from [parameters] if isinstance(parameters, Mapping) else parameters


def _after_rollback(session: Session, ended: SessionTransaction) -> None:
    """Forget what the database forgot: everything, or what a savepoint held."""
    waiting = session.info.get(_KEY)
    if not waiting:
        return
    if ended.parent is None:
        waiting.clear()
    elif ended.nested:
        gone = [key for key, (_row, within) in waiting.items() if within is ended]
        for key in gone:
            del waiting[key]


def with_project(row: Pending, projects: Mapping[str, str]) -> Pending:
    """The row with its project, from concept id -> project id."""
    if row.project_id is not None or row.concept_id is None:
        return row
    return replace(row, project_id=projects[row.concept_id])
