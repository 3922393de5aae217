"""The audit chain: appended at each commit, read, and taken over with rows from elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, Table, and_, func, insert, select, type_coerce, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from db import chain_pending
from db.chain import entry_hash, genesis, row_hash
from db.chain_pending import Clock, Pending, key_of, order_of
from db.chain_records import ChainedRow, ChainEntryRecord, ChainHeadRecord
from db.errors import Conflict
from db.models import CHAINED, ChainEntry, ChainHead, Concept
from db.repositories.base import BATCH, AnySelect, Repository, batches, build
from db.repositories.chain_rows import ChainRows

_ENTRIES: Table = ChainEntry.__table__  # type: ignore[assignment]
_HEADS: Table = ChainHead.__table__  # type: ignore[assignment]
_AS_TEXT = {"at": String()}
_NEVER = datetime(1, 1, 1, tzinfo=UTC)  # stands for a time that cannot be read: no hash fits it


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return _NEVER


@dataclass
class _Head:
    """The end of a chain while it is being extended."""

    project_id: str
    place: int
    hash: str
    top: dict[Clock, int]

    def step(self, row: Pending, behind: int) -> dict[str, Any]:
        """The entry of a row, after which the head stands on it."""
        self.place += 1
        self.hash = entry_hash(
            project=self.project_id, place=self.place, former=self.hash, table=row.table,
            row_id=row.row_id, row_hash=row.row_hash, behind=behind, at=row.at,
        )  # fmt: skip
        return {
            "project_id": self.project_id, "place": self.place, "table_name": row.table,
            "row_id": row.row_id, "row_hash": row.row_hash, "hash": self.hash, "behind": behind,
            "at": row.at,
        }  # fmt: skip


class ChainRepository(Repository):
    """Append-only. Nobody need call `close`: every commit does."""

    def close(self) -> tuple[tuple[ChainHeadRecord, ...], frozenset[str]]:
        """Chain what was said in this transaction.

        Returns the heads that moved and the names of the tables that were written to.
        """
        rows = chain_pending.taken(self._session)
        if not rows:
            return (), frozenset()
        by_project: dict[str, list[Pending]] = {}
        for row in self._placed(rows):
            by_project.setdefault(str(row.project_id), []).append(row)
        # In one order everywhere: two writers never wait for each other in a circle.
        heads = tuple(self._extend(each, by_project[each]) for each in sorted(by_project))
        return heads, frozenset(row.table for row in rows)

    def head(self, project_id: str) -> ChainHeadRecord | None:
        """Where a chain ends; None where nothing was said."""
        row = self._session.get(ChainHead, project_id, populate_existing=True)
        return None if row is None else build(ChainHeadRecord, row)

    def heads(self) -> tuple[ChainHeadRecord, ...]:
        """The ends of all chains, by project id."""
        rows = self._session.execute(select(_HEADS).order_by(_HEADS.c.project_id))
        return tuple(ChainHeadRecord(row.project_id, row.place, row.hash) for row in rows)

    def read(self, project_id: str, after: int = 0) -> Iterator[ChainEntryRecord]:
        """The entries of a chain in order, behind the place `after`; a batch at a time."""
        while True:
            query = (
                select(_ENTRIES)
                .where(_ENTRIES.c.project_id == project_id, _ENTRIES.c.place > after)
                .order_by(_ENTRIES.c.place)
                .limit(BATCH)
            )
            found = self._entries(query)
            yield from found
            if len(found) < BATCH:
                return
            after = found[-1].place

    def _entries(self, query: AnySelect) -> list[ChainEntryRecord]:
        try:
            return [build(ChainEntryRecord, row) for row in self._session.execute(query)]
        except ValueError:  # a time that is none: only a forger on SQLite can have written it
            columns = [type_coerce(c, _AS_TEXT.get(c.name, c.type)) for c in _ENTRIES.c]
            named = (c.label(known.name) for c, known in zip(columns, _ENTRIES.c, strict=True))
            raw = query.with_only_columns(*named)
            return [
                build(ChainEntryRecord, row, at=_time(row.at)) for row in self._session.execute(raw)
            ]

    def rows(self, project_id: str) -> Iterator[ChainedRow]:
        """The entries in order, each with what its row holds now; a batch at a time."""
        rows = ChainRows(self._session)
        for batch in batches(self.read(project_id)):
            stored = rows.stored(batch)
            for entry in batch:
                row = stored.get((entry.table_name, entry.row_id))
                yield ChainedRow(entry, row.content if row and row.readable else None)

    def adopt(self, project_id: str, entries: Iterable[ChainEntryRecord]) -> int:
        """Take over the chain that came with rows from elsewhere; returns how many are new.

        Call it in the transaction that inserted the rows (with their own ids and times, in their
        order), before its commit. What this store has already must be the same; a chain that
        ends earlier is continued. Audit lines that a retention took away need not be there.

        Raises Conflict where an entry does not follow the one before it or its row differs.
        """
        head = self._locked(project_id)
        rows = ChainRows(self._session)
        fresh = 0
        for batch in batches(entries):
            known = self._known_entries(project_id, batch)
            fresh += self._adopt_batch(head, rows, batch, known)
        self._move(head)
        return fresh

    def _adopt_batch(
        self, head: _Head, rows: ChainRows, batch: Sequence[ChainEntryRecord],
        known: Mapping[int, ChainEntryRecord],
    ) -> int:  # fmt: skip
        stored = rows.stored(batch)
        made = []
        for entry in batch:
            if entry.place in known:
                if known[entry.place] != entry:
                    raise Conflict(f"the audit chain here differs from place {entry.place} on")
                continue
            row = stored.get((entry.table_name, entry.row_id))
            if row is None and not rows.is_retained(entry):
                raise Conflict(f"place {entry.place}: no row {entry.table_name} {entry.row_id}")
            if row is not None and row_hash(entry.table_name, row.content) != entry.row_hash:
                raise Conflict(
                    f"place {entry.place}: {entry.table_name} {entry.row_id} was changed"
                )
            chain_pending.settle(self._session, entry.table_name, entry.row_id)
            made.append(self._follow(head, entry, row.order if row else None))
        if made:
            self._session.execute(insert(_ENTRIES), made)
        return len(made)

    def _follow(self, head: _Head, entry: ChainEntryRecord, order: int | None) -> dict[str, Any]:
        model = next((each for each in CHAINED if each.__tablename__ == entry.table_name), None)
        if model is None or entry.project_id != head.project_id:
            raise Conflict(f"place {entry.place} of the audit chain belongs elsewhere")
        row = Pending(model, entry.row_id, entry.project_id, entry.row_hash, entry.at, order)
        made = head.step(row, entry.behind)
        if (head.place, head.hash) != (entry.place, entry.hash):
            raise Conflict(f"place {entry.place} of the audit chain does not follow the former one")
        if row.clock is not None and order is not None:
            head.top[row.clock] = max(head.top[row.clock], order)
        return made

    def _known_entries(
        self, project_id: str, batch: Sequence[ChainEntryRecord]
    ) -> dict[int, ChainEntryRecord]:
        query = select(_ENTRIES).where(
            _ENTRIES.c.project_id == project_id,
            _ENTRIES.c.place.in_([entry.place for entry in batch]),
        )
        return {row.place: build(ChainEntryRecord, row) for row in self._session.execute(query)}

    def _placed(self, rows: Sequence[Pending]) -> list[Pending]:
        """The rows with their project and number, read where the writer did not know them."""
        concepts = [row.concept_id for row in rows if row.concept_id is not None]
        projects: dict[str, str] = {}
        for ids in batches(sorted(set(concepts))):
            query = select(Concept.id, Concept.project_id).where(Concept.id.in_(ids))
            projects |= self._mapping(query)
        found = [chain_pending.with_project(row, projects) for row in rows]
        blank = [row for row in found if row.clock is not None and row.order is None]
        if not blank:
            return found
        orders: dict[str, int] = {}
        for model in {row.model for row in blank}:
            own = [row.row_id for row in blank if row.model is model]
            for ids in batches(own):
                key = key_of(model)
                orders |= self._mapping(select(key, order_of(model)).where(key.in_(ids)))
        return [
            replace(row, order=orders[row.row_id]) if row.row_id in orders else row for row in found
        ]

    def _extend(self, project_id: str, rows: Sequence[Pending]) -> ChainHeadRecord:
        head = self._locked(project_id)
        made = []
        later: dict[Clock, list[int]] = {"event": [], "line": []}
        for row in rows:
            behind = 0
            if row.clock is not None and row.order is not None:
                if row.order < head.top[row.clock]:
                    behind = self._behind(head, row, rows)
                    behind += sum(order > row.order for order in later[row.clock])
                later[row.clock].append(row.order)
                head.top[row.clock] = max(head.top[row.clock], row.order)
            made.append(head.step(row, behind))
        for batch in batches(made):
            self._session.execute(insert(_ENTRIES), batch)
        self._move(head)
        return ChainHeadRecord(project_id, head.place, head.hash)

    def _behind(self, head: _Head, row: Pending, own: Sequence[Pending]) -> int:
        """How many rows that others chained before stand later in the order of the database."""
        models = [model for model in CHAINED if chain_pending.clock_of(model) == row.clock]
        mine = {each.row_id for each in own}
        later = union_all(
            *(
                select(key_of(model).label("id"))
                .join(
                    ChainEntry,
                    and_(
                        ChainEntry.table_name == model.__tablename__,
                        ChainEntry.row_id == key_of(model),
                    ),
                )
                .where(order_of(model) > row.order, ChainEntry.project_id == head.project_id)
                for model in models
            )
        )
        return sum(found not in mine for found in self._session.scalars(later))

    def _locked(self, project_id: str) -> _Head:
        """The end of a chain; whoever else wants to extend it waits for this transaction."""
        query = select(_HEADS).where(_HEADS.c.project_id == project_id).with_for_update()
        row = self._session.execute(query).one_or_none()
        if row is None:
            server = self._session.get_bind().dialect.name == "postgresql"
            begin: Any = (postgresql if server else sqlite).insert(_HEADS).values(
                project_id=project_id, place=0, hash=genesis(project_id), top_event=0, top_line=0
            )  # fmt: skip
            self._session.execute(begin.on_conflict_do_nothing())
            row = self._session.execute(query).one()
        return _Head(
            project_id, row.place, row.hash, {"event": row.top_event, "line": row.top_line}
        )

    def _move(self, head: _Head) -> None:
        self._session.execute(
            update(_HEADS)
            .where(_HEADS.c.project_id == head.project_id)
            .values(
                place=head.place, hash=head.hash, top_event=head.top["event"],
                top_line=head.top["line"],
            )
        )  # fmt: skip

    def count(self, project_id: str, before: datetime | None = None) -> int:
        """How many entries a chain has; of those said before a moment."""
        query = select(func.count()).select_from(_ENTRIES)
        query = query.where(_ENTRIES.c.project_id == project_id)
        if before is not None:
            query = query.where(_ENTRIES.c.at < before)
        return self._session.scalar(query) or 0
