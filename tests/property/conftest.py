"""Copies of one filled store, on SQLite and on PostgreSQL: as many as an example needs."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import migrate
from db.engine import create_engine
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.conftest import back_end, postgres_url
from tests.property.people import Desk, make_desk

__all__ = ["back_end", "postgres_url"]  # fixtures

Copies = Callable[[], AbstractContextManager[UnitOfWorkFactory]]


@pytest.fixture(scope="session")
def store(
    request: pytest.FixtureRequest, back_end: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Desk, Copies]:
    """What lies in the template, and a way to open a fresh copy of it."""
    folder = tmp_path_factory.mktemp("property")
    if back_end == "sqlite":
        return _on_sqlite(folder)
    return _on_server(str(request.getfixturevalue("postgres_url")))


def _template(url: str) -> Desk:
    migrate.upgrade(url)
    engine = create_engine(url)
    desk = make_desk(uow_factory(engine))
    engine.dispose()
    return desk


def _on_sqlite(folder: Path) -> tuple[Desk, Copies]:
    template = folder / "template.sqlite"
    desk = _template(f"sqlite:///{template}")

    @contextmanager
    def copy() -> Iterator[UnitOfWorkFactory]:
        path = folder / f"{uuid4().hex}.sqlite"
        shutil.copyfile(template, path)
        engine = create_engine(f"sqlite:///{path}")
        try:
            yield uow_factory(engine)
        finally:
            engine.dispose()
            path.unlink()

    return desk, copy


def _on_server(server: str) -> tuple[Desk, Copies]:
    def named(name: str) -> str:
        return server.replace("/postgres?", f"/{name}?")

    def order(command: str) -> None:
        admin = create_engine(server)
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(command))
        admin.dispose()

    template = f"template_{uuid4().hex}"
    order(f"CREATE DATABASE {template}")
    desk = _template(named(template))

    @contextmanager
    def copy() -> Iterator[UnitOfWorkFactory]:
        name = f"copy_{uuid4().hex}"
        order(f"CREATE DATABASE {name} TEMPLATE {template}")
        engine = create_engine(named(name))
        try:
            yield uow_factory(engine)
        finally:
            engine.dispose()
            order(f"DROP DATABASE {name}")

    return desk, copy
