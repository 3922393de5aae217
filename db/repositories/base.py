"""What every repository shares: inserting, translating refusals, building records."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from typing import Any, TypeAlias, TypeVar, get_args

from sqlalchemy import Row, Select, func, insert, select, union_all
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from db.errors import Conflict, InvalidValue, NotFound
from db.models import APPEND_ONLY, Base

Model = TypeVar("Model", bound=Base)
Record = TypeVar("Record")
Item = TypeVar("Item")
AnySelect: TypeAlias = "Select[*tuple[Any, ...]]"
_NAMES: dict[type[Any], tuple[str, ...]] = {}  # per record class, read once
BATCH = 1000  # rows per insert, ids per IN: below the limits of every back end


_EVENTS: Any = [model for model in APPEND_ONLY if "seq" in model.__table__.columns]
_LATESTS = union_all(*(select(func.max(model.seq).label("seq")) for model in _EVENTS)).subquery()
_LATEST_EVENT = select(func.max(_LATESTS.c.seq))


class Repository:
    """Queries over one kind of row. It never commits: the unit of work's user does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _insert(self, row: Model) -> Model:
        with translated():
            self._session.add(row)
            self._session.flush()
        return row

    def _part(self, entity: str, key: str, *columns: Any, lock: bool = False) -> Row[Any]:
        """Some columns of the row of that id, or NotFound; `lock` as in `_require`.

        What a key press needs of a case or a cue is narrow; its explanation and maps are not.
        """
        query: AnySelect = select(*columns).where(columns[0].class_.id == key)
        if lock:
            query = query.with_for_update(key_share=True)
        row = self._session.execute(query).one_or_none()
        if row is None:
            raise NotFound(entity, key)
        return row

    def _insert_event(self, row: Model) -> Model:
        """Insert a row of an event table; its `seq` comes after that of every event so far.

        One count over all event tables, so that events of different kinds have an order. A
        server counts with one sequence; on SQLite this transaction holds the only write lock.
        """
        if self._session.get_bind().dialect.name == "sqlite":
            row.seq = (self._session.scalar(_LATEST_EVENT) or 0) + 1  # type: ignore[attr-defined]
        return self._insert(row)

    def _known(self, model: type[Model], event_id: str, content: Mapping[str, Any]) -> Model | None:
        """The event of that id, if it was said already; Conflict where it said other things."""
        query = select(model).where(model.id == event_id)  # type: ignore[attr-defined]
        row = self._session.scalars(query).one_or_none()
        if row is not None and not same_content(row, content):
            raise Conflict(f"event {event_id} is known with other content")
        return row

    def _flush(self) -> None:
        with translated():
            self._session.flush()

    def _insert_many(self, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        with translated():
            for batch in batches(rows):
                self._session.execute(insert(model), batch)

    def _of_cases(self, query: Any, case_id: Any, among: Sequence[str] | None) -> Iterator[Any]:
        """Rows of a query; of those cases only, a batch at a time, where some are named."""
        if among is None:
            yield from self._session.execute(query)
            return
        for batch in batches(among):
            yield from self._session.execute(query.where(case_id.in_(batch)))

    def _mapping(self, query: AnySelect) -> dict[Any, Any]:
        """First column -> second column."""
        return {row[0]: row[1] for row in self._session.execute(query)}

    def _require(self, model: type[Model], key: str, entity: str, *, lock: bool = False) -> Model:
        """The row of that id, or NotFound.

        With `lock`, writers that ask for the same row wait until this transaction ends (on
        SQLite the write transaction holds the only write lock anyway).
        """
        where = model.id == key  # type: ignore[attr-defined]
        query = select(model).where(where).execution_options(populate_existing=lock)
        if lock:
            query = query.with_for_update(key_share=True)
        row = self._session.scalars(query).one_or_none()
        if row is None:
            raise NotFound(entity, key)
        return row


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a database refuses into the store's own errors."""
    try:
        yield
    except IntegrityError as error:
        if _breaks_foreign_key(error.orig):
            raise NotFound("row", "that this one refers to") from error
        raise Conflict(f"refused by the database: {error.orig}") from error
    except StatementError as error:
        if isinstance(error.orig, (ValueError, TypeError)):
            raise InvalidValue(str(error.orig)) from error
        raise
    except (ValueError, TypeError) as error:  # psycopg turns values into text itself
        raise InvalidValue(str(error)) from error


def _breaks_foreign_key(error: object) -> bool:
    sqlite_name = getattr(error, "sqlite_errorname", None)
    return (
        sqlite_name == "SQLITE_CONSTRAINT_FOREIGNKEY" or getattr(error, "sqlstate", None) == "23503"
    )


def _field_names(record: type[Any]) -> tuple[str, ...]:
    names = _NAMES.get(record)
    if names is None:
        names = _NAMES[record] = tuple(each.name for each in fields(record))
    return names


def build(record: type[Record], row: Any, **extra: Any) -> Record:
    """A record whose fields are read off `row` by name, except those given."""
    names = _field_names(record)
    values = {name: getattr(row, name) for name in names if name not in extra}
    return record(**values, **extra)


def values_of(record: Any) -> dict[str, Any]:
    """The fields of a record, not copied deeply."""
    return {name: getattr(record, name) for name in _field_names(type(record))}


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """Lists of at most `size` items, in order."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def checked_id(value: str) -> str:
    """The canonical form of a uuid string; InvalidValue for anything else."""
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise InvalidValue(f"not a valid id: {value!r}") from None


def checked_word(value: str, allowed: Any, what: str) -> str:
    """`value` if it is one of the words of a Literal, else InvalidValue."""
    words = get_args(allowed)
    if value not in words:
        raise InvalidValue(f"{what} must be one of {', '.join(words)}, not {value!r}")
    return value


def cleaned(value: str) -> str:
    """Text that every back end can keep: no NUL, no lone surrogates."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def checked_name(value: str, what: str) -> str:
    """A trimmed, non-empty, cleaned name, or InvalidValue."""
    name = cleaned(value).strip()
    if not name:
        raise InvalidValue(f"a {what} must not be empty")
    return name


def same_content(row: object, expected: Mapping[str, Any]) -> bool:
    """Whether a stored row says what is said again (numbers and lists as JSON sees them)."""
    return all(_plain(getattr(row, name)) == _plain(value) for name, value in expected.items())


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list, tuple)) else value


def like_pattern(text: str) -> str:
    """A LIKE pattern for "contains", with `\\` as the escape character."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
