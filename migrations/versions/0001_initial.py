"""The first schema: all tables, and triggers that keep four of them append-only.

Revision ID: 0001
Revises:
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None

ID, TIME = sa.String(length=36), sa.DateTime(timezone=True)
TEXT, INT, BIG = sa.String(), sa.Integer(), sa.BigInteger()
REAL: sa.Double[float] = sa.Double()
JSON, BLOB = sa.JSON(), sa.LargeBinary()
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("verdicts", "concept_names", "assessments", "audit_log")
# Keys that close a circle of tables: SQLite takes them with the table, a server afterwards.
LATE_KEYS = (
    ("projects", "active_version_id", "model_versions"),
    ("model_versions", "run_id", "runs"),
)


def upgrade() -> None:
    """Make every table, then the triggers."""
    dialect = op.get_bind().dialect.name
    if dialect not in ("sqlite", "postgresql"):
        raise RuntimeError(f"append-only triggers exist for sqlite and postgresql, not {dialect}")
    for make in TABLES.values():
        make()
    if dialect == "postgresql":
        for table, column, target in LATE_KEYS:
            name = op.f(f"fk_{table}_{column}_{target}")
            op.create_foreign_key(name, table, target, [column], ["id"])
        _postgresql_triggers()
    else:
        _sqlite_triggers()


def downgrade() -> None:
    """Remove everything, data included."""
    server = op.get_bind().dialect.name == "postgresql"
    for table, column, target in LATE_KEYS:
        op.execute(f"UPDATE {table} SET {column} = NULL")
        if server:
            op.drop_constraint(f"fk_{table}_{column}_{target}", table, type_="foreignkey")
    for table in reversed(TABLES):
        op.drop_table(table)
    if server:
        op.execute("DROP FUNCTION insight_append_only()")


def _sqlite_triggers() -> None:
    for table in APPEND_ONLY:
        refuse = f"ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE {refuse}")


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION insight_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in APPEND_ONLY:
        for name, action, unit in (
            ("append_only", "UPDATE OR DELETE", "ROW"),
            ("no_truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_{name} BEFORE {action} ON {table} "
                f"FOR EACH {unit} EXECUTE FUNCTION insight_append_only()"
            )


def _cols(
    kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = False
) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, kind, nullable=nullable) for name in names)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _one_of(table: str, column: str, words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words.split())
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _keys(table: str, **targets: str) -> Iterator[sa.ForeignKeyConstraint]:
    return (_key(table, column, target) for column, target in targets.items())


def _key(table: str, column: str, target: str, late: bool = False) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, use_alter=late)


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        *_cols(TIME, "at"),
        *_cols(TEXT, "actor", "action", "entity", "entity_id"),
        *_cols(JSON, "detail"),
        _primary("audit_log", "id"),
    )
    _index("audit_log", "entity", "entity_id", "id")


def _projects() -> None:
    op.create_table(
        "projects",
        *_cols(ID, "id"),
        *_cols(TEXT, "name", "root"),
        *_cols(JSON, "classes", "vocabulary"),
        *_cols(TEXT, "notice", nullable=True),
        *_cols(JSON, "settings"),
        *_cols(ID, "active_version_id", nullable=True),
        *_cols(TIME, "created_at"),
        _key("projects", "active_version_id", "model_versions", late=True),
        _primary("projects", "id"),
        _unique("projects", "name"),
    )


def _reviewers() -> None:
    op.create_table(
        "reviewers",
        *_cols(ID, "id"),
        *_cols(TEXT, "name"),
        *_cols(TIME, "created_at"),
        _primary("reviewers", "id"),
        _unique("reviewers", "name"),
    )


def _concepts() -> None:
    op.create_table(
        "concepts",
        *_cols(ID, "id", "project_id"),
        *_cols(TEXT, "dictionary_hash"),
        *_cols(INT, "number", "level"),
        *_cols(REAL, "frequency"),
        *_cols(TEXT, "model_name", nullable=True),
        *_cols(REAL, "score", "margin"),
        *_cols(JSON, "runners_up"),
        *_keys("concepts", project_id="projects"),
        _primary("concepts", "id"),
        _unique("concepts", "project_id", "dictionary_hash", "number"),
    )


def _feedback_snapshots() -> None:
    op.create_table(
        "feedback_snapshots",
        *_cols(ID, "id", "project_id"),
        *_cols(TEXT, "hash"),
        *_cols(JSON, "payload"),
        *_cols(INT, "verdicts"),
        *_cols(TIME, "created_at"),
        *_keys("feedback_snapshots", project_id="projects"),
        _primary("feedback_snapshots", "id"),
        _unique("feedback_snapshots", "project_id", "hash"),
    )


def _images() -> None:
    op.create_table(
        "images",
        *_cols(ID, "id", "project_id"),
        *_cols(TEXT, "relpath", "sha256"),
        *_cols(INT, "width", "height"),
        *_cols(TEXT, "label", "split", "group_name", "mask_path", nullable=True),
        *_cols(JSON, "meta"),
        *_cols(TIME, "created_at"),
        *_keys("images", project_id="projects"),
        _primary("images", "id"),
        _unique("images", "project_id", "relpath"),
        _unique("images", "project_id", "sha256"),
    )
    _index("images", "project_id", "split", "label")


def _concept_names() -> None:
    op.create_table(
        "concept_names",
        *_cols(ID, "id", "concept_id"),
        *_cols(INT, "revision"),
        *_cols(TEXT, "name", "source"),
        *_cols(ID, "reviewer_id", nullable=True),
        *_cols(TEXT, "reason"),
        *_cols(TIME, "created_at"),
        _one_of("concept_names", "source", "model person"),
        *_keys("concept_names", concept_id="concepts", reviewer_id="reviewers"),
        _primary("concept_names", "id"),
        _unique("concept_names", "concept_id", "revision"),
    )


def _model_versions() -> None:
    op.create_table(
        "model_versions",
        *_cols(ID, "id", "project_id"),
        *_cols(TEXT, "hash"),
        *_cols(TEXT, "parent_hash", nullable=True),
        *_cols(TEXT, "kind", "state", "dictionary_hash", "encoder_spec", "encoder_hash", "folder"),
        *_cols(BIG, "seed"),
        *_cols(JSON, "classes", "metrics"),
        *_cols(ID, "snapshot_id", "run_id", nullable=True),
        *_cols(TEXT, "code_version"),
        *_cols(TIME, "created_at"),
        _one_of("model_versions", "kind", "discover reweight finetune"),
        _one_of("model_versions", "state", "candidate active discarded"),
        *_keys("model_versions", project_id="projects"),
        _key("model_versions", "run_id", "runs", late=True),
        *_keys("model_versions", snapshot_id="feedback_snapshots"),
        _primary("model_versions", "id"),
        _unique("model_versions", "project_id", "hash"),
    )
    where = sa.text("state = 'active'")
    active: dict[str, Any] = {"sqlite_where": where, "postgresql_where": where}
    name = "uq_model_versions_one_active"
    op.create_index(name, "model_versions", ["project_id"], unique=True, **active)


def _relations() -> None:
    op.create_table(
        "relations",
        *_cols(ID, "project_id"),
        *_cols(TEXT, "dictionary_hash"),
        sa.Column("child_number", INT, autoincrement=False, nullable=False),
        sa.Column("parent_number", INT, autoincrement=False, nullable=False),
        *_cols(TEXT, "kind"),
        *_cols(REAL, "weight"),
        *_cols(BIG, "support"),
        _one_of("relations", "kind", "is-a part-of"),
        *(
            sa.ForeignKeyConstraint(
                ["project_id", "dictionary_hash", f"{end}_number"],
                ["concepts.project_id", "concepts.dictionary_hash", "concepts.number"],
                name=f"fk_relations_{end}_concepts",
            )
            for end in ("child", "parent")
        ),
        _primary("relations", "project_id", "dictionary_hash", "child_number", "parent_number"),
    )
    _index("relations", "project_id", "dictionary_hash", "parent_number")


def _cases() -> None:
    op.create_table(
        "cases",
        *_cols(ID, "id", "project_id", "image_id", "version_id"),
        *_cols(TEXT, "prediction"),
        *_cols(REAL, "confidence", "logit", "bias"),
        *_cols(JSON, "probabilities"),
        *_cols(INT, "queue_order"),
        *_cols(JSON, "explanation", nullable=True),
        *_keys("cases", image_id="images", project_id="projects", version_id="model_versions"),
        _primary("cases", "id"),
        _unique("cases", "image_id", "version_id"),
    )
    _index("cases", "version_id", "queue_order", "id")


def _runs() -> None:
    op.create_table(
        "runs",
        *_cols(ID, "id", "project_id"),
        *_cols(TEXT, "kind", "state"),
        *_cols(BIG, "seed"),
        *_cols(JSON, "config"),
        *_cols(REAL, "progress"),
        *_cols(TEXT, "stage", "message"),
        *_cols(ID, "base_version_id", "result_version_id", "snapshot_id", nullable=True),
        *_cols(JSON, "metrics"),
        *_cols(TEXT, "workflow_id", nullable=True),
        *_cols(ID, "requested_by", nullable=True),
        *_cols(TIME, "created_at"),
        *_cols(TIME, "started_at", "finished_at", "heartbeat_at", nullable=True),
        _one_of("runs", "kind", "discover reweight finetune evaluate demo"),
        _one_of("runs", "state", "queued running succeeded failed cancelled interrupted"),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_runs_progress")),
        *_keys(
            "runs",
            base_version_id="model_versions",
            project_id="projects",
            requested_by="reviewers",
            result_version_id="model_versions",
            snapshot_id="feedback_snapshots",
        ),
        _primary("runs", "id"),
    )
    _index("runs", "project_id", "created_at")
    _index("runs", "state", "heartbeat_at")


def _assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("seq", COUNTER, autoincrement=True, nullable=False),
        *_cols(ID, "id", "case_id", "project_id", "reviewer_id"),
        *_cols(sa.Boolean(), "agree", nullable=True),
        *_cols(TEXT, "corrected_label", nullable=True),
        *_cols(JSON, "ratings"),
        *_cols(TEXT, "comment"),
        *_cols(sa.Boolean(), "blank"),
        *_cols(INT, "revision"),
        *_cols(TIME, "created_at"),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_assessments_revision")),
        *_keys("assessments", case_id="cases", project_id="projects", reviewer_id="reviewers"),
        _primary("assessments", "seq"),
        _unique("assessments", "case_id", "reviewer_id", "revision"),
        _unique("assessments", "id"),
    )
    _index("assessments", "project_id", "case_id", "reviewer_id", "revision")


def _cues() -> None:
    op.create_table(
        "cues",
        *_cols(ID, "id", "case_id", "concept_id"),
        *_cols(INT, "rank"),
        *_cols(REAL, "activation", "contribution", "causal_effect"),
        *_cols(INT, "grid_rows", "grid_cols"),
        *_cols(BLOB, "map_u8", "region_bits"),
        *_cols(JSON, "regions"),
        *_keys("cues", case_id="cases", concept_id="concepts"),
        _primary("cues", "id"),
        _unique("cues", "case_id", "concept_id"),
    )
    _index("cues", "concept_id", "activation")


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("seq", COUNTER, autoincrement=True, nullable=False),
        *_cols(ID, "id", "cue_id", "case_id", "concept_id", "project_id", "reviewer_id"),
        *_cols(TEXT, "value", "scope"),
        *_cols(TEXT, "reason", nullable=True),
        *_cols(TEXT, "comment"),
        *_cols(INT, "revision"),
        *_cols(ID, "undoes", nullable=True),
        *_cols(TIME, "created_at"),
        _one_of("verdicts", "scope", "here class everywhere"),
        _one_of("verdicts", "value", "correct spurious unsure withdrawn"),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_verdicts_revision")),
        *_keys(
            "verdicts",
            case_id="cases",
            concept_id="concepts",
            cue_id="cues",
            project_id="projects",
            reviewer_id="reviewers",
            undoes="verdicts",
        ),
        _primary("verdicts", "seq"),
        _unique("verdicts", "cue_id", "reviewer_id", "revision"),
        _unique("verdicts", "id"),
        _unique("verdicts", "undoes"),
    )
    _index("verdicts", "case_id", "reviewer_id")
    _index("verdicts", "concept_id", "cue_id", "reviewer_id", "revision")
    _index("verdicts", "project_id", "cue_id", "reviewer_id", "revision")
    _index("verdicts", "project_id", "reviewer_id", "seq")


TABLES = {  # in order of dependence
    "audit_log": _audit_log,
    "projects": _projects,
    "reviewers": _reviewers,
    "concepts": _concepts,
    "feedback_snapshots": _feedback_snapshots,
    "images": _images,
    "concept_names": _concept_names,
    "model_versions": _model_versions,
    "relations": _relations,
    "cases": _cases,
    "runs": _runs,
    "assessments": _assessments,
    "cues": _cues,
    "verdicts": _verdicts,
}
