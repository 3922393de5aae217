"""Alembic driven from code, so that it works installed, editable and from a checkout."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from db.engine import create_engine, read_only

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
WAIT = 120.0
"""Seconds that a process waits for another one that migrates the same SQLite file: on a busy
machine, or with much data, a migration takes longer than any other write."""


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at `url` up to `revision`; safe to run from several processes."""
    with _connected(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` ("base" removes everything, data included)."""
    with _connected(url) as connection:
        command.downgrade(_config(connection), revision)


def check(url: str) -> None:
    """Compare the database with the models.

    Raises alembic.util.CommandError where they differ or the database is not at head.
    """
    with _connected(url) as connection:
        command.check(_config(connection))


def current(url: str) -> str | None:
    """The revision that the database is at; None for an empty one."""
    with _connected(url, reads=True) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return revision


def is_current(url: str) -> bool:
    """Whether the database is at the newest revision."""
    return current(url) == head()


@contextmanager
def _connected(url: str, *, reads: bool = False) -> Iterator[Connection]:
    engine = create_engine(url, busy_seconds=WAIT)
    try:
        with (read_only(engine) if reads else engine).connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config(stdout=io.StringIO())  # nothing of Alembic on our standard output
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
