"""0005: an entry for every row that was said before there was a chain.

The algorithm of db.chain as it was at 0005, on reflected tables: it must never change.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

TAG = "insight-chain-1"
WORKSPACE = "workspace"
BATCH = 1000
EVENTS = (
    "verdicts", "assessments", "drawings", "notes", "class_verdicts", "concept_marks", "proposals",
    "proposal_decisions", "queue_marks", "assignments", "members", "project_settings",
    "adjudications", "collections", "pins", "training_answers", "column_verdicts",
    "version_events", "criteria", "decisions", "schedules", "exports",
)  # fmt: skip


def fill_uids() -> None:
    """An id for every audit line that is the same wherever the line goes."""
    bind = op.get_bind()
    fill = sa.text("UPDATE audit_log SET uid = :uid WHERE id = :id")
    after = 0
    while True:
        query = sa.text("SELECT id FROM audit_log WHERE id > :after ORDER BY id LIMIT :size")
        found = bind.execute(query, {"after": after, "size": BATCH}).scalars().all()
        if not found:
            return
        bind.execute(fill, [{"uid": str(uuid4()), "id": each} for each in found])
        after = found[-1]


def chain_everything() -> None:
    """The chains: events in their order, then names, then audit lines."""
    tables = sa.MetaData()
    tables.reflect(op.get_bind(), only=[*EVENTS, "concept_names", "audit_log"])
    projects = op.get_bind().execute(sa.text("SELECT id FROM projects ORDER BY id")).scalars()
    for project in (*projects.all(), None):
        _Chain(tables, project).write()


class _Chain:
    """One chain while it is written."""

    def __init__(self, tables: sa.MetaData, project: str | None) -> None:
        self.tables = tables.tables
        self.project = project
        self.name = WORKSPACE if project is None else project
        self.place = 0
        self.hash = _digest({"chain": TAG, "project": self.name, "place": 0})
        self.top = {"seq": 0, "id": 0}

    def write(self) -> None:
        parts = [("audit_log", self._ids("audit_log", "id"))]
        if self.project is not None:
            parts = [("", self._events()), ("concept_names", self._names()), *parts]
        for table, keys in parts:
            for batch in _batches(keys):
                self._extend([(table or own, key) for own, key in batch])
        if not self.place:
            return
        op.get_bind().execute(
            sa.text("INSERT INTO chain_heads VALUES (:project, :place, :hash, :event, :line)"),
            {"project": self.name, "place": self.place, "hash": self.hash,
             "event": self.top["seq"], "line": self.top["id"]},
        )  # fmt: skip

    def _events(self) -> Iterator[tuple[str, Any]]:
        """(table, seq) of every event, in their one order."""
        query = " UNION ALL ".join(
            f"SELECT '{name}' AS name, seq FROM {name} WHERE project_id = :project"
            for name in EVENTS
        )
        found = op.get_bind().execute(
            sa.text(f"{query} ORDER BY seq, name"), {"project": self.project}
        )
        yield from ((row.name, row.seq) for row in found.all())

    def _names(self) -> Iterator[tuple[str, Any]]:
        query = sa.text(
            "SELECT n.id FROM concept_names n JOIN concepts c ON c.id = n.concept_id "
            "WHERE c.project_id = :project ORDER BY n.created_at, n.concept_id, n.revision, n.id"
        )
        found = op.get_bind().execute(query, {"project": self.project})
        yield from (("concept_names", each) for each in found.scalars().all())

    def _ids(self, table: str, key: str) -> Iterator[tuple[str, Any]]:
        known = self.tables[table]
        query = sa.select(known.c[key]).where(known.c.project_id == self.project)
        found = op.get_bind().execute(query.order_by(known.c[key])).scalars()
        yield from ((table, each) for each in found.all())

    def _extend(self, keys: list[tuple[str, Any]]) -> None:
        rows = self._rows(keys)
        entries = [self._entry(table, rows[table, key]) for table, key in keys]
        op.get_bind().execute(
            sa.text(
                "INSERT INTO chain_entries (project_id, place, table_name, row_id, row_hash, "
                "hash, behind, at) VALUES (:project_id, :place, :table_name, :row_id, :row_hash, "
                ":hash, 0, :at)"
            ).bindparams(sa.bindparam("at", type_=sa.DateTime(timezone=True))),
            entries,
        )

    def _rows(self, keys: list[tuple[str, Any]]) -> dict[tuple[str, Any], Any]:
        wanted: dict[str, list[Any]] = {}
        for table, key in keys:
            wanted.setdefault(table, []).append(key)
        found = {}
        for name, own in wanted.items():
            known = self.tables[name]
            key = known.c[_key(name)]
            for row in op.get_bind().execute(sa.select(known).where(key.in_(own))).mappings():
                found[name, row[key.key]] = row
        return found

    def _entry(self, name: str, row: Any) -> dict[str, Any]:
        self.place += 1
        audit = name == "audit_log"
        at = _utc(row["at" if audit else "created_at"])
        row_id = row["uid" if audit else "id"]
        hashed = _row_hash(self.tables[name], row)
        self.hash = _digest(
            {
                "chain": TAG, "project": self.name, "place": self.place, "former": self.hash,
                "table": name, "id": row_id, "row": hashed, "behind": 0, "at": _moment(at),
            }
        )  # fmt: skip
        clock = _key(name)
        if name != "concept_names":
            self.top[clock] = max(self.top[clock], row[clock])
        server = op.get_bind().dialect.name == "postgresql"
        return {
            "project_id": self.name, "place": self.place, "table_name": name, "row_id": row_id,
            "row_hash": hashed, "hash": self.hash, "at": at if server else at.replace(tzinfo=None),
        }  # fmt: skip


def _key(table: str) -> str:
    """The column by which rows are fetched, and (but for names) counted."""
    return "id" if table in ("concept_names", "audit_log") else "seq"


def _row_hash(table: sa.Table, row: Any) -> str:
    left_out = {"seq", "id"} if table.name == "audit_log" else {"seq"}
    content = {
        f"={column.name}": _as_json(column.type, row[column.name])
        for column in table.columns
        if column.name not in left_out
    }
    return _digest({"table": table.name, **content})


def _as_json(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, sa.DateTime):
        return _moment(_utc(value))
    if isinstance(kind, sa.Float) and type(value) is int:
        return float(value)
    if isinstance(kind, sa.Boolean):
        return bool(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _batches(keys: Iterator[Any]) -> Iterator[list[Any]]:
    batch = []
    for key in keys:
        batch.append(key)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
