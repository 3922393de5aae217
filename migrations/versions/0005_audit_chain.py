"""The audit chain, redaction and retention; audit lines know their project and people by id.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from migrations import chain_0005, people_0005
from migrations.schema import (
    BIG,
    ID,
    INT,
    TEXT,
    TIME,
    check,
    cols,
    counter,
    index,
    keep_append_only,
    keys,
    on_server,
    primary,
    unique,
)

revision: str = "0005"
down_revision: str | None = "0004"

EVENTS = ("redactions", "retentions")


def upgrade() -> None:
    """Make the tables, put ids in the place of names, and chain everything that was said."""
    _chain()
    _redactions()
    _retentions()
    keep_append_only((*EVENTS, "chain_entries"))
    if on_server():
        for table in EVENTS:
            op.execute(
                f"ALTER TABLE {table} ALTER COLUMN seq SET DEFAULT nextval('insight_events')"
            )
    _release("audit_log", "pins")
    _widen_audit_log()
    people_0005.name_by_id()
    _keep_audit_log()
    keep_append_only(("pins",))
    chain_0005.chain_everything()


def downgrade() -> None:
    """Remove what `upgrade` made. People stay named by id: a redacted name is not known."""
    _release("audit_log")
    if on_server():
        op.drop_column("audit_log", "project_id")
        op.drop_column("audit_log", "uid")
        op.execute("DROP FUNCTION insight_retained()")
    else:
        op.drop_index("ix_audit_log_project_id_id", "audit_log")
        with op.batch_alter_table("audit_log") as table:
            table.drop_constraint("uq_audit_log_uid", type_="unique")
            table.drop_column("project_id")
            table.drop_column("uid")
    keep_append_only(("audit_log",))
    for name in ("chain_heads", "chain_entries", "retentions", "redactions"):
        op.drop_table(name)


def _chain() -> None:
    op.create_table(
        "chain_entries",
        *cols(ID, "project_id"),
        sa.Column("place", BIG, nullable=False, autoincrement=False),
        *cols(TEXT, "table_name"),
        *cols(ID, "row_id"),
        *cols(TEXT, "row_hash", "hash"),
        *cols(INT, "behind"),
        *cols(TIME, "at"),
        primary("chain_entries", "project_id", "place"),
        unique("chain_entries", "table_name", "row_id"),
    )
    op.create_table(
        "chain_heads",
        *cols(ID, "project_id"),
        *cols(BIG, "place"),
        *cols(TEXT, "hash"),
        *cols(BIG, "top_event", "top_line"),
        primary("chain_heads", "project_id"),
    )


def _redactions() -> None:
    table = "redactions"
    op.create_table(
        table,
        counter(),
        *cols(ID, "id", "project_id", "reviewer_id", "person_id"),
        *cols(TEXT, "pseudonym", "reason"),
        *cols(TIME, "created_at"),
        *keys(table, project_id="projects", reviewer_id="reviewers", person_id="reviewers"),
        primary(table, "seq"),
        unique(table, "id"),
    )
    index(table, "person_id")


def _retentions() -> None:
    table = "retentions"
    op.create_table(
        table,
        counter(),
        *cols(ID, "id"),
        *cols(ID, "project_id", nullable=True),
        *cols(ID, "reviewer_id"),
        *cols(TIME, "older_than"),
        *cols(TEXT, "reason"),
        *cols(INT, "count"),
        *cols(TIME, "created_at"),
        *keys(table, project_id="projects", reviewer_id="reviewers"),
        check(table, "count", "count >= 0"),
        primary(table, "seq"),
        unique(table, "id"),
    )
    index(table, "project_id", "older_than")


def _release(*tables: str) -> None:
    """Let rows be changed while this migration, and nobody else, is at work."""
    for table in tables:
        names = ("append_only", "no_truncate") if on_server() else ("no_update", "no_delete")
        for name in names:
            on = f" ON {table}" if on_server() else ""
            op.execute(f"DROP TRIGGER {table}_{name}{on}")


def _widen_audit_log() -> None:
    op.execute("ALTER TABLE audit_log ADD COLUMN uid VARCHAR(36)")
    op.execute(
        "ALTER TABLE audit_log ADD COLUMN project_id VARCHAR(36) "
        "CONSTRAINT fk_audit_log_project_id_projects REFERENCES projects (id)"
    )
    chain_0005.fill_uids()
    if on_server():
        op.alter_column("audit_log", "uid", nullable=False)
        op.create_unique_constraint("uq_audit_log_uid", "audit_log", ["uid"])
    else:
        with op.batch_alter_table("audit_log") as table:
            table.alter_column("uid", existing_type=ID, nullable=False)
            table.create_unique_constraint("uq_audit_log_uid", ["uid"])
    index("audit_log", "project_id", "id")


def _keep_audit_log() -> None:
    """Never changed; removed only where a retention says so."""
    if not on_server():
        says = "SELECT RAISE(ABORT, 'audit_log is append-only')"
        op.execute(
            f"CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN {says}; END"
        )
        op.execute(
            "CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log "
            "WHEN NOT EXISTS (SELECT 1 FROM retentions r "
            "WHERE r.project_id IS OLD.project_id AND OLD.at < r.older_than) "
            f"BEGIN {says}; END"
        )
        return
    op.execute(
        "CREATE FUNCTION insight_retained() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM retentions r WHERE "
        "r.project_id IS NOT DISTINCT FROM OLD.project_id AND OLD.at < r.older_than) "
        "THEN RETURN OLD; END IF; "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION insight_retained()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION insight_append_only()"
    )
