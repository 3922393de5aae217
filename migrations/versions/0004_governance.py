"""Success criteria, decisions, schedules, exports.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from migrations.schema import (
    BIG,
    BOOL,
    ID,
    INT,
    JSON,
    REAL,
    TEXT,
    TIME,
    check,
    cols,
    counter,
    index,
    keep_append_only,
    keys,
    on_server,
    one_of,
    primary,
    unique,
)

revision: str = "0004"
down_revision: str | None = "0003"

EVENTS = ("criteria", "decisions", "schedules", "exports")


def upgrade() -> None:
    """Make the four event tables; they take part in the one count of events."""
    _criteria()
    _decisions()
    _schedules()
    _exports()
    keep_append_only(EVENTS)
    if on_server():
        for table in EVENTS:
            op.execute(
                f"ALTER TABLE {table} ALTER COLUMN seq SET DEFAULT nextval('insight_events')"
            )


def downgrade() -> None:
    """Remove what `upgrade` made, with what was said in it."""
    for table in reversed(EVENTS):
        op.drop_table(table)


def _event(
    table: str, *parts: sa.Column[object] | sa.Constraint, anybody: bool = True, **refs: str
) -> None:
    op.create_table(
        table,
        counter(),
        *cols(ID, "id", "project_id"),
        *cols(ID, "reviewer_id", nullable=not anybody),
        *parts,
        *cols(TIME, "created_at"),
        *keys(table, project_id="projects", reviewer_id="reviewers", **refs),
        primary(table, "seq"),
        unique(table, "id"),
    )


def _criteria() -> None:
    table = "criteria"
    _event(
        table,
        *cols(TEXT, "measure", "comparator", "reason"),
        *cols(REAL, "threshold", nullable=True),
        *cols(INT, "revision"),
        one_of(table, "comparator", ">= <="),
        check(table, "revision", "revision >= 1"),
        unique(table, "project_id", "measure", "revision"),
    )


def _decisions() -> None:
    table = "decisions"
    _event(
        table,
        *cols(TEXT, "subject", "title", "choice", "reason"),
        *cols(TEXT, "subject_id", nullable=True),
        *cols(JSON, "evidence"),
        *cols(ID, "supersedes", nullable=True),
        one_of(table, "subject", "threshold criterion version run report drift other"),
        unique(table, "supersedes"),
        supersedes="decisions",
    )
    index(table, "project_id", "subject", "seq")
    index(table, "project_id", "subject_id")


def _schedules() -> None:
    table = "schedules"
    _event(
        table,
        *cols(ID, "schedule_id"),
        *cols(TEXT, "name"),
        *cols(JSON, "spec"),
        *cols(BOOL, "active"),
        *cols(INT, "revision"),
        check(table, "revision", "revision >= 1"),
        unique(table, "schedule_id", "revision"),
    )
    index(table, "project_id", "seq")


def _exports() -> None:
    table = "exports"
    _event(
        table,
        *cols(TEXT, "kind", "format", "sha256"),
        *cols(JSON, "scope"),
        *cols(BIG, "size"),
        *cols(TEXT, "path", "version_hash", nullable=True),
        *cols(ID, "schedule_id", nullable=True),
        one_of(table, "kind", "report data card archive extract"),
        check(table, "size", "size >= 0"),
        anybody=False,
    )
    index(table, "project_id", "kind", "seq")
    index(table, "sha256")
    index(table, "schedule_id", "seq")
