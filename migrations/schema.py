"""Small words for writing migrations; what they make must never change."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

ID, TIME = sa.String(length=36), sa.DateTime(timezone=True)
TEXT, INT, BIG = sa.String(), sa.Integer(), sa.BigInteger()
REAL: sa.Double[float] = sa.Double()
JSON, BOOL = sa.JSON(), sa.Boolean()
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def on_server() -> bool:
    """Whether this is PostgreSQL (else SQLite)."""
    return op.get_bind().dialect.name == "postgresql"


def cols(
    kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = False
) -> Iterator[sa.Column[Any]]:
    """Columns of one type."""
    return (sa.Column(name, kind, nullable=nullable) for name in names)


def counter(name: str = "seq") -> sa.Column[Any]:
    """A key that counts up."""
    return sa.Column(name, COUNTER, autoincrement=True, nullable=False)


def primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    """The primary key."""
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    """A unique key."""
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def one_of(table: str, column: str, words: str) -> sa.CheckConstraint:
    """A column that holds one of some words."""
    listed = ", ".join(f"'{word}'" for word in words.split())
    return check(table, column, f"{column} IN ({listed})")


def check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    """A rule that every row keeps."""
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def index(table: str, *columns: str) -> None:
    """An index named after its columns."""
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def keys(table: str, **targets: str) -> Iterator[sa.ForeignKeyConstraint]:
    """Foreign keys: column=table it refers to."""
    for column, target in targets.items():
        name = op.f(f"fk_{table}_{column}_{target}")
        yield sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name)


def keep_append_only(tables: Sequence[str]) -> None:
    """Triggers that refuse UPDATE and DELETE (and TRUNCATE); 0001 made the server's function."""
    for table in tables:
        if on_server():
            _server_triggers(table)
            continue
        refuse = f"ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE {refuse}")


def _server_triggers(table: str) -> None:
    for name, action, unit in (
        ("append_only", "UPDATE OR DELETE", "ROW"),
        ("no_truncate", "TRUNCATE", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {action} ON {table} "
            f"FOR EACH {unit} EXECUTE FUNCTION insight_append_only()"
        )
