"""The review desk: drawings, notes, queue, roles, settings, hierarchy, studies; counters.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from migrations import counters_0002
from migrations.schema import (
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

revision: str = "0002"
down_revision: str | None = "0001"

EARLIER = ("verdicts", "assessments")  # event tables of 0001
VALUES = "correct spurious unsure withdrawn"


def upgrade() -> None:
    """Widen cases and assessments, make the new tables, fill the counters from what was said."""
    _widen()
    for make in TABLES.values():
        make()
    keep_append_only(EVENTS)
    if on_server():
        _count_all_events_together()
    for fill in counters_0002.FILLS:
        op.execute(fill)


def downgrade() -> None:
    """Remove what `upgrade` made, with what was said in it."""
    if on_server():
        for table in EARLIER:
            op.execute(
                f"SELECT setval('{table}_seq_seq', (SELECT COALESCE(MAX(seq), 0) + 1 FROM {table}))"
            )
            op.execute(
                f"ALTER TABLE {table} ALTER COLUMN seq SET DEFAULT nextval('{table}_seq_seq')"
            )
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_index("ix_cases_version_id_queue_order_id_wanted", "cases")
    index("cases", "version_id", "queue_order", "id")
    op.drop_index("ix_assessments_project_id_reviewer_id_seq", "assessments")
    op.drop_index("uq_assessments_undoes", "assessments")
    if on_server():
        op.execute("DROP SEQUENCE insight_events")
        op.drop_column("assessments", "undoes")
        op.drop_column("assessments", "blind")
    else:  # SQLite drops no column that a foreign key uses: the table is copied
        rule = check("assessments", "revision", "revision >= 1")
        with op.batch_alter_table("assessments", table_args=(rule,)) as table_:
            table_.drop_column("undoes")
            table_.drop_column("blind")
        keep_append_only(("assessments",))
    for column in ("queue_reason", "queue_score", "wanted"):
        op.drop_column("cases", column)


def _widen() -> None:
    no, real = ("false", "DOUBLE PRECISION") if on_server() else ("0", "DOUBLE")
    for table, column in (
        ("cases", "queue_reason VARCHAR NOT NULL DEFAULT 'not planned yet'"),
        ("cases", f"queue_score {real} NOT NULL DEFAULT 0"),
        ("cases", "wanted INTEGER NOT NULL DEFAULT 1"),
        ("assessments", f"blind BOOLEAN NOT NULL DEFAULT {no}"),
        (
            "assessments",
            "undoes VARCHAR(36) CONSTRAINT fk_assessments_undoes_assessments "
            "REFERENCES assessments (id)",
        ),
    ):
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    op.drop_index("ix_cases_version_id_queue_order_id", "cases")
    index("cases", "version_id", "queue_order", "id", "wanted")
    op.create_index("uq_assessments_undoes", "assessments", ["undoes"], unique=True)
    index("assessments", "project_id", "reviewer_id", "seq")


def _count_all_events_together() -> None:
    """One sequence for every event table: `seq` then orders events of different kinds too."""
    op.execute("CREATE SEQUENCE insight_events")
    latest = ", ".join(f"(SELECT COALESCE(MAX(seq), 0) FROM {table})" for table in EARLIER)
    op.execute(f"SELECT setval('insight_events', GREATEST({latest}) + 1, false)")
    for table in (*EARLIER, *EVENTS):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN seq SET DEFAULT nextval('insight_events')")


def _event(
    table: str, *parts: sa.Column[object] | sa.Constraint, who: str = "reviewer_id", **refs: str
) -> None:
    """An event table: the columns that all share, its own parts, its foreign keys."""
    op.create_table(
        table,
        counter(),
        *cols(ID, "id", "project_id", who),
        *parts,
        *cols(TIME, "created_at"),
        *keys(table, project_id="projects", **{who: "reviewers"}, **refs),
        primary(table, "seq"),
        unique(table, "id"),
    )


def _revision(table: str) -> sa.CheckConstraint:
    return check(table, "revision", "revision >= 1")


def _drawings() -> None:
    _event(
        "drawings",
        *cols(ID, "case_id"),
        *cols(ID, "cue_id", "removes", "undoes", nullable=True),
        *cols(TEXT, "kind", "shape", "note"),
        *cols(JSON, "points"),
        one_of("drawings", "kind", "missed wrong-part here"),
        one_of("drawings", "shape", "box lasso"),
        check("drawings", "one_act", "removes IS NULL OR undoes IS NULL"),
        unique("drawings", "undoes"),
        case_id="cases", cue_id="cues", removes="drawings", undoes="drawings",
    )  # fmt: skip
    index("drawings", "case_id", "reviewer_id")
    index("drawings", "project_id", "reviewer_id", "seq")
    index("drawings", "removes")


def _notes() -> None:
    _event(
        "notes",
        *cols(ID, "case_id", "concept_id", "removes", nullable=True),
        *cols(TEXT, "kind", "text"),
        *cols(JSON, "payload"),
        one_of("notes", "kind", "note what-if hypothesis"),
        unique("notes", "removes"),
        case_id="cases", concept_id="concepts", removes="notes",
    )  # fmt: skip
    index("notes", "case_id", "seq")
    index("notes", "concept_id", "seq")
    index("notes", "project_id", "kind", "seq")


def _class_verdicts() -> None:
    _event(
        "class_verdicts",
        *cols(ID, "concept_id"),
        *cols(TEXT, "class_name", "value", "comment"),
        *cols(TEXT, "reason", nullable=True),
        *cols(INT, "revision"),
        one_of("class_verdicts", "value", VALUES),
        _revision("class_verdicts"),
        unique("class_verdicts", "concept_id", "class_name", "reviewer_id", "revision"),
        concept_id="concepts",
    )
    index("class_verdicts", "project_id", "class_name", "concept_id")


def _concept_marks() -> None:
    _event(
        "concept_marks",
        *cols(ID, "concept_id"),
        *cols(TEXT, "kind", "reason"),
        *cols(BOOL, "value"),
        *cols(INT, "revision"),
        one_of("concept_marks", "kind", "artefact locked"),
        _revision("concept_marks"),
        unique("concept_marks", "concept_id", "kind", "revision"),
        concept_id="concepts",
    )
    index("concept_marks", "project_id", "kind")


def _proposals() -> None:
    _event(
        "proposals",
        *cols(TEXT, "dictionary_hash", "kind", "reason"),
        *cols(ID, "concept_id"),
        *cols(ID, "target_id", nullable=True),
        *cols(TEXT, "relation_kind", nullable=True),
        *cols(JSON, "parts"),
        one_of("proposals", "kind", "parent merge split"),
        one_of("proposals", "relation_kind", "is-a part-of"),
        check("proposals", "target", "kind <> 'merge' OR target_id IS NOT NULL"),
        concept_id="concepts", target_id="concepts",
    )  # fmt: skip
    index("proposals", "project_id", "dictionary_hash", "seq")
    index("proposals", "concept_id")
    index("proposals", "target_id")


def _proposal_decisions() -> None:
    _event(
        "proposal_decisions",
        *cols(ID, "proposal_id"),
        *cols(TEXT, "dictionary_hash", "reason"),
        *cols(BOOL, "accepted"),
        *cols(INT, "revision", "place"),
        check("proposal_decisions", "revision", "revision >= 1 AND place >= 1"),
        unique("proposal_decisions", "proposal_id", "revision"),
        unique("proposal_decisions", "project_id", "dictionary_hash", "place"),
        proposal_id="proposals",
    )


def _queue_marks() -> None:
    _event(
        "queue_marks",
        *cols(ID, "case_id"),
        *cols(TEXT, "kind", "reason"),
        one_of("queue_marks", "kind", "skip flag escalate resolve"),
        case_id="cases",
    )
    index("queue_marks", "case_id", "seq")
    index("queue_marks", "project_id", "kind", "seq")


def _assignments() -> None:
    _event(
        "assignments",
        *cols(ID, "case_id", "assignee_id"),
        *cols(BOOL, "assigned"),
        who="by_id", case_id="cases", assignee_id="reviewers",
    )  # fmt: skip
    index("assignments", "case_id", "assignee_id", "seq")
    index("assignments", "project_id", "assignee_id", "seq")


def _members() -> None:
    _event(
        "members",
        *cols(ID, "by_id"),
        *cols(TEXT, "role"),
        *cols(INT, "revision"),
        one_of("members", "role", "expert annotator lead removed"),
        _revision("members"),
        unique("members", "project_id", "reviewer_id", "revision"),
        by_id="reviewers",
    )


def _project_settings() -> None:
    _event(
        "project_settings",
        *cols(JSON, "settings"),
        *cols(INT, "revision"),
        _revision("project_settings"),
        unique("project_settings", "project_id", "revision"),
    )


def _adjudications() -> None:
    _event(
        "adjudications",
        *cols(TEXT, "subject", "value", "reason"),
        *cols(ID, "subject_id", "case_id"),
        *cols(INT, "revision"),
        one_of("adjudications", "subject", "cue case"),
        _revision("adjudications"),
        unique("adjudications", "subject", "subject_id", "revision"),
        case_id="cases",
    )
    index("adjudications", "project_id", "subject", "subject_id", "revision")


def _collections() -> None:
    _event(
        "collections",
        *cols(TEXT, "title", "about", "kind"),
        one_of("collections", "kind", "study hypothesis"),
    )
    index("collections", "project_id", "kind")


def _pins() -> None:
    _event(
        "pins",
        *cols(ID, "collection_id", "case_id"),
        *cols(TEXT, "note"),
        *cols(JSON, "frozen"),
        *cols(ID, "removes", nullable=True),
        unique("pins", "removes"),
        collection_id="collections", case_id="cases", removes="pins",
    )  # fmt: skip
    index("pins", "collection_id", "seq")
    index("pins", "case_id")


def _training_answers() -> None:
    _event(
        "training_answers",
        *cols(ID, "collection_id", "pin_id"),
        *cols(INT, "attempt"),
        *cols(JSON, "answers"),
        *cols(REAL, "score"),
        check("training_answers", "attempt", "attempt >= 1"),
        unique("training_answers", "reviewer_id", "collection_id", "attempt", "pin_id"),
        collection_id="collections", pin_id="pins",
    )  # fmt: skip
    index("training_answers", "collection_id", "seq")


def _leases() -> None:
    op.create_table(
        "leases",
        *cols(ID, "case_id", "reviewer_id"),
        *cols(TIME, "taken_at", "expires_at"),
        *keys("leases", case_id="cases", reviewer_id="reviewers"),
        primary("leases", "case_id", "reviewer_id"),
    )
    index("leases", "reviewer_id", "expires_at")
    index("leases", "expires_at")


def _case_words() -> None:
    op.create_table(
        "case_words",
        *cols(ID, "case_id", "reviewer_id"),
        *cols(INT, "cues"),
        *cols(BOOL, "assessed"),
        *keys("case_words", case_id="cases", reviewer_id="reviewers"),
        primary("case_words", "case_id", "reviewer_id"),
    )


def _queue_progress() -> None:
    op.create_table(
        "queue_progress",
        *cols(ID, "version_id", "who"),
        *cols(INT, "done", "open_from"),
        *keys("queue_progress", version_id="model_versions"),
        primary("queue_progress", "version_id", "who"),
    )


def _concept_tallies() -> None:
    op.create_table(
        "concept_tallies",
        *cols(ID, "concept_id"),
        *cols(INT, "correct", "spurious", "unsure"),
        *keys("concept_tallies", concept_id="concepts"),
        primary("concept_tallies", "concept_id"),
    )


TABLES = {  # in order of dependence
    "drawings": _drawings,
    "notes": _notes,
    "class_verdicts": _class_verdicts,
    "concept_marks": _concept_marks,
    "proposals": _proposals,
    "proposal_decisions": _proposal_decisions,
    "queue_marks": _queue_marks,
    "assignments": _assignments,
    "members": _members,
    "project_settings": _project_settings,
    "adjudications": _adjudications,
    "collections": _collections,
    "pins": _pins,
    "training_answers": _training_answers,
    "leases": _leases,
    "case_words": _case_words,
    "queue_progress": _queue_progress,
    "concept_tallies": _concept_tallies,
}
EVENTS = tuple(TABLES)[:14]  # append-only; the last four hold nothing that is not said elsewhere
