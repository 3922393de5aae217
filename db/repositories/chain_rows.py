"""The rows that entries of the audit chain speak of, as they are stored now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, exists, false, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from db.chain import WORKSPACE, content_of
from db.chain_pending import key_of, order_of
from db.chain_records import ChainEntryRecord
from db.errors import StoreError
from db.models import CHAINED, AuditEntry, Base, ChainEntry, Concept, ConceptName, Retention
from db.repositories.base import AnySelect, Repository

_MODELS: dict[str, Any] = {model.__tablename__: model for model in CHAINED}


@dataclass(frozen=True)
class StoredRow:
    """What of a row is hashed, with its number in this database."""

    content: dict[str, Any]
    order: int | None
    readable: bool = True


class ChainRows(Repository):
    """Reads rows by table and id; never loads them into the session."""

    def stored(self, entries: Iterable[ChainEntryRecord]) -> dict[tuple[str, str], StoredRow]:
        """(table, id) -> the row, of those that are there; one query per table."""
        wanted: dict[str, list[str]] = {}
        for entry in entries:
            wanted.setdefault(entry.table_name, []).append(entry.row_id)
        found: dict[tuple[str, str], StoredRow] = {}
        for table, ids in wanted.items():
            if table in _MODELS:
                for row_id, row in self._of_table(_MODELS[table], ids):
                    found[table, row_id] = row
        return found

    def is_retained(self, entry: ChainEntryRecord) -> bool:
        """Whether a retention let the row of this entry go."""
        limit = self._limits.get(entry.project_id)
        return entry.table_name == "audit_log" and limit is not None and entry.at < limit

    def removed(self, project_id: str) -> int:
        """How many audit lines the retentions of a chain say that they removed."""
        return sum(row.count for row in self._retentions if _chain(row.project_id) == project_id)

    def unchained(self, project_id: str) -> Iterator[tuple[str, str]]:
        """(table, id) of rows of a project that have no entry in its chain."""
        for model in CHAINED:
            entered = exists().where(
                ChainEntry.table_name == model.__tablename__,
                ChainEntry.row_id == key_of(model),
                ChainEntry.project_id == project_id,
            )
            query: AnySelect = select(key_of(model)).where(~entered, _within(model, project_id))
            for row_id in self._session.scalars(query.order_by(key_of(model))):
                yield model.__tablename__, str(row_id)

    @cached_property
    def _retentions(self) -> Sequence[Any]:
        query = select(Retention.project_id, Retention.older_than, Retention.count)
        return self._session.execute(query).all()

    @cached_property
    def _limits(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for row in self._retentions:
            chain = _chain(row.project_id)
            found[chain] = max(found.get(chain, row.older_than), row.older_than)
        return found

    def _of_table(self, model: type[Base], ids: list[str]) -> list[tuple[str, StoredRow]]:
        dialect: Any = self._session.get_bind().dialect
        try:
            return self._read(model, ids)
        except (SQLAlchemyError, ValueError, TypeError, dialect.loaded_dbapi.Error) as error:
            # A value that its column cannot hold: somebody wrote it past the program.
            if isinstance(error, (OperationalError, StoreError)) and "decode" not in str(error):
                raise  # the database itself is in trouble
            if len(ids) > 1:
                return [row for each in ids for row in self._of_table(model, [each])]
            return [(ids[0], StoredRow({}, None, readable=False))]

    def _read(self, model: type[Base], ids: list[str]) -> list[tuple[str, StoredRow]]:
        key, order = key_of(model), order_of(model)
        query: AnySelect = select(*model.__table__.columns).where(key.in_(ids))
        found = []
        for row in self._session.execute(query).mappings():
            number = None if order is None else row[order.key]
            found.append((row[key.key], StoredRow(content_of(model, dict(row)), number)))
        return found


def _chain(project_id: str | None) -> str:
    return WORKSPACE if project_id is None else project_id


def _within(model: Any, project_id: str) -> ColumnElement[bool]:
    if model is ConceptName:
        own = select(Concept.id).where(Concept.project_id == project_id)
        return ConceptName.concept_id.in_(own)
    if project_id == WORKSPACE:
        return model.project_id.is_(None) if model in (AuditEntry, Retention) else _NEVER
    found: ColumnElement[bool] = model.project_id == project_id
    return found


_NEVER: ColumnElement[bool] = false()
