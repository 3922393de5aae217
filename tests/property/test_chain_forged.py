"""Whatever single field of whatever row of the log is changed: the check finds it, and names it."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Table,
    event,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import migrate
from db.chain import WORKSPACE
from db.engine import create_engine
from db.models import APPEND_ONLY
from db.records import new_id
from db.repositories.chain_check import ChainCheck
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world
from tests.integration.db.chain_world import drop_triggers
from tests.integration.db.test_append_only import _say_more

some = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TABLES = sorted(model.__tablename__ for model in APPEND_ONLY)


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, World]]:
    """A store with rows in every append-only table and no trigger, foreign key or rule in it."""
    path: Path = tmp_path_factory.mktemp("forged") / "store.sqlite"
    migrate.upgrade(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    factory = uow_factory(engine)
    world = make_world(factory)
    _say_everything(factory, world)
    with engine.begin() as raw:
        drop_triggers(raw)
    engine.dispose()
    lenient = create_engine(f"sqlite:///{path}")
    event.listen(lenient, "connect", _lift_rules)
    yield lenient, world
    lenient.dispose()


def _lift_rules(connection: sqlite3.Connection, _entry: object) -> None:
    for pragma in ("foreign_keys=OFF", "ignore_check_constraints=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _say_everything(factory: UnitOfWorkFactory, world: World) -> None:
    said = {"reviewer_id": world.ada.id, "based_on": 0}
    for number in range(3):
        cue = world.cues[number][1]
        with factory() as uow:
            uow.verdicts.append(id=new_id(), cue_id=cue.id, value="unsure", **said)
            uow.assessments.append(id=new_id(), case_id=cue.case_id, agree=True, **said)
            uow.audit.append(
                actor=world.ada.name, action="x", entity="y", entity_id="z",
                project_id=world.project.id, detail={"share": 0.25, "n": [number, None, "é"]},
            )  # fmt: skip
            uow.commit()
    with factory() as uow:
        cue = world.cues[0][0]
        uow.concepts.add_name(id=new_id(), concept_id=cue.concept_id, name="ruler", **said)
        _say_more(uow, world)
        uow.commit()


def _other(kind: object, value: object, draw: random.Random) -> object:
    """Another value for the column, of its type or not."""
    if value is None:
        return 1 if isinstance(kind, (Integer, Double, Boolean)) else "x"
    if isinstance(kind, Boolean):
        return int(not value)
    if isinstance(value, (int, float)):
        return value + draw.choice([1, -1, 7919])
    if isinstance(kind, DateTime):
        return draw.choice([str(value).replace("20", "19", 1), "never"])
    if isinstance(kind, JSON):
        return draw.choice(['{"forged": 1}', "[7]", "not JSON", "null"])
    old = str(value)
    at = draw.randrange(len(old) + 1)
    return draw.choice([f"{old[:at]}7{old[at:]}", old[:at] + "-" + old[at:], f"{old} "])


def _change(raw: Connection, draw: random.Random, table: str) -> tuple[str, str]:
    """Change one field of one row; returns the column and the row's id."""
    known = Table(table, MetaData(), autoload_with=raw)
    kept_aside = {"seq", "hash"} | ({"id"} if table == "audit_log" else set())
    column = draw.choice([c for c in known.columns if c.name not in kept_aside])
    key = {"audit_log": "uid", "chain_entries": "row_id"}.get(table, "id")
    rows = raw.execute(text(f"SELECT rowid AS at, {key} AS key, {column.name} AS old FROM {table}"))
    row = draw.choice(rows.mappings().all())
    new = _other(column.type, row["old"], draw)
    raw.execute(
        text(f"UPDATE {table} SET {column.name} = :new WHERE rowid = :at"),
        {"new": new, "at": row["at"]},
    )
    return column.name, row["key"]


@some
@given(seed=st.integers(0, 2**32), table=st.sampled_from(TABLES))
def test_any_single_edit_is_found_and_named(
    forged: tuple[Engine, World], seed: int, table: str
) -> None:
    """`seq` and `hash` are left aside here: tests/integration/db/test_chain.py forges those."""
    engine, world = forged
    with engine.connect() as raw:
        try:
            column, key = _change(raw, random.Random(seed), table)
        except IntegrityError:  # two rows would have the same key
            assume(False)
        check = ChainCheck(Session(raw))
        reports = [check.run(project) for project in (world.project.id, WORKSPACE)]
        raw.rollback()
    named = {each.row_id for report in reports for each in report.findings}
    assert key in named, (table, column, [report.findings for report in reports])


def test_without_an_edit_nothing_is_found(forged: tuple[Engine, World]) -> None:
    engine, world = forged
    with uow_factory(engine)(read_only=True) as uow:
        assert uow.chain_check.run(world.project.id).findings == ()
