"""One place that makes engines, so that every connection is set up alike.

SQLite: write-ahead log, 10 s busy timeout, foreign keys on, full fsync (an acknowledged
verdict survives a power cut). Transactions of a write unit of work begin IMMEDIATE: they wait
for the write lock at the start instead of failing half-way when a read lock cannot be
upgraded. PostgreSQL: psycopg 3, READ COMMITTED.
"""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, ExceptionContext, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from db.errors import Busy

BUSY_SECONDS = 10
DEADLOCK = "40P01"  # PostgreSQL: two transactions wait for each other
WAL_ATTEMPTS = 200  # of 0.05 s each
READ_ONLY = "insight_read_only"  # execution option of an engine or connection
_DEFAULT_POSTGRES = {"postgres", "postgresql"}


def normalised_url(url: str | URL) -> URL:
    """The URL with psycopg 3 as the driver where none was named for PostgreSQL."""
    parsed = make_url(url)
    if parsed.drivername in _DEFAULT_POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def create_engine(
    url: str | URL, *, echo: bool = False, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """An engine for `url`, safe to share between threads.

    The folder of a SQLite file is made if it is missing. Where another writer holds a SQLite
    file for longer than `busy_seconds`, `Busy` is raised.
    """
    parsed = normalised_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, echo, busy_seconds)
    engine = sqlalchemy.create_engine(
        parsed,
        echo=echo,
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        json_serializer=_to_json,
    )
    event.listen(engine, "begin", _begin_server)
    event.listen(engine, "handle_error", _say_busy, retval=True)
    return engine


def read_only(engine: Engine) -> Engine:
    """The same engine and pool; its transactions may not write."""
    return engine.execution_options(**{READ_ONLY: True})


def _sqlite_engine(url: URL, echo: bool, busy_seconds: float) -> Engine:
    options: dict[str, Any] = {"pool_size": 10, "max_overflow": 20}
    if url.database in (None, "", ":memory:"):
        options = {"poolclass": StaticPool}  # one connection, else each would see its own
    elif not str(url.database).startswith("file:"):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(
        url,
        echo=echo,
        json_serializer=_to_json,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        **options,
    )
    event.listen(engine, "connect", _connect_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _say_busy, retval=True)
    return engine


def _to_json(value: Any) -> str:
    # NaN would be kept by SQLite and refused by PostgreSQL: refuse it on both.
    return json.dumps(value, allow_nan=False)


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()


def _connect_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite begins nothing by itself: _begin_sqlite does
    connection.create_function("lower", 1, _lower, deterministic=True)  # beyond ASCII
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",  # INSERT OR REPLACE then meets the append-only triggers too
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Switch a fresh file to WAL; SQLite does not apply the busy timeout to this one statement."""
    for attempt in range(WAL_ATTEMPTS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == WAL_ATTEMPTS - 1:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    reads = bool(connection.get_execution_options().get(READ_ONLY, False))
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _begin_server(connection: Connection) -> None:
    if connection.get_execution_options().get(READ_ONLY, False):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _say_busy(context: ExceptionContext) -> Exception | None:
    refused = context.original_exception
    if getattr(refused, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
        return Busy("the database is in use by another writer: try again in a moment")
    if getattr(refused, "sqlstate", None) == DEADLOCK:
        return Busy("another writer was faster at the same rows: try again in a moment")
    return None
