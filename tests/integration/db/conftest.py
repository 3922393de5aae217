"""Every store test runs on SQLite and on a PostgreSQL that the tests start themselves.

Both are migrated once per session; tests keep apart by making their own projects.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url, text

from db import migrate
from db.engine import create_engine
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world
from tests.integration.db.postgres_server import NoServerBinaries, find_binaries, running_server

BACK_ENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a fresh PostgreSQL server's maintenance database."""
    try:
        find_binaries()
    except NoServerBinaries as missing:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must test PostgreSQL, but: {missing}")
        pytest.skip(f"PostgreSQL NOT TESTED: {missing} (Debian: apt-get install postgresql)")
    with running_server() as url:
        yield url


@pytest.fixture(scope="session", params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    """The name of the back end that a test runs on."""
    return str(request.param)


def _empty_database(request: pytest.FixtureRequest, back_end: str, folder: Path) -> str:
    if back_end == "sqlite":
        return f"sqlite:///{folder / 'store' / 'insight.sqlite'}"
    server = request.getfixturevalue("postgres_url")
    name = f"insight_{uuid4().hex}"
    admin = create_engine(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return str(server).replace("/postgres?", f"/{name}?")


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, back_end: str, tmp_path: Path) -> str:
    """A database of its own for this test, without any table."""
    return _empty_database(request, back_end, tmp_path)


@pytest.fixture(scope="session")
def template(
    request: pytest.FixtureRequest, back_end: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A migrated, empty database that nobody writes to: it is copied."""
    made = _empty_database(request, back_end, tmp_path_factory.mktemp("template"))
    migrate.upgrade(made)
    return made


@pytest.fixture
def migrated_url(
    request: pytest.FixtureRequest, back_end: str, template: str, tmp_path: Path
) -> str:
    """A migrated database of its own for this test: it may forge what it likes in it."""
    if back_end == "sqlite":
        with sqlite3.connect(template.removeprefix("sqlite:///")) as source:
            with sqlite3.connect(tmp_path / "own.sqlite") as copy:
                source.backup(copy)
            copy.close()
        source.close()
        return f"sqlite:///{tmp_path / 'own.sqlite'}"
    server = request.getfixturevalue("postgres_url")
    known, name = make_url(template).database, f"insight_{uuid4().hex}"
    admin = create_engine(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {known}"))
    admin.dispose()
    return str(server).replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def url(
    request: pytest.FixtureRequest, back_end: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The migrated database that the tests of one back end share."""
    shared = _empty_database(request, back_end, tmp_path_factory.mktemp("db"))
    migrate.upgrade(shared)
    return shared


@pytest.fixture(scope="session")
def engine(url: str) -> Iterator[Engine]:
    """One engine per back end."""
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def factory(engine: Engine) -> UnitOfWorkFactory:
    """Units of work on that engine."""
    return uow_factory(engine)


@pytest.fixture
def world(factory: UnitOfWorkFactory) -> World:
    """A project of this test's own: 3 images, a version, 4 concepts, 3 cases, 4 cues each."""
    return make_world(factory)
