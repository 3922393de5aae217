"""Every row of a project, as plain JSON, out of one store and into another.

Unlike the log (what people said, said again over a catalogue that is there), this carries the
catalogue as well: ids are kept, rows are the same rows. Left out is what ends by itself (leases)
and what is worked out from the rest (counters). A table that is new takes part by itself: what
belongs to a project is found by its `project_id`, or by the foreign key that leads to one.

The order of events is carried as a place (0, 1, ... over all event tables): `seq` itself counts
in one database only.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, func, insert, select, text, update
from sqlalchemy.orm import Session

from db.archive_columns import as_json, from_json
from db.errors import Conflict, InvalidValue, NotFound
from db.models import Base, ModelVersion, Project, Reviewer
from db.repositories.base import Repository, batches, translated
from db.repositories.recount import Recount

LEFT_OUT: Final = frozenset(
    {"leases", "case_words", "queue_progress", "concept_tallies"}  # ends by itself; counters
    | {"chain_entries", "chain_heads"}  # carried by the chain itself
    | {"reviewers"}  # belong to no project: read and taken apart
)
PLACE: Final = "@place"  # no column has such a name
PEOPLE: Final = "reviewers"
ROWS = 500  # rows read and written at a time
_PERSON = re.compile(r"person:([0-9a-f-]{36})")
_TABLES: dict[str, Table] = {
    table.name: table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT
}
_REVIEWERS: Table = Reviewer.__table__  # type: ignore[assignment]
_EVENTS: Final = tuple(name for name, table in _TABLES.items() if "seq" in table.c)
TABLES: Final = (PEOPLE, *_TABLES)
"""The tables that are carried, each after those that it refers to."""


class ArchiveRows(Repository):
    """Reads and writes whole projects; one transaction, like every repository.

    Rows go in without an entry in the audit chain: the chain comes with its own entries.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # References that are set at the end, because two tables refer to each other.
        self._late: list[tuple[Table, str, dict[str, Any]]] = []

    def freeze(self) -> None:
        """See the store as it is at this moment until the transaction ends; call it first."""
        if not _on_sqlite(self._session):  # there every transaction sees one moment anyway
            self._session.connection(execution_options={"isolation_level": "REPEATABLE READ"})

    def events(self, project_id: str) -> int:
        """How many events a project has, over all event tables."""
        counts = (
            select(func.count()).select_from(_TABLES[name]).where(_owned(name, project_id))
            for name in _EVENTS
        )
        return sum(self._session.scalar(query) or 0 for query in counts)

    def read(self, project_id: str, table: str) -> Iterator[dict[str, Any]]:
        """The project's rows of one of TABLES, in an order that depends on the rows alone."""
        if table == PEOPLE:
            yield from self._people(project_id)
            return
        seqs = self._seqs(project_id) if table in _EVENTS else array("q")
        yield from self._rows(_TABLES[table], _owned(table, project_id), seqs)

    def write(
        self, project_id: str, table: str, rows: Iterable[dict[str, Any]], places: Sequence[int]
    ) -> int:
        """Insert rows as `read` gives them (but for people) and say how many.

        Args:
            places: of `reserve`: the `seq` of each event by its place.

        Raises InvalidValue for a row that does not fit its table or is another project's, Conflict
        for a row that is known already, NotFound for one that refers to nothing.
        """
        found = _TABLES[table]
        late = {column.name for column in found.c if _is_late(column)}
        written = 0
        for batch in batches(rows, ROWS):
            values = [_row_in(found, project_id, row, places) for row in batch]
            now = [row | dict.fromkeys(late) for row in values] if late else values
            with translated():
                self._session.execute(insert(found), now)
            self._late += [
                (found, row["id"], {name: row[name] for name in late}) for row in values if late
            ]
            written += len(batch)
        return written

    def reserve(self, events: int) -> list[int]:
        """As many fresh places in the one count of events, ascending."""
        if events < 1:
            return []
        if _on_sqlite(self._session):
            tables = (_TABLES[name].c.seq for name in _EVENTS)
            last = max(self._session.scalar(select(func.max(seq))) or 0 for seq in tables)
            return list(range(last + 1, last + 1 + events))
        query = text("SELECT nextval('insight_events') FROM generate_series(1, :events)")
        return sorted(self._session.scalars(query, {"events": events}))

    def meet(self, rows: Iterable[dict[str, Any]]) -> dict[str, str]:
        """Take in the people whom this store does not know.

        Returns id -> name of those who get another name here, because somebody else has theirs.
        """
        renamed: dict[str, str] = {}
        for row in rows:
            values = _row_in(_REVIEWERS, None, row, [])
            if self._session.get(Reviewer, values["id"]) is not None:
                continue
            name = self._free_name(values["name"])
            if name != values["name"]:
                renamed[values["id"]] = name
            with translated():
                self._session.execute(insert(_REVIEWERS), [values | {"name": name}])
        return renamed

    def settle(self, project_id: str) -> None:
        """The end of `write`: rows that refer to one another are joined, counters worked out.

        Raises NotFound where a row refers to one that is not of this project.
        """
        for table, key, values in self._late:
            with translated():
                self._session.execute(update(table).where(table.c.id == key).values(**values))
        self._late.clear()
        for name in _TABLES:
            self._refuse_strangers(name, project_id)
        self._session.expire_all()
        versions = select(ModelVersion.id).where(ModelVersion.project_id == project_id)
        for version_id in sorted(self._session.scalars(versions)):
            Recount(self._session).everything(version_id)

    def refuse_known(self, project_id: str, name: str) -> None:
        """Raises Conflict where this project, or one of that name, is here already."""
        taken = self._session.get(Project, project_id)
        if taken is not None:
            raise Conflict(f"this project is here already, as {taken.name!r}")
        if self._session.scalar(select(Project.id).where(Project.name == name)) is not None:
            raise Conflict(f"a project named {name!r} is here already: give another name")

    def _people(self, project_id: str) -> Iterator[dict[str, Any]]:
        """Everybody whom a row of the project names, by id."""
        known: set[str] = set()
        for name, table in _TABLES.items():
            for column in table.c:
                if any(key.column.table.name == PEOPLE for key in column.foreign_keys):
                    query = select(column).where(_owned(name, project_id), column.is_not(None))
                    known.update(self._session.scalars(query.distinct()))
        known |= self._actors(project_id)
        for batch in batches(sorted(known), ROWS):
            yield from self._rows(_REVIEWERS, _REVIEWERS.c.id.in_(batch), array("q"))

    def _actors(self, project_id: str) -> set[str]:
        log = _TABLES["audit_log"]
        query = select(log.c.actor).where(_owned("audit_log", project_id)).distinct()
        found = (_PERSON.fullmatch(actor) for actor in self._session.scalars(query))
        return {match[1] for match in found if match}

    def _seqs(self, project_id: str) -> "array[int]":
        """Every event's `seq`, ascending: 8 bytes each."""
        found = array("q")
        for name in _EVENTS:
            query = select(_TABLES[name].c.seq).where(_owned(name, project_id))
            found.extend(self._session.scalars(query.execution_options(yield_per=ROWS)))
        return array("q", sorted(found))

    def _rows(
        self, table: Table, where: ColumnElement[bool], seqs: "array[int]"
    ) -> Iterator[dict[str, Any]]:
        query = select(table).where(where).order_by(*_order(table))
        for row in self._session.execute(query.execution_options(yield_per=ROWS)):
            values = row._mapping
            plain = {
                column.name: as_json(column, values[column])
                for column in table.c
                if not _counts(column)
            }
            yield plain | {PLACE: bisect_left(seqs, values["seq"])} if "seq" in table.c else plain

    def _free_name(self, name: str) -> str:
        query = select(Reviewer.name).where(Reviewer.name.startswith(name, autoescape=True))
        taken = set(self._session.scalars(query))
        at = 2
        free = name
        while free in taken:
            free, at = f"{name} ({at})", at + 1
        return free

    def _refuse_strangers(self, name: str, project_id: str) -> None:
        """Every reference of these rows stays within the project."""
        table = _TABLES[name]
        for column in table.c:
            for key in column.foreign_keys:
                target = key.column.table.name
                if target not in _TABLES or target == "projects":
                    continue
                own = select(key.column).where(_owned(target, project_id))
                query = select(column).where(
                    _owned(name, project_id), column.is_not(None), column.not_in(own)
                )
                stray = self._session.scalars(query.limit(1)).first()
                if stray is not None:
                    raise NotFound(f"{column.name} of {name} in this project:", stray)


def _on_sqlite(session: Any) -> bool:
    return bool(session.get_bind().dialect.name == "sqlite")


def _owned(name: str, project_id: str) -> ColumnElement[bool]:
    """The rows of a table that belong to a project."""
    table = _TABLES[name]
    if name == "projects":
        return table.c.id == project_id
    if "project_id" in table.c:
        return table.c.project_id == project_id
    for column in table.c:
        for key in column.foreign_keys:
            target = key.column.table.name
            if target in _TABLES:
                return column.in_(select(key.column).where(_owned(target, project_id)))
    raise LookupError(f"nothing leads from {name} to a project")


def _counts(column: Column[Any]) -> bool:
    """Whether the database makes the value itself, so that it means nothing elsewhere."""
    return column.name == "seq" or (column.table.name == "audit_log" and column.name == "id")


def _is_late(column: Column[Any]) -> bool:
    """Whether it refers to a table that refers back."""
    return any(getattr(key.constraint, "use_alter", False) for key in column.foreign_keys)


def _order(table: Table) -> list[ColumnElement[Any]]:
    if "seq" in table.c:
        return [table.c.seq]
    if table.name == "concept_names":
        return [table.c.concept_id, table.c.revision]
    return list(table.primary_key.columns)


def _row_in(
    table: Table, project_id: str | None, row: dict[str, Any], places: Sequence[int]
) -> dict[str, Any]:
    wanted = {column.name for column in table.c if not _counts(column)}
    given = set(row) - ({PLACE} if "seq" in table.c else set())
    if given != wanted:
        odd = min(given ^ wanted)
        raise InvalidValue(f"column {odd!r} is {'unknown' if odd in given else 'missing'}")
    values = {name: from_json(table.c[name], row[name]) for name in sorted(wanted)}
    owner = values.get("id") if table.name == "projects" else values.get("project_id", project_id)
    if project_id is not None and owner != project_id:
        raise InvalidValue("the row belongs to another project")
    if "seq" in table.c:
        place = row.get(PLACE)
        if type(place) is not int or not 0 <= place < len(places):
            raise InvalidValue("the row has no place among the events")
        values["seq"] = places[place]
    return values
