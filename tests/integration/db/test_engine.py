"""Connections, units of work and column types behave alike on both back ends."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

from db import migrate
from db.engine import create_engine, normalised_url
from db.errors import Busy, Conflict, InvalidValue, NotFound, StaleWrite, StoreError
from db.models import Base, Case
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World


def test_sqlite_connections_are_set_up(engine: Engine, back_end: str) -> None:
    if back_end != "sqlite":
        assert engine.dialect.driver == "psycopg"
        return
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }
    wanted = {"journal_mode": "wal", "busy_timeout": 10_000, "foreign_keys": 1, "synchronous": 2}
    assert found == wanted


def test_foreign_keys_are_enforced(engine: Engine, world: World) -> None:
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(
            text("UPDATE cases SET image_id = :id WHERE id = :case"),
            {"id": new_id(), "case": world.cases[0].id},
        )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_plain_postgres_urls_mean_psycopg(given: str, wanted: str) -> None:
    assert normalised_url(given).render_as_string() == wanted


def test_an_engine_in_memory_keeps_its_tables() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    engine.dispose()


def test_what_is_not_committed_is_gone(factory: UnitOfWorkFactory) -> None:
    name = f"lost {uuid4()}"
    with factory() as uow:
        uow.projects.add(name, "x")
    with factory() as uow:
        uow.projects.add(name, "x")
        uow.rollback()
        uow.flush()
    with factory(read_only=True) as uow:
        assert uow.projects.by_name(name) is None


def test_an_exception_rolls_back(factory: UnitOfWorkFactory) -> None:
    name = f"lost {uuid4()}"

    def action() -> None:
        with factory() as uow:
            uow.projects.add(name, "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        action()
    with factory(read_only=True) as uow:
        assert uow.projects.by_name(name) is None


def test_a_read_only_unit_of_work_cannot_write(factory: UnitOfWorkFactory) -> None:
    with pytest.raises(DBAPIError), factory(read_only=True) as uow:
        uow.projects.add(f"never {uuid4()}", "x")
    with factory() as uow:  # the connection goes back to the pool fit for writing
        uow.projects.add(f"kept {uuid4()}", "x")
        uow.commit()


def test_a_reader_is_not_held_up_by_a_writer(factory: UnitOfWorkFactory, world: World) -> None:
    with factory() as writer:
        writer.projects.update(world.project.id, notice="changed")
        with factory(read_only=True) as reader:
            assert reader.projects.get(world.project.id).notice is None
        writer.commit()


def test_a_writer_that_waits_too_long_is_told_in_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'busy.sqlite'}"
    migrate.upgrade(url)
    engine = create_engine(url, busy_seconds=0.05)
    factory = uow_factory(engine)
    with factory() as first, factory() as second:
        first.projects.add("first", "x")
        with pytest.raises(Busy, match="try again"):
            second.projects.add("second", "x")
        first.commit()
        second.rollback()
        second.projects.add("second", "x")
    engine.dispose()


def test_relationships_never_load_by_themselves(engine: Engine, world: World) -> None:
    every = [relation for mapper in Base.registry.mappers for relation in mapper.relationships]
    assert every
    assert {relation.lazy for relation in every} == {"raise"}
    with Session(engine) as session:
        case = session.scalars(select(Case).where(Case.id == world.cases[0].id)).one()
        with pytest.raises(InvalidRequestError):
            _ = case.image


def test_times_are_utc_and_aware(factory: UnitOfWorkFactory, world: World) -> None:
    cue = world.cues[0][0].id
    given = datetime(2024, 5, 1, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    event = new_id()
    with factory() as uow:
        uow.verdicts.append(
            id=event,
            cue_id=cue,
            reviewer_id=world.ada.id,
            value="correct",
            based_on=0,
            created_at=given,
        )
        uow.commit()
    with factory(read_only=True) as uow:
        kept = uow.verdicts.get(event).created_at
    assert kept == given
    assert kept.tzinfo is UTC


def test_a_naive_time_is_refused(factory: UnitOfWorkFactory, world: World) -> None:
    with pytest.raises(InvalidValue, match="time zone"), factory() as uow:
        uow.verdicts.append(
            id=new_id(),
            cue_id=world.cues[0][0].id,
            reviewer_id=world.ada.id,
            value="correct",
            based_on=0,
            created_at=datetime(2024, 5, 1),
        )


def test_json_that_only_one_back_end_would_keep_is_refused(
    factory: UnitOfWorkFactory, world: World
) -> None:
    with pytest.raises(InvalidValue, match="JSON"), factory() as uow:
        uow.projects.update(world.project.id, settings={"x": float("nan")})


def test_text_that_only_one_back_end_would_keep_is_cleaned(
    factory: UnitOfWorkFactory, world: World
) -> None:
    event = new_id()
    said = {
        "id": event,
        "cue_id": world.cues[0][0].id,
        "reviewer_id": world.ada.id,
        "value": "unsure",
        "based_on": 0,
        "comment": "a\x00b\ud800c",
    }
    with factory() as uow:
        first = uow.verdicts.append(**said)
        assert first.comment == "ab?c"
        assert uow.verdicts.append(**said) == first


def test_errors_survive_pickling() -> None:
    import pickle

    for error in (NotFound("case", "x"), StaleWrite("verdict", 1, 2), Conflict("taken")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert isinstance(again, StoreError)
