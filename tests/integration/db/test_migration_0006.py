"""A store from before places could be rejected: every drawing goes up, and back down, as it is."""

from collections.abc import Iterator

import pytest
from alembic.util import CommandError
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from db import migrate
from db.engine import create_engine
from db.records import new_id
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory, uow_factory
from tests.integration.db.builders import World, make_world

BOX = ((0.1, 0.2), (0.6, 0.7))
Store = tuple[str, Engine, UnitOfWorkFactory, World]


def draw(uow: UnitOfWork, world: World, kind: str, **more: object) -> str:
    given = {"case_id": world.cases[0].id, "reviewer_id": world.ada.id, "points": BOX}
    return uow.drawings.draw(id=new_id(), kind=kind, shape="box", **given | more).id


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    """Three drawings of the former kinds: one stands, one is erased, one erasing is taken back."""
    engine = create_engine(migrated_url)
    factory = uow_factory(engine)
    world = make_world(factory)
    me = world.ada.id
    with factory() as uow:
        draw(uow, world, "here", cue_id=world.cues[0][0].id, note="é <b>")
        for _ in range(2):
            gone = draw(uow, world, "missed")
            uow.drawings.erase(id=new_id(), drawing_id=gone, reviewer_id=me)
        uow.undo.undo(id=new_id(), reviewer_id=me, project_id=world.project.id)
        uow.commit()
    yield migrated_url, engine, factory, world
    engine.dispose()


def rows(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as raw:
        found = raw.execute(text("SELECT * FROM drawings ORDER BY seq")).mappings().all()
    return [tuple((name, row[name] if name != "points" else str(row[name]))
                  for name in sorted(row)) for row in found]  # fmt: skip


def forge(engine: Engine, kind: str, undoes: str | None = None) -> None:
    """A row as it stands in the table, past the repository's checks; it is rolled back."""
    with engine.connect() as raw:
        raw.execute(
            text(
                "INSERT INTO drawings (seq, id, project_id, reviewer_id, case_id, kind, shape, "
                "note, points, created_at, undoes) SELECT 900000, :id, project_id, reviewer_id, "
                "case_id, :kind, shape, note, points, created_at, :undoes FROM drawings LIMIT 1"
            ),
            {"id": new_id(), "kind": kind, "undoes": undoes},
        )
        raw.rollback()


def test_it_goes_down_and_up_with_every_row(store: Store) -> None:
    url, engine, factory, world = store
    before = rows(engine)
    assert len(before) == 6
    engine.dispose()
    migrate.downgrade(url, "0005")
    assert rows(engine) == before
    with pytest.raises(IntegrityError):
        forge(engine, "spurious")
    engine.dispose()
    migrate.upgrade(url)
    migrate.check(url)
    assert rows(engine) == before
    keys = inspect(engine).get_foreign_keys("drawings")
    assert {key["constrained_columns"][0]: key["referred_table"] for key in keys} == {
        "project_id": "projects", "reviewer_id": "reviewers", "case_id": "cases", "cue_id": "cues",
        "removes": "drawings", "undoes": "drawings",
    }  # fmt: skip
    with factory(read_only=True) as uow:
        assert [d.kind for d in uow.drawings.standing(world.cases[0].id)] == ["here", "missed"]
        assert uow.chain_check.run(world.project.id).findings == ()


def test_the_rules_of_the_table_hold_after_it(store: Store) -> None:
    url, engine, _, _ = store
    engine.dispose()
    migrate.downgrade(url, "0005")
    migrate.upgrade(url)
    forge(engine, "spurious")
    for kind, undoes in (("something", None), ("spurious", new_id())):
        with pytest.raises(IntegrityError):
            forge(engine, kind, undoes)
    for change in ("UPDATE drawings SET kind = 'spurious'", "DELETE FROM drawings"):
        with engine.begin() as raw, pytest.raises(IntegrityError, match="append-only"):
            raw.execute(text(change))
    assert len(rows(engine)) == 6


def test_what_the_former_schema_cannot_hold_keeps_it_from_going_down(store: Store) -> None:
    url, engine, factory, world = store
    with factory() as uow:
        gone = draw(uow, world, "spurious")
        uow.drawings.erase(id=new_id(), drawing_id=gone, reviewer_id=world.ada.id)
        uow.commit()
    before = rows(engine)
    engine.dispose()
    with pytest.raises(CommandError, match="2 drawings say that a place must not count"):
        migrate.downgrade(url, "0005")
    assert migrate.current(url) == "0006"
    assert rows(engine) == before
    migrate.check(url)
