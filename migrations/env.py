"""How Alembic reaches the database: a connection handed in by db.migrate, else the URL in
INSIGHT_DATABASE_URL (for the alembic command)."""

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text

from db.engine import create_engine
from db.models import Base

_LOCK = 7_204_813_991  # any constant: one migration at a time on a server


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        context.run_migrations()


def _main() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        _migrate(given)
        return
    url = os.environ.get("INSIGHT_DATABASE_URL") or context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise CommandError("set INSIGHT_DATABASE_URL to the database, for example sqlite:///x.db")
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            _migrate(connection)
    finally:
        engine.dispose()


_main()
