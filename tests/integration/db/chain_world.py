"""A store of a test's own, with a chain in it, and ways to forge what it holds past the program."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from db.chain_records import ChainReport
from db.engine import create_engine
from db.records import new_id
from db.unit_of_work import UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world


@dataclass(frozen=True)
class Chained:
    """A world of its own and the store it lies in."""

    engine: Engine
    factory: UnitOfWorkFactory
    world: World

    @property
    def project(self) -> str:
        return self.world.project.id

    def check(self, anchors: Mapping[int, str] | None = None) -> ChainReport:
        with self.factory(read_only=True) as uow:
            uow.chain_check.freeze()
            return uow.chain_check.run(self.project, anchors)

    def found(self, anchors: Mapping[int, str] | None = None) -> set[tuple[str, str | None]]:
        """(kind, row id) of everything that the check names."""
        return {(each.kind, each.row_id) for each in self.check(anchors).findings}

    def places(self) -> dict[str, int]:
        """Row id -> place in the chain."""
        with self.factory(read_only=True) as uow:
            return {entry.row_id: entry.place for entry in uow.chain.read(self.project)}

    @contextmanager
    def forging(self) -> Iterator[Connection]:
        """The database as somebody with all rights on it sees it: no trigger stands in the way."""
        with self.engine.begin() as raw:
            drop_triggers(raw)
            yield raw

    def forge(self, sql: str, **values: Any) -> None:
        with self.forging() as raw:
            raw.execute(text(sql), values)


def chained(url: str, verdicts: int = 4) -> Chained:
    """A store (migrated) with a project in which some verdicts and audit lines were written."""
    engine = create_engine(url)
    factory = uow_factory(engine)
    world = make_world(factory)
    made = Chained(engine, factory, world)
    for number in range(verdicts):
        say(made, number)
    return made


def say(store: Chained, number: int) -> str:
    """One verdict with its audit line, in a transaction of its own; returns its id."""
    world = store.world
    cue = world.cues[number % 3][number // 3 % 4]
    with store.factory() as uow:
        row = uow.verdicts.append(
            id=new_id(), cue_id=cue.id, reviewer_id=world.ada.id, value="spurious",
            comment=f"number {number}", based_on=0,
        )  # fmt: skip
        uow.audit.append(
            actor=world.ada.name, action="verdict.given", entity="verdict", entity_id=row.id,
            project_id=store.project, detail={"value": row.value, "share": 0.1 * number},
        )  # fmt: skip
        uow.commit()
    return row.id


def verdict_ids(store: Chained) -> list[str]:
    """Ids of the verdicts in the order of being said."""
    with store.factory(read_only=True) as uow:
        return [row.row_id for row in uow.chain.read(store.project) if row.table_name == "verdicts"]


def drop_triggers(raw: Connection) -> None:
    """Take away what refuses changes."""
    if raw.dialect.name == "sqlite":
        names = raw.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for name in names.scalars().all():
            raw.execute(text(f"DROP TRIGGER {name}"))
        return
    found = raw.execute(
        text(
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal"
        )
    ).all()
    for trigger, table in found:
        raw.execute(text(f"DROP TRIGGER {trigger} ON {table}"))
