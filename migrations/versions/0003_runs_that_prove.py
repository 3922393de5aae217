"""Words on metadata columns, decisions on versions, live curves of runs.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from migrations.schema import (
    BIG,
    ID,
    INT,
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

revision: str = "0003"
down_revision: str | None = "0002"

EVENTS = ("column_verdicts", "version_events")


def upgrade() -> None:
    """Make the three tables; the two event tables take part in the one count of events."""
    _column_verdicts()
    _version_events()
    _run_points()
    keep_append_only(EVENTS)
    if on_server():
        for table in EVENTS:
            op.execute(
                f"ALTER TABLE {table} ALTER COLUMN seq SET DEFAULT nextval('insight_events')"
            )


def downgrade() -> None:
    """Remove what `upgrade` made, with what was said in it."""
    for table in ("run_points", "version_events", "column_verdicts"):
        op.drop_table(table)


def _column_verdicts() -> None:
    table = "column_verdicts"
    op.create_table(
        table,
        counter(),
        *cols(ID, "id", "project_id", "reviewer_id"),
        *cols(TEXT, "column_name", "value", "comment"),
        *cols(TEXT, "reason", nullable=True),
        *cols(INT, "revision"),
        *cols(TIME, "created_at"),
        one_of(table, "value", "correct spurious unsure withdrawn"),
        check(table, "revision", "revision >= 1"),
        *keys(table, project_id="projects", reviewer_id="reviewers"),
        primary(table, "seq"),
        unique(table, "id"),
        unique(table, "project_id", "column_name", "reviewer_id", "revision"),
    )


def _version_events() -> None:
    table = "version_events"
    op.create_table(
        table,
        counter(),
        *cols(ID, "id", "project_id", "version_id"),
        *cols(ID, "reviewer_id", "former_id", "run_id", nullable=True),
        *cols(TEXT, "kind", "reason"),
        *cols(TIME, "created_at"),
        one_of(table, "kind", "activate rollback discard"),
        *keys(
            table, project_id="projects", version_id="model_versions", reviewer_id="reviewers",
            former_id="model_versions", run_id="runs",
        ),
        primary(table, "seq"),
        unique(table, "id"),
    )  # fmt: skip
    index(table, "project_id", "seq")
    index(table, "version_id", "seq")


def _run_points() -> None:
    table = "run_points"
    op.create_table(
        table,
        *cols(ID, "run_id"),
        *cols(TEXT, "series"),
        sa.Column("step", BIG, nullable=False, autoincrement=False),
        *cols(REAL, "value"),
        *keys(table, run_id="runs"),
        primary(table, "run_id", "series", "step"),
    )
