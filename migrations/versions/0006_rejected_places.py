"""Drawings may say "spurious": a place that must not count although no cue shows it.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from migrations.schema import (
    ID,
    JSON,
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

revision: str = "0006"
down_revision: str | None = "0005"

TABLE = "drawings"
BEFORE = "missed wrong-part here"
NOW = "missed wrong-part here spurious"
COLUMNS = (
    "seq", "id", "project_id", "reviewer_id", "case_id", "cue_id", "removes", "undoes", "kind",
    "shape", "note", "points", "created_at",
)  # fmt: skip


def upgrade() -> None:
    """Widen the words that a drawing may have."""
    _words(NOW)


def downgrade() -> None:
    """Narrow them again.

    Raises CommandError, with nothing changed, where somebody rejected a place: the former schema
    has no word for it, and rows that are part of the audit chain are never removed or reworded.
    """
    query = sa.text(f"SELECT count(*) FROM {TABLE} WHERE kind = 'spurious'")
    said = op.get_bind().execute(query).scalar_one()
    if said:
        raise CommandError(
            f"{said} drawings say that a place must not count; the schema before 0006 cannot hold "
            "them, and what was said is never removed. Restore a backup from before the upgrade"
        )
    _words(BEFORE)


def _words(words: str) -> None:
    if on_server():
        name = op.f(f"ck_{TABLE}_kind")
        op.drop_constraint(name, TABLE, type_="check")
        op.create_check_constraint(name, TABLE, one_of(TABLE, "kind", words).sqltext)
        return
    _made_anew(words)


def _made_anew(words: str) -> None:
    """SQLite cannot change a rule: the table is made anew, its rows copied as they are.

    Their hashes are in the audit chain. Until it has its name the new table refers to itself, not
    to the old one, so that no row ever refers to one that is gone; SQLite renames that as well.
    """
    new = f"{TABLE}_0006"
    op.create_table(
        new,
        counter(),
        *cols(ID, "id", "project_id", "reviewer_id", "case_id"),
        *cols(ID, "cue_id", "removes", "undoes", nullable=True),
        *cols(TEXT, "kind", "shape", "note"),
        *cols(JSON, "points"),
        *cols(TIME, "created_at"),
        one_of(TABLE, "kind", words),
        one_of(TABLE, "shape", "box lasso"),
        check(TABLE, "one_act", "removes IS NULL OR undoes IS NULL"),
        *keys(TABLE, project_id="projects", reviewer_id="reviewers", case_id="cases"),
        *keys(TABLE, cue_id="cues", removes=new, undoes=new),
        primary(TABLE, "seq"),
        unique(TABLE, "id"),
        unique(TABLE, "undoes"),
    )
    names = ", ".join(COLUMNS)
    op.execute(f"INSERT INTO {new} ({names}) SELECT {names} FROM {TABLE} ORDER BY seq")
    op.drop_table(TABLE)  # and with it its indexes and triggers
    op.rename_table(new, TABLE)
    index(TABLE, "case_id", "reviewer_id")
    index(TABLE, "project_id", "reviewer_id", "seq")
    index(TABLE, "removes")
    keep_append_only((TABLE,))
