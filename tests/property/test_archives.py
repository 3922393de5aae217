"""Whatever several people do, an archive carries it: into any store, and out again the same."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from dashboard.services.archive_io import ArchiveService
from dashboard.settings import Settings
from db import migrate
from db.engine import create_engine
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.property.conftest import Copies
from tests.property.people import Deed, Desk, Play, scripts
from tests.property.screens import screen

slow = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without a project; only copied."""
    path = tmp_path_factory.mktemp("empty") / "empty.sqlite"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@contextmanager
def opened(path: Path) -> Iterator[UnitOfWorkFactory]:
    engine = create_engine(f"sqlite:///{path}")
    try:
        yield uow_factory(engine)
    finally:
        engine.dispose()


def service(factory: UnitOfWorkFactory, folder: Path) -> ArchiveService:
    return ArchiveService(factory, Settings.load(folder, environ={}))


@slow
@given(script=scripts)
def test_an_archive_shows_the_same_screens_and_gives_the_same_bytes(
    store: tuple[Desk, Copies], empty: Path, tmp_path: Path, script: list[Deed]
) -> None:
    desk, copy = store
    first, second, home = tmp_path / "first.zip", tmp_path / "second.zip", tmp_path / "home.sqlite"
    shutil.copyfile(empty, home)
    with copy() as there, opened(home) as here:
        with there() as uow:
            Play(uow, desk).run(script)
            uow.commit()
        service(there, tmp_path / "there").write(desk.project_id, first)
        service(here, tmp_path / "here").read(first)
        service(here, tmp_path / "here").write(desk.project_id, second)
        assert second.read_bytes() == first.read_bytes()
        with there(read_only=True) as old, here(read_only=True) as new:
            assert screen(new, desk) == screen(old, desk)
            assert new.chain.head(desk.project_id) == old.chain.head(desk.project_id)
            assert new.chain_check.run(desk.project_id).is_whole
    home.unlink()
