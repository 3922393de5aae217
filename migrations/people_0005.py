"""0005: audit lines and frozen pins name people by id; audit lines get their project."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

PROGRAMS = "'engine', 'ingest', 'insight', 'system', 'worker'"
ACTORS = f"""
UPDATE audit_log SET actor = 'person:' ||
    (SELECT r.id FROM reviewers r WHERE r.name = audit_log.actor)
WHERE actor NOT IN ({PROGRAMS}) AND EXISTS (SELECT 1 FROM reviewers r WHERE r.name = actor)
"""
NAMED = {  # action -> the field of its detail that held a name
    "member.role": "reviewer",
    "cases.assigned": "assignee",
    "case.assigned": "assignee",
    "case.unassigned": "assignee",
}
# What a line speaks of -> the table that knows its project.
TABLES = {
    "version": "model_versions", "run": "runs", "verdict": "verdicts", "image": "images",
    "assessment": "assessments", "drawing": "drawings", "note": "notes", "concept": "concepts",
    "proposal": "proposals", "collection": "collections", "class verdict": "class_verdicts",
    "queue mark": "queue_marks", "assignment": "assignments", "case": "cases",
    "adjudication": "adjudications",
}  # fmt: skip
BATCH = 1000


def name_by_id() -> None:
    """Rewrite what earlier versions stored; what names nobody known stays as it is."""
    op.execute(ACTORS)
    for sql in _projects():
        op.execute(sql)
    known = op.get_bind().execute(sa.text("SELECT name, id FROM reviewers"))
    people: dict[str, str] = {row.name: row.id for row in known}
    lines = sa.table("audit_log", sa.column("id"), sa.column("detail", sa.JSON()))
    wanted = sa.column("action").in_(sorted(NAMED))
    for row in _rows(lines.c.id, lines.c.detail, sa.column("action"), where=wanted):
        _put(lines, lines.c.id, row.id, "detail", row.detail, [(row.detail, NAMED[row.action])],
             people)  # fmt: skip
    _assigned_batches()
    pins = sa.table("pins", sa.column("seq"), sa.column("frozen", sa.JSON()))
    for row in _rows(pins.c.seq, pins.c.frozen):
        words = [(word, "reviewer") for cue in row.frozen.get("cues", ()) for word in cue["words"]]
        _put(pins, pins.c.seq, row.seq, "frozen", row.frozen, words, people)


def _projects() -> Iterator[str]:
    yield (
        "UPDATE audit_log SET project_id = entity_id WHERE entity = 'project' "
        "AND EXISTS (SELECT 1 FROM projects p WHERE p.id = entity_id)"
    )
    for entity, table in TABLES.items():
        yield (
            "UPDATE audit_log SET project_id = "
            f"(SELECT t.project_id FROM {table} t WHERE t.id = audit_log.entity_id) "
            f"WHERE entity = '{entity}' AND project_id IS NULL"
        )
    yield (
        "UPDATE audit_log SET project_id = (SELECT c.project_id FROM cues u "
        "JOIN cases c ON c.id = u.case_id WHERE u.id = audit_log.entity_id) "
        "WHERE entity = 'cue' AND project_id IS NULL"
    )


def _assigned_batches() -> None:
    """A line on several cases at once stands beside their rows: the same person, just before."""
    op.execute(
        "UPDATE audit_log SET project_id = (SELECT a.project_id FROM assignments a "
        "WHERE 'person:' || a.by_id = audit_log.actor AND a.created_at <= audit_log.at "
        "ORDER BY a.created_at DESC, a.seq DESC LIMIT 1) "
        "WHERE action = 'cases.assigned' AND project_id IS NULL"
    )


def _rows(key: Any, *columns: Any, where: Any = None) -> Iterator[Any]:
    """Rows in batches, by a key that counts up."""
    after = 0
    while True:
        query = sa.select(key, *columns).where(key > after).order_by(key).limit(BATCH)
        found = op.get_bind().execute(query if where is None else query.where(where)).all()
        yield from found
        if len(found) < BATCH:
            return
        after = found[-1][0]


def _put(
    table: Any, key: Any, row: int, column: str, value: Any, places: list[tuple[Any, str]],
    people: dict[str, str],
) -> None:  # fmt: skip
    """Put ids in the place of the names at these places of a JSON value, and store it."""
    before = json.dumps(value)
    for holder, name in places:
        if holder.get(name) in people:
            holder[name] = f"person:{people[holder[name]]}"
    if json.dumps(value) != before:
        op.get_bind().execute(sa.update(table).where(key == row).values({column: value}))
